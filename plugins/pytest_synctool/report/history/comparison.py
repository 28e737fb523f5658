"""Changes between two runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from pytest_synctool.common.nodenames import natural
from pytest_synctool.model import Status
from pytest_synctool.report.history.lifetimes import is_other
from pytest_synctool.report.history.periods import cause_in_words, kind
from pytest_synctool.report.history.reader import Fix, NodeSight, StoredResult
from pytest_synctool.report.record import EntryName


class What(Enum):
    """Kinds of changes, in the order of a report."""

    UNREACHABLE = "could not be looked at any more"
    ERROR = "new errors"
    DRIFT = "new drift"
    UNKNOWN = "drift that was not looked at again"
    FIXED = "fixed"
    RAN = "ran"
    GONE = "drift that is gone without a recorded repair"
    WAIVED = "newly waived"
    UNWAIVED = "no longer waived"
    ASKED = "something else is asked for (the masterdir was changed)"
    NO_ERROR = "errors that are gone"
    REACHABLE = "could be looked at again"
    LEFT = "nodes that only the first run was for"
    CAME = "nodes that only the second run was for"


@dataclass(frozen=True, slots=True)
class Difference:
    """A change of an entry on a node, or of a whole node (`entry` is None). `by` is who fixed it."""

    what: What
    entry: EntryName | None = None
    message: str = ""
    cause: str = ""
    by: str = ""

    @property
    def kind(self) -> str:
        """Return `corrective` or `intentional` for a fixed entry if that is known; else an empty string."""
        return kind(self.cause) if self.what is What.FIXED else ""

    @property
    def line(self) -> str:
        """Return the change in words, without its nodes."""
        cause = cause_in_words(self.cause) if self.cause else ""
        notes = ", ".join(note for note in (self.kind, cause, f"by {self.by}" if self.by else "") if note)
        path = "" if self.entry is None else self.entry.path
        return " ".join(word for word in (path, self.message, f"({notes})" if notes else "") if word)


_NOTHING: Final = NodeSight(Status.SKIPPED, None, {}, {})


def between(
    first: datetime, before: Mapping[str, NodeSight], after: Mapping[str, NodeSight], fixes: Sequence[Fix]
) -> dict[Difference, list[str]]:
    """Return the changes between the nodes of two runs, each with its nodes, in the order of a report.

    `first` is the time at which the first run began. `fixes` are those of all runs after the first up to the second. An
    entry that only one of the runs looked at has not changed.
    """
    grouped: dict[Difference, list[str]] = {}
    by_node: dict[str, list[Fix]] = {}
    for fix in fixes:
        by_node.setdefault(fix.node, []).append(fix)
    for node in sorted({*before, *after, *by_node}, key=natural):
        for difference in _node(first, before.get(node), after.get(node), by_node.get(node, [])):
            grouped.setdefault(difference, []).append(node)
    order = list(What)
    return dict(sorted(grouped.items(), key=lambda pair: (order.index(pair[0].what), -len(pair[1]), pair[0].line)))


def _node(
    first: datetime, before: NodeSight | None, after: NodeSight | None, fixes: Sequence[Fix]
) -> Iterator[Difference]:
    last = {fix.entry: fix for fix in fixes}
    fixed = {entry for entry in last if after is None or not _drift(after, entry)}
    yield from (_fix(last[entry]) for entry in fixed)
    if before is None or after is None:
        if before is not after:
            yield Difference(What.CAME if before is None else What.LEFT)
    elif after.error is not None:
        if before.error is None:
            yield Difference(What.UNREACHABLE, message=after.error)
    elif before.error is not None:
        yield Difference(What.REACHABLE)
    yield from _entries(first, before or _NOTHING, after or _NOTHING, fixed)


def _fix(fix: Fix) -> Difference:
    if fix.entry.is_run:  # nothing was wrong
        return Difference(What.RAN, fix.entry, fix.result.message, by=fix.run.who)
    return Difference(What.FIXED, fix.entry, fix.result.message, fix.result.cause, fix.run.who)


def _entries(first: datetime, before: NodeSight, after: NodeSight, fixed: set[EntryName]) -> Iterator[Difference]:
    for entry, result in after.results.items():
        old = before.results.get(entry)
        was_in_order = entry in before.wanted and (old is None or old.status is Status.FIXED)
        if (what := _news(old, result, was_in_order or result.since > first)) is not None:
            yield Difference(what, entry, result.message, "" if what is What.ERROR else result.cause)
    for entry, result in before.results.items():
        if entry in fixed or entry in after.results:
            continue
        if result.is_drift:
            what = What.GONE if entry in after.wanted else What.UNKNOWN
            yield Difference(what, entry, result.message, result.cause)
        elif result.status is Status.ERROR and entry in after.wanted:
            yield Difference(What.NO_ERROR, entry, result.message)
    yield from (Difference(What.ASKED, entry) for entry in _changed(before.wanted, after.wanted))


def _news(old: StoredResult | None, new: StoredResult, is_new: bool) -> What | None:
    """Return the change of an entry that is not in sync, if there is one; `is_new` is the kind of a new drift."""
    was = None if old is None else old.status
    if new.status is Status.ERROR:
        return What.ERROR if was is not Status.ERROR else None
    if new.status is Status.WAIVED:
        return What.WAIVED if was is not Status.WAIVED else None
    if new.status is not Status.DRIFT or was is Status.DRIFT:
        return None
    if was is Status.WAIVED:
        return What.UNWAIVED
    return What.DRIFT if is_new else None


def _drift(sight: NodeSight, entry: EntryName) -> bool:
    result = sight.results.get(entry)
    return result is not None and result.is_drift


def _changed(before: Mapping[EntryName, str], after: Mapping[EntryName, str]) -> Iterable[EntryName]:
    return [entry for entry, signature in before.items() if entry in after and is_other(signature, after[entry])]
