"""The ending of a node. All reports and counts take it from this module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from pytest_synctool.common.wording import nodes_in_words
from pytest_synctool.model import NodeError, NodeErrorKind, NodeResult, Outcome, Status


class NodeEnding(Enum):
    """Endings of a node, the worst first. A node has the ending of its worst entry. The values are those of drift.json.

    UNREACHABLE and UNKNOWN mean that nothing is known of the node: it gave no answer, or there was another error. ERROR
    means that at least one entry is unknown; it may have drifted too, so the node is never just DRIFTED. NOT_BEGUN
    means that the run did not get to the node. SKIPPED is last because all entries must have it: the run skipped them
    on purpose and compared none.
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
    """Return the ending of a node with these outcomes. A node without any entries is in sync."""
    if error is not None:
        return NodeEnding.UNREACHABLE if error.kind is NodeErrorKind.UNREACHABLE else NodeEnding.UNKNOWN
    endings = {_OF_ENTRIES[status] for status in {outcome.status for outcome in outcomes}}
    if NodeEnding.SKIPPED in endings and any(outcome.is_missed for outcome in outcomes):
        endings.add(NodeEnding.NOT_BEGUN)
    return min(endings, key=_SEVERITY.__getitem__, default=NodeEnding.IN_SYNC)


def ending_of_result(result: NodeResult) -> NodeEnding:
    """Return the ending of the node with this result."""
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

_ERASE_WORDS: Final = {
    NodeEnding.FIXED: "with old versions erased",
    NodeEnding.DRIFTED: "with old versions left",
    NodeEnding.SKIPPED: "with nothing to erase",
}
_RECALL_WORDS: Final = {NodeEnding.SKIPPED: "asked"}
AFTER_RESTORE: Final = "The next audit reports restored files as drift."


def in_words(
    endings: Mapping[NodeEnding, int], *, restoring: bool = False, erasing: bool = False, changing: bool = True
) -> str:
    """Return the counts of nodes as a line: `12 nodes: 10 in sync, 2 drifted`; zeros are left out.

    A run of --restore is `restoring`, one of --erase-saved `erasing`; it is `changing` if it does not only list old
    versions.
    """
    special: Mapping[NodeEnding, str] = {}
    if restoring or erasing:
        special = (_ERASE_WORDS if erasing else _RESTORE_WORDS) if changing else _RECALL_WORDS
    words = {**_WORDS, **special}
    counts: Counter[str] = Counter()
    for ending, word in words.items():
        counts[word] += endings.get(ending, 0)
    listed = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
    return f"{nodes_in_words(counts.total())}: {listed}"


def unread_in_words(number: int) -> str:
    """Return the line about files that a run has not read: see --trust-ctime."""
    files = "1 file was" if number == 1 else f"{number:,} files were"
    return f"{files} not read: unchanged since an earlier audit, by ctime (--trust-ctime)"
