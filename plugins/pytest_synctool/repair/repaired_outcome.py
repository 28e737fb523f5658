"""The outcome of a check after the repair: FIXED only if a second probe finds the path in sync."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pytest_synctool.audit.check import Check
from pytest_synctool.audit.inspection import Inspection
from pytest_synctool.common.wording import printable
from pytest_synctool.model import Outcome, Status
from pytest_synctool.repair.apply import Applied, unless_hidden
from pytest_synctool.repair.rogue_paths import NOTHING_ROGUE, RoguePaths
from pytest_synctool.repository.entry import Entry, ExclusiveContents


def confirmed(
    check: Check, before: Outcome, applied: Applied, inspection: Inspection, rogue: RoguePaths = NOTHING_ROGUE
) -> Outcome:
    """Return the outcome of a check after the repair; FIXED only where the last probe of the inspection confirms it."""
    path = check.entry.destination
    if check.settled is not None:
        return check.settled
    if check.command is not None and check.is_task:
        return applied.task(path, check.command)
    after = inspection.outcome(check)
    if isinstance(check.entry, ExclusiveContents):
        return rogue.confirmed(check, before, after, applied)
    if before.status is not Status.DRIFT:
        return after
    if check.command is not None:
        output = shown_output(inspection, check.entry, applied.late_output(path, check.command))
        return applied.run_late(path, check.command, before, after, output)
    failure = applied.failure(path, right=after.status is Status.OK)
    if after.status is Status.OK:
        if applied.refused:
            return after
        if failure is not None:
            output = shown_output(inspection, check.entry, applied.output(path))
            return replace(before, message=f"put right, but {failure}", details=output, has_remark=True, was_set=True)
        ran = applied.ran(path)
        message = f"{applied.verb(path)} ({before.message}){ran}"
        details = (*before.details, *shown_output(inspection, check.entry, applied.output(path)))
        return before.fixed(message, details, has_remark=bool(ran))
    reason = _undone(check.entry, after, inspection) if failure is None and applied.has_done(path) else failure
    if after.status is Status.DRIFT and reason is not None:
        return replace(after, message=f"{after.message}, not fixed: {reason}", has_remark=True)
    return after


def _undone(entry: Entry, after: Outcome, inspection: Inspection) -> str | None:
    """Return the likely reason for the drift of an entry that was repaired without a failure."""
    if others := inspection.differing_in_case(entry):
        shown = printable(others[0].destination)
        return f"where upper and lower case are the same, {shown} has the same name"
    if after.changes and {change.what for change in after.changes} <= {"owner", "group", "mode"}:
        return (
            "it was set and has not stayed: if the file system cannot keep it, attributes.yaml can accept what is there"
        )
    return None


def hidden_by(inspection: Inspection) -> Callable[[bytes], str | None]:
    """Return a function from a path to the reason why nothing that its commands print is shown, or None."""

    def reason(path: bytes) -> str | None:
        entry = inspection.overlay.get(path)
        return None if entry is None else inspection.secret(entry)

    return reason


def shown_output(inspection: Inspection, entry: Entry, output: tuple[str, ...]) -> tuple[str, ...]:
    """Return the output of an entry's triggers, or the reason why it is not shown: it may repeat secret contents."""
    return unless_hidden(output, inspection.secret(entry)) if output else output
