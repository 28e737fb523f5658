"""The life of an entry on a node, from the runs that saw it: when it drifted, why, and how that ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from itertools import pairwise

from pytest_synctool.model import Status, Touched
from pytest_synctool.report.expected_digest import UNREADABLE
from pytest_synctool.report.history.lifetimes import is_other
from pytest_synctool.report.history.reader import Run, Sight, StoredResult
from pytest_synctool.report.history_values import CAUSES, MASTERDIR, NODE
from pytest_synctool.report.record import EntryName


class End(Enum):
    """The end of a period, or that it has none yet."""

    FIXED = "fixed"
    RAN = "ran"  # what was asked for: nothing was wrong, or it has failed before
    GONE = "gone"  # without a recorded repair
    CHANGED = "changed"  # the masterdir, so that it was in sync
    WAIVED = "waived"
    STILL = "still there"


@dataclass(frozen=True, slots=True)
class Period:
    """A time during which an entry drifted, or could not be looked at (`is_error`).

    `until` is the time at which it was first seen in sync again; None while it is not. `by` is who fixed it, empty if
    nobody did. `message` is the last message, and `action` that of the repair.
    """

    since: datetime
    until: datetime | None
    cause: str
    message: str
    end: End
    by: str = ""
    action: str = ""
    is_error: bool = False
    waiver: str = ""

    @property
    def kind(self) -> str:
        """Return `corrective` if a fixed entry's node was changed, `intentional` if the masterdir was; else empty."""
        return kind(self.cause) if self.end is End.FIXED else ""


@dataclass(frozen=True, slots=True)
class Life:
    """An entry on a node: its periods, the times at which its expected state changed, and the first and last sight.

    `restored` are the times at which --restore put back an old version, each with who did it. `touched` has the times
    of the path if it differed at the last sight.
    """

    periods: tuple[Period, ...]
    changed: tuple[datetime, ...]
    restored: tuple[tuple[datetime, str], ...]
    first: datetime
    last: datetime
    touched: Touched | None = None


def kind(cause: str) -> str:
    """Return the kind of a repair of a drift with this cause; empty if that is not known."""
    return {NODE: "corrective", MASTERDIR: "intentional"}.get(cause, "")


def life(entry: EntryName, sights: Sequence[Sight]) -> Life:
    """Return the life of an entry on a node from the runs that saw it (one or more, oldest first)."""
    looks = [sight for sight in sights if sight.run.is_comparing]
    periods = [*_drifts(looks, End.RAN if entry.is_run else End.FIXED), *_errors(looks)]
    periods.sort(key=lambda period: period.since)
    restored = tuple(
        (s.run.started, s.run.who) for s in sights if s.run.is_restoring and s.result and s.result.is_fixed
    )
    result = sights[-1].result
    touched = None if result is None else result.touched
    times = sights[0].run.started, sights[-1].run.started
    return Life(tuple(periods), _changed(looks), restored, *times, touched)


def _changed(sights: Sequence[Sight]) -> tuple[datetime, ...]:
    known = [s for s in sights if s.signature != UNREADABLE and not (s.result and s.result.status is Status.ERROR)]
    return tuple(after.run.started for before, after in pairwise(known) if is_other(before.signature, after.signature))


def _drifts(sights: Sequence[Sight], end: End) -> list[Period]:
    """Return the periods of drift in these sights; `end` is how a repair ends one.

    An entry that could not be looked at neither begins nor ends a period.
    """
    periods: list[Period] = []
    current: Period | None = None
    asked = UNREADABLE
    for sight in sights:
        result = sight.result
        if result is not None and result.status is Status.ERROR:
            continue
        if result is not None and result.is_drift:
            current, asked = _going_on(result), sight.signature
        elif result is not None:  # fixed, and perhaps found by the same run
            periods.append(_fixed(current, result, sight.run, end))
            current = None
        elif current is not None:
            end_without_repair = End.CHANGED if is_other(asked, sight.signature) else End.GONE
            periods.append(replace(current, until=sight.run.started, end=end_without_repair))
            current = None
    return periods if current is None else [*periods, current]


def _going_on(result: StoredResult) -> Period:
    end = End.WAIVED if result.status is Status.WAIVED else End.STILL
    return Period(result.since, None, result.cause, result.message, end, waiver=result.waiver)


def _fixed(current: Period | None, result: StoredResult, run: Run, end: End) -> Period:
    message = result.message if current is None else current.message
    return Period(result.since, run.started, result.cause, message, end, run.who, result.message)


def _errors(sights: Sequence[Sight]) -> list[Period]:
    periods: list[Period] = []
    current: Period | None = None
    for sight in sights:
        result = sight.result
        if result is not None and result.status is Status.ERROR:
            current = Period(result.since, None, result.cause, result.message, End.STILL, is_error=True)
        elif current is not None:
            periods.append(replace(current, until=sight.run.started, end=End.GONE))
            current = None
    return periods if current is None else [*periods, current]


def cause_in_words(cause: str) -> str:
    """Return the cause in words: `the node was changed`."""
    return CAUSES.get(cause, "found when it was first looked at")
