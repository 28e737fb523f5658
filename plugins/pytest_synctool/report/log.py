"""What a repair did, as the lines of a log: one for every event, whatever is in a name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pytest_synctool.checking import NOT_KEPT, NodeResult
from pytest_synctool.model import Status, printable_text
from pytest_synctool.report.nodetests import NodeTests, reason, shown_destination
from pytest_synctool.words import nodes_in_words


def stamped(text: str, when: datetime) -> str:
    """A line of the log: `2026-11-22T03:14:15+01:00 node3: /etc/motd created (missing)`.

    `when` has to know its offset from UTC.
    """
    return f"{when.isoformat(timespec='seconds')} {printable_text(text)}"


def events(tests: NodeTests, result: NodeResult) -> Iterator[str]:
    """What a log says of one node, without time: what was done, then what failed; nothing if there was nothing to do.

    Each has the name of the node in front.
    """
    for text in result.done:
        yield f"{tests.node}: {text}"
    if result.error is not None:
        yield f"{tests.node}: {reason(tests.node, result.error)}"
        return
    skipped: dict[str, None] = {}
    for nodeid, outcome in zip(tests.ids, result.outcomes, strict=True):
        if outcome.status in (Status.DRIFT, Status.ERROR):
            yield f"{tests.node}: {shown_destination(nodeid)} FAILED {outcome.message}"
        elif outcome.status is Status.SKIPPED and outcome != NOT_KEPT:
            skipped[outcome.message] = None
    for message in skipped:
        yield f"{tests.node}: {message}"


@dataclass
class Count:
    """Tests that were fixed and that failed, and nodes that have no result."""

    fixed: int = 0
    failed: int = 0
    unreachable: int = 0
    not_begun: int = 0

    def add(self, result: NodeResult) -> None:
        """Take up the result of a node."""
        found = [outcome.status for outcome in result.outcomes]
        self.fixed += found.count(Status.FIXED)
        self.failed += found.count(Status.DRIFT) + found.count(Status.ERROR)
        self.unreachable += result.error is not None
        begun = (outcome.status is not Status.SKIPPED or outcome == NOT_KEPT for outcome in result.outcomes)
        self.not_begun += bool(found) and not any(begun)

    def __str__(self) -> str:
        """`3 fixed, 1 failed`, and the nodes without a result if there are any."""
        words = [f"{self.fixed} fixed", f"{self.failed} failed"]
        words += [f"{nodes_in_words(self.unreachable)} not looked at"] * bool(self.unreachable)
        words += [f"{nodes_in_words(self.not_begun)} not begun"] * bool(self.not_begun)
        return ", ".join(words)
