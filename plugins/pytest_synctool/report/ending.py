"""The one place that decides how a node ended. All reports and counts take the ending from here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from pytest_synctool.common.wording import nodes_in_words
from pytest_synctool.model import OK, NodeError, NodeErrorKind, NodeResult, Outcome, Status


class NodeEnding(Enum):
    """How a node ended, the worst first. A node ends as the worst of its entries; the values are those of drift.json.

    With UNREACHABLE and UNKNOWN nothing is known of the node: it gave no answer, or another error left it unknown. With
    ERROR at least one entry is unknown, so the node cannot be called merely drifted. With NOT_BEGUN the run did not get
    to the node. SKIPPED comes last: it means that all entries were skipped on purpose, and none was compared.
    """

    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    ERROR = "error"
    DRIFTED = "drifted"
    NOT_BEGUN = "not_begun"
    WAIVED = "waived"
    FIXED = "fixed"
    IN_SYNC = "in_sync"
    SKIPPED = "skipped"

    @property
    def is_looked_at(self) -> bool:
        """True if the run audited or repaired at least one entry, or tried to."""
        return self not in (*NOTHING_KNOWN, NodeEnding.NOT_BEGUN)

    @property
    def is_good(self) -> bool:
        """True if no entry failed and none was missed."""
        return self in (NodeEnding.WAIVED, NodeEnding.FIXED, NodeEnding.IN_SYNC, NodeEnding.SKIPPED)

    @property
    def status(self) -> Status:
        """The status of a single entry that gives a node this ending."""
        return _STATUSES[self]


NOTHING_KNOWN: Final = (NodeEnding.UNREACHABLE, NodeEnding.UNKNOWN)

_SEVERITY: Final = {ending: position for position, ending in enumerate(NodeEnding)}
_OF_ENTRIES: Final = {
    Status.ERROR: NodeEnding.ERROR,
    Status.DRIFT: NodeEnding.DRIFTED,
    Status.WAIVED: NodeEnding.WAIVED,
    Status.FIXED: NodeEnding.FIXED,
    Status.OK: NodeEnding.IN_SYNC,
    Status.SKIPPED: NodeEnding.SKIPPED,
}
_STATUSES: Final = {
    **{ending: status for status, ending in _OF_ENTRIES.items()},
    **dict.fromkeys(NOTHING_KNOWN, Status.ERROR),
    NodeEnding.NOT_BEGUN: Status.SKIPPED,
}


def ending_of(error: NodeError | None, outcomes: Sequence[Outcome]) -> NodeEnding:
    """Return how a node with these outcomes ended. A node without any entries is in sync."""
    if error is not None:
        return NodeEnding.UNREACHABLE if error.kind is NodeErrorKind.UNREACHABLE else NodeEnding.UNKNOWN
    if outcomes.count(OK) == len(outcomes):  # nearly always, and much faster
        return NodeEnding.IN_SYNC
    return min(map(_of_entry, outcomes), key=_SEVERITY.__getitem__)


def _of_entry(outcome: Outcome) -> NodeEnding:
    return NodeEnding.NOT_BEGUN if outcome.is_missed else _OF_ENTRIES[outcome.status]


def ending_of_result(result: NodeResult) -> NodeEnding:
    """Return how the node with this result ended."""
    return ending_of(result.error, result.outcomes)


_NOT_LOOKED_AT: Final = "not looked at"
_WORDS: Final = {
    NodeEnding.IN_SYNC: "in sync",
    NodeEnding.FIXED: "fixed",
    NodeEnding.WAIVED: "waived",
    NodeEnding.DRIFTED: "drifted",
    NodeEnding.ERROR: "with errors",
    NodeEnding.UNREACHABLE: _NOT_LOOKED_AT,
    NodeEnding.UNKNOWN: _NOT_LOOKED_AT,
    NodeEnding.NOT_BEGUN: _NOT_LOOKED_AT,
    NodeEnding.SKIPPED: "skipped",
}
_RESTORE_WORDS: Final = {NodeEnding.FIXED: "restored", NodeEnding.SKIPPED: "with nothing to restore"}


def in_words(endings: Mapping[NodeEnding, int], *, restoring: bool = False) -> str:
    """Return the counts of nodes as a line: `12 nodes: 10 in sync, 2 drifted`; zeros are left out."""
    words = {**_WORDS, **_RESTORE_WORDS} if restoring else _WORDS
    counts: Counter[str] = Counter()
    for ending, word in words.items():
        counts[word] += endings.get(ending, 0)
    listed = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
    return f"{nodes_in_words(counts.total())}: {listed}"
