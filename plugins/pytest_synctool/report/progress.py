"""How far a run is, in a line for people who wait."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
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


@dataclass
class Progress:
    """Counts nodes. `total` is how many there are, if that is known; `out` has when the work on a node has begun."""

    total: int = 0
    done: int = 0
    out: dict[str, float] = field(default_factory=dict)
    _endings: Counter[NodeEnding] = field(default_factory=Counter)

    @contextmanager
    def working(self, node: str) -> Iterator[None]:
        """While somebody works on a node."""
        self.out[node] = time.monotonic()
        try:
            yield
        finally:
            del self.out[node]

    def take(self, result: NodeResult) -> None:
        """Take up the result of a node."""
        self.done += 1
        self._endings[ending_of_result(result)] += 1

    def line(self, now: float, width: int) -> str:
        """`5 of 12 nodes, 2 drifted, 1 unreachable; out for 41 s: node[3,7]` in at most `width` columns.

        Named are the nodes that have been out for longest, and how long the first of them. `now` is on the
        clock of time.monotonic().
        """
        counts = [f"{number:,} {word}" for ending, word in _WORDS.items() if (number := self._endings[ending])]
        text = ", ".join([f"synctool: {self.done:,} of {self.total:,} nodes", *counts])
        text += _slowest(list(self.out.items()), now)  # threads put nodes in and take them out
        return text if len(text) <= width else text[: max(width - 3, 0)] + "..."


def _slowest(out: Sequence[tuple[str, float]], now: float) -> str:
    slow = sorted((began, node) for node, began in out if now - began >= _SLOW)[:_MOST_NAMED]
    if not slow:
        return ""
    return f"; out for {now - slow[0][0]:.0f} s: {fold(node for _, node in slow)}"
