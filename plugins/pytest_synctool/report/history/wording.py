"""The history in words and as JSON values. Pure. Times are local; in JSON they have their offset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pytest_synctool.common.nodenames import fold, natural
from pytest_synctool.model import Touched
from pytest_synctool.report.drift_json import utc_moment
from pytest_synctool.report.history.comparison import Difference
from pytest_synctool.report.history.periods import End, Life, Period, cause_in_words
from pytest_synctool.report.history.reader import Run
from pytest_synctool.report.history_values import CAUSES, RESTORE
from pytest_synctool.report.record import EntryName

FORMAT: Final = 1  # of the JSON; it changes when something in it changes its meaning

_TEXTS: Final = ("", "run", "began", "took", "mode", "by")
_HEADINGS: Final = (*_TEXTS, "nodes", "in sync", "drifted", "waived", "fixed", "errors")
_NUMBERS: Final = len(_TEXTS)  # the first column of numbers, which stand to the right
_MOST_TIMES: Final = 5  # nodes
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, slots=True)
class Shared:
    """A life that several nodes share. `touched` has the times of a path that differs now, by node."""

    nodes: Sequence[str]
    life: Life
    touched: Mapping[str, Touched]


def shared(lives: Mapping[str, Life]) -> list[Shared]:
    """Return the lives of nodes, one for all nodes with the same life, from the first look at one to the last."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for node in sorted(lives, key=natural):
        life = lives[node]
        is_open = any(period.until is None for period in life.periods)
        groups.setdefault((life.periods, life.changed, life.restored, life.last if is_open else None), []).append(node)
    return [
        Shared(nodes, _together([lives[node] for node in nodes]), {n: t for n in nodes if (t := lives[n].touched)})
        for nodes in groups.values()
    ]


def _together(lives: Sequence[Life]) -> Life:
    first, last = min(life.first for life in lives), max(life.last for life in lives)
    return Life(lives[0].periods, lives[0].changed, lives[0].restored, first, last)


def moment(when: datetime) -> str:
    """Return a time for people: `2026-11-24 04:00:00`, local."""
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S}"


def lasting(duration: timedelta) -> str:
    """Return a duration for people, in its two largest units: `2 days 3 hours`."""
    left = max(0, round(duration.total_seconds()))
    words: list[str] = []
    for seconds, unit in _UNITS:
        number, left = divmod(left, seconds)
        if number or (words and len(words) < 2):
            words.append(f"{number} {unit}{'' if number == 1 else 's'}" if number else "")
        if len(words) == 2:
            break
    return " ".join(word for word in words if word) or "0 seconds"


