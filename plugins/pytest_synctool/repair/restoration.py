"""`--restore`: put back the old versions that the last repair kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pytest_synctool.audit.check import Check
from pytest_synctool.audit.inspection import Inspection
from pytest_synctool.common.wording import node_text, printable
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.model import NOT_KEPT, Kind, Outcome, Skip, Status
from pytest_synctool.repair import plan
from pytest_synctool.repair.apply import Applied, NodeChanges, log_lines
from pytest_synctool.repair.kept_versions import parse_recalled, recall
from pytest_synctool.repair.marked_entries import MarkedEntries
from pytest_synctool.repair.plan import KeptVersion
from pytest_synctool.repair.repaired_outcome import hidden_by, shown_output
from pytest_synctool.repository.entry import Entry, ExclusiveContents
from pytest_synctool.repository.source import Tree

_RECALLED: Final = 16 << 20  # bytes; the last repair may have kept files that are no entries any more
_RECALLED_OF_ENTRY: Final = 512
_MOST_SHOWN: Final = 20


def restore(
    changes: NodeChanges,
    inspection: Inspection,
    checks: Sequence[Check],
    answered: Callable[[], None],
    *,
    earlier: bool = False,
    changing: bool = True,
) -> list[Outcome]:
    """Put back the kept versions of the selected entries; return the outcome of each check.

    With `earlier`, these are the versions that any repair kept, not only the last one. Without `changing`, nothing is
    put back, and the outcomes name what would be.

    `answered` is called when the node has answered, before anything is changed. Nothing is compared, before or after.
    Raises TransportError and RemoteError.
    """
    ceiling = _RECALLED + _RECALLED_OF_ENTRY * len(inspection.entries)
    answer = changes.transport.run(recall(changes.context, earlier=earlier), changes.deadline, Phase.PROBE, ceiling)
    answered()
    recalled = parse_recalled(answer.stdout)
    saved = {
        check.entry: recalled[check.entry.destination]
        for check in checks
        if check.command is None and check.entry.tree is Tree.OVERLAY and check.entry.destination in recalled
    }
    for check in checks:
        if isinstance(check.entry, ExclusiveContents):
            saved |= {each: recalled[each.destination] for each in _removed(check.entry, recalled)}
    marked = MarkedEntries.of(checks, [check.settled or NOT_KEPT for check in checks])
    left = {}
    for entry in list(saved) if marked else ():
        if (reason := marked.of_change(entry, inspection.overlay, moves=True)) is not None:
            left[entry.destination] = reason
            del saved[entry]
    if not changing:
        return [_kept(check, left) or _would(check, saved) for check in checks]
    todo = plan.restore(list(saved.items()), inspection.overlay)
    origins = {entry.destination: f"from {printable(kept.path)}" for entry, kept in saved.items()}
    applied = Applied(todo, log_lines(todo, origins))
    if todo.actions:
        changes.carry_out(applied, hidden_by(inspection))
        if applied.broken is None:
            changes.forget(changes.context.who)
    return [
        _kept(check, left)
        or (
            _of_contents(check.entry, saved, applied)
            if isinstance(check.entry, ExclusiveContents)
            else _outcome(check, origins, applied, inspection)
        )
        for check in checks
    ]


def _removed(contents: ExclusiveContents, recalled: Mapping[bytes, KeptVersion]) -> list[Entry]:
    """Return what a repair has removed from an exclusive directory, as entries."""
    return [contents.rogue(path, Kind.OTHER) for path in sorted(recalled) if not contents.may_have(path)]


def _kept(check: Check, left: Mapping[bytes, str]) -> Outcome | None:
    """Return the outcome of a check that a mark settles, or whose entry stays for the mark of another one."""
    reason = left.get(check.entry.destination) if check.command is None else None
    if check.settled is not None or reason is None:
        return check.settled
    return Outcome(Status.SKIPPED, f"not restored: {reason}", skip=Skip.MARKED)


def _of_contents(contents: ExclusiveContents, saved: Mapping[Entry, KeptVersion], applied: Applied | None) -> Outcome:
    """Return the outcome of an exclusive directory; without `applied`, what would be restored."""
    paths = [
        entry.destination for entry in saved if entry.tree is Tree.DELETE and not contents.may_have(entry.destination)
    ]
    if not paths:
        return NOT_KEPT
    shown = ", ".join(map(printable, paths[:_MOST_SHOWN])) + (", ..." if len(paths) > _MOST_SHOWN else "")
    if applied is None:
        return Outcome(Status.SKIPPED, f"would be restored: {shown}", skip=Skip.NOT_RESTORED)
    failures = [failure for path in paths if (failure := applied.failure(path, right=False)) is not None]
    if failures:
        return Outcome(Status.DRIFT, f"not all restored: {failures[0]}", was_set=all(map(applied.succeeded, paths)))
    return Outcome(Status.FIXED, f"restored: {shown}" + "".join(dict.fromkeys(map(applied.ran, paths))))


def _would(check: Check, saved: Mapping[Entry, KeptVersion]) -> Outcome:
    if isinstance(check.entry, ExclusiveContents):
        return _of_contents(check.entry, saved, None)
    kept = saved.get(check.entry) if check.command is None else None
    if kept is None:
        return NOT_KEPT
    by = f", kept by {node_text(kept.by)}" if kept.by else ""
    message = f"would be restored (from {printable(kept.path)}{by})"
    return Outcome(Status.SKIPPED, message, skip=Skip.NOT_RESTORED)


def _outcome(check: Check, origins: Mapping[bytes, str], applied: Applied, inspection: Inspection) -> Outcome:
    path = check.entry.destination
    if check.command is not None or check.entry.tree is not Tree.OVERLAY or path not in origins:
        return NOT_KEPT
    failure = applied.failure(path, right=False)
    if failure is not None:
        output = shown_output(inspection, check.entry, applied.output(path))
        if applied.succeeded(path):
            return Outcome(Status.DRIFT, f"restored ({origins[path]}), but {failure}", output, was_set=True)
        return Outcome(Status.DRIFT, f"not restored {origins[path]}: {failure}", output)
    return Outcome(Status.FIXED, f"restored ({origins[path]}){applied.ran(path)}")
