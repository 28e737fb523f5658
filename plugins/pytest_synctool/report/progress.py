"""The progress of a run as one line, for people who wait for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pytest_synctool.common.nodenames import fold
from pytest_synctool.model import NodeResult
from pytest_synctool.report.ending import NodeEnding, ending_of_result

_SLOW: Final = 2.0  # seconds
_MOST_NAMED: Final = 5
_WORDS: Final = {
    NodeEnding.DRIFTED: "drifted",
    NodeEnding.ERROR: "with errors",
    NodeEnding.FIXED: "fixed",
    NodeEnding.WAIVED: "waived",
    NodeEnding.UNREACHABLE: "unreachable",
    NodeEnding.UNKNOWN: "unknown",
    NodeEnding.NOT_BEGUN: "not begun",
}

# pytest, too, takes these environment variables as a sign of CI.
_UNATTENDED: Final = ("CI", "BUILD_NUMBER")


def is_attended(environment: Mapping[str, str]) -> bool:
    """Return True if a person may watch a terminal with this environment, and it can move its cursor."""
    return environment.get("TERM", "dumb") != "dumb" and not any(environment.get(name) for name in _UNATTENDED)


@dataclass
class Progress:
    """Counts of the nodes that are done. `total` is the number of nodes, 0 if it is not known yet.

    `out` has the nodes under way with the time at which work on them began, on the clock of time.monotonic(). `counts`
    has the numbers of nodes with an ending that is worth a word, by that word, in the order in which they are shown.
    `name` is the command.
    """

    total: int = 0
    done: int = 0
    out: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_WORDS.values(), 0)))
    name: str = "synctool"

    @contextmanager
    def working(self, node: str) -> Iterator[None]:
        """Count a node as under way."""
        self.out[node] = time.monotonic()
        try:
            yield
        finally:
            del self.out[node]

    def take(self, result: NodeResult) -> None:
        """Count the result of a node."""
        self.done += 1
        if word := _WORDS.get(ending_of_result(result)):
            self.counts[word] += 1

    def line(self, now: float, width: int) -> str:
        """Return `5 of 12 nodes, 2 drifted, 1 unreachable; out for 41 s: node[3,7]` in at most `width` columns.

        The names are those of the nodes that have been under way for longest; the time is that of the first of them.
        `now` is on the clock of time.monotonic().
        """
        counts = [f"{number:,} {word}" for word, number in self.counts.items() if number]
        done = f"{self.done:,} of {self.total:,} nodes"
        slow = sorted((began, node) for node, began in list(self.out.items()) if now - began >= _SLOW)[:_MOST_NAMED]
        whole = ", ".join([f"{self.name}: {done}", *counts])
        # Names are what somebody waits for: rather than the first of them, the counts are left out.
        texts = [f"{whole}{_slowest(slow[:most], now)}" for most in range(len(slow), 0, -1)] or [whole]
        if slow:
            texts += [f"{done}{_slowest(slow[:1], now)}", _slowest(slow[:1], now).removeprefix("; "), slow[0][1]]
        text = next((text for text in texts if len(text) <= width), texts[-1])
        return text if len(text) <= width else text[: max(width - 3, 0)] + "..."


def _slowest(slow: Sequence[tuple[float, str]], now: float) -> str:
    return f"; out for {now - slow[0][0]:.0f} s: {fold(node for _, node in slow)}"