def runs(stored_runs: Sequence[Run]) -> Iterator[str]:
    """Return a table of the last runs, the latest one last and numbered -1."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for number, run in enumerate(stored_runs, -len(stored_runs)):
        counts = map(str, (run.selected, run.in_sync, run.drifted, run.waived, run.fixed, run.errors))
        took = lasting(run.ended - run.started)
        rows.append((str(number), run.id, moment(run.started), took, run.mode, run.who, *counts))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row, one in zip(rows, (None, *stored_runs), strict=True):
        cells = [
            cell.rjust(width) if column >= _NUMBERS or not column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip() + ("" if one is None else "".join(f"  {note}" for note in _notes(one)))


def _notes(run: Run) -> Iterator[str]:
    if run.is_whole is False:
        yield "of a part"
    if not run.complete:
        yield "not complete"


def entry_life(entry: EntryName, groups: Sequence[Shared]) -> Iterator[str]:
    """Return the life of an entry on all nodes."""
    yield f"{entry.path} ({entry.check if entry.kind == 'check' else entry.kind})"
    for group in groups:
        yield f"  {fold(group.nodes)}:"
        yield from (f"    {line}" for line in _life(group.life))
        for node, touched in list(group.touched.items())[:_MOST_TIMES]:
            yield f"    on {node} now: {touched_in_words(touched)}"
        if len(group.touched) > _MOST_TIMES:
            yield "    times on the other nodes: -n NODE"


def _life(life: Life) -> Iterator[str]:
    looked = f"looked at from {moment(life.first)} to {moment(life.last)}"
    if life.first == life.last:
        looked = f"looked at once, {moment(life.last)}"
    yield looked if life.periods or life.restored else f"always in order: {looked}"
    news = "something else is asked for (the masterdir was changed)"
    events = [(when, [f"{moment(when)}: {news}"]) for when in life.changed]
    events += [(when, [f"{moment(when)}: {CAUSES[RESTORE]}, by {who}"]) for when, who in life.restored]
    events += [(period.since, list(_period(period, life.last))) for period in life.periods]
    for _, lines in sorted(events, key=lambda pair: pair[0]):
        yield from lines


def _period(period: Period, last: datetime) -> Iterator[str]:
    lasted = lasting((period.until or last) - period.since)
    span = f"since {moment(period.since)}, for {lasted}"
    if period.until is not None:
        span = f"{moment(period.since)} to {moment(period.until)}, for {lasted}"
        if period.until == period.since:
            span = moment(period.since)
    if period.end is End.RAN and period.action == period.message:
        yield f"{span}: {period.action}, by {period.by}"
        return
    yield f"{span}: {'error: ' if period.is_error else ''}{period.message}"
    action = f": {period.action}" if period.action != period.message else ""  # the run that found it has fixed it
    end = {
        End.FIXED: f"{f'{period.kind} change, ' if period.kind else ''}fixed by {period.by}{action}",
        End.RAN: f"{period.action}, by {period.by}",
        End.GONE: "could be looked at again" if period.is_error else "gone without a recorded repair",
        End.CHANGED: "gone, as the masterdir was changed",
        End.WAIVED: f"waived: {period.waiver}",
        End.STILL: "still so",
    }[period.end]
    yield f"    {end}" if period.is_error or period.end is End.RAN else f"    {cause_in_words(period.cause)}; {end}"


def differences(first: Run, second: Run, nodes_of: Mapping[Difference, Sequence[str]]) -> Iterator[str]:
    """Return the changes between two runs."""
    for word, run in (("from", first), ("to  ", second)):
        state = "" if run.complete else ", not complete"
        yield f"{word} {run.id} ({moment(run.started)}, {run.mode} by {run.who}{state})"
    if not nodes_of:
        yield "nothing has changed"
    what = None
    for difference, nodes in nodes_of.items():
        if difference.what is not what:
            what = difference.what
            yield f"{what.value}:"
        line = difference.line
        yield f"  {fold(nodes)}{': ' if line else ''}{line}"


def run_value(run: Run) -> dict[str, object]:
    """Return a run for JSON."""
    return {
        "id": run.id,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat(),
        "mode": run.mode,
        "user": run.user,
        "host": run.host,
        "complete": run.complete,
        "nodes": {
            "selected": run.selected,
            "in_sync": run.in_sync,
            "drifted": run.drifted,
            "fixed": run.fixed,
            "waived": run.waived,
            "errors": run.errors,
        },
        "drifted_entries": run.entries,
        "files_not_read": run.unread,
        "whole": run.is_whole,
        "revision": None if run.revision is None else {"commit": run.revision.commit, "dirty": run.revision.is_dirty},
    }


def touched_in_words(touched: Touched | None) -> str:
    """Return the times of what is there, by the clock of the node; an empty text if it sent none that can be read."""
    times = touched_value(touched)
    words = (("contents of", times["modified"]), ("owner, mode or name of", times["changed"]))
    return ", ".join(f"{word} {moment(datetime.fromisoformat(time))}" for word, time in words if time)


def touched_value(touched: Touched | None) -> dict[str, str | None]:
    """Return the times of a path on a node for JSON."""
    if touched is None:
        return {"modified": None, "changed": None}
    return {"modified": utc_moment(touched.modified), "changed": utc_moment(touched.changed)}


def entry_value(entry: EntryName) -> dict[str, object]:
    """Return the name of an entry for JSON."""
    return {"check": entry.check, "kind": entry.kind, "name": entry.name, "path": entry.path}


def life_value(entry: EntryName, group: Shared) -> dict[str, object]:
    """Return the life of an entry on nodes for JSON."""
    return entry_value(entry) | {
        "nodes": list(group.nodes),
        "first_looked_at": group.life.first.isoformat(),
        "last_looked_at": group.life.last.isoformat(),
        "periods": [_period_value(period) for period in group.life.periods],
        "restored": [{"at": when.isoformat(), "by": who} for when, who in group.life.restored],
        "touched": {node: touched_value(touched) for node, touched in group.touched.items()},
        "asked_for_changed": [when.isoformat() for when in group.life.changed],
    }


def _period_value(period: Period) -> dict[str, object]:
    return {
        "since": period.since.isoformat(),
        "until": None if period.until is None else period.until.isoformat(),
        "status": "error" if period.is_error else "drift",
        "message": period.message,
        "cause": period.cause,
        "end": period.end.name.lower(),
        "kind": period.kind or None,
        "fixed_by": period.by or None,
        "action": period.action or None,
        "waiver": period.waiver or None,
    }


def difference_value(difference: Difference, nodes: Sequence[str]) -> dict[str, object]:
    """Return a change between two runs for JSON."""
    return {
        "what": difference.what.name.lower(),
        "nodes": list(nodes),
        "entry": None if difference.entry is None else entry_value(difference.entry),
        "message": difference.message,
        "cause": difference.cause or None,
        "kind": difference.kind or None,
        "fixed_by": difference.by or None,
    }
