"""Record a run: its results get their onsets from the known state and are added to it.

Trouble is reported and ends no run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_synctool.common.trust import Trust
from pytest_synctool.errors import HistoryError
from pytest_synctool.report.history.database import (
    DamageError,
    in_words,
    is_damage,
    locked,
    reading,
    set_aside,
    writing,
)
from pytest_synctool.report.history.key import keyed, load
from pytest_synctool.report.history.lifetimes import Asked, Look, Signatures, asked, looks
from pytest_synctool.report.history.tables import Tables, past, past_of
from pytest_synctool.report.history_values import Onsets, Past
from pytest_synctool.report.record import RunRecord

_MOST_PAST: Final = 60


@dataclass(frozen=True, slots=True)
class Recorded:
    """The history after a run: the onsets of its results, and the ends of the last runs (this run last, at most 60).

    `problem` is a line for people if something is wrong with the file. `onsets` is then empty if nothing could be read.
    """

    onsets: Onsets
    past: Sequence[Past]
    problem: str | None = None


def record(path: Path, run: RunRecord, signatures: Signatures, keep: int, trust: Trust | None = None) -> Recorded:
    """Add a run to the history in a file, and keep the last `keep` runs; 0 records nothing.

    The file is created if it does not exist. `signatures` returns the expected state by node and entry, as a short
    digest. Any trouble with the file or its disk is reported in the result.
    """
    mine, trust = past_of(run), trust or Trust.of_caller()
    if keep < 1:
        return Recorded({}, (mine,))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return Recorded({}, (mine,), _problem(path, error))
    nodes = asked(run, signatures, keyed(load(path, trust)))  # before anybody has to wait: sources may have to be read
    del signatures  # this is the only reference to their tables, which take as much memory as what follows
    try:
        with locked(path, trust):
            return _record(path, run, nodes, keep, trust)
    except HistoryError as error:
        return Recorded({}, (mine,), f"{error}; this run is not recorded")
    except (OSError, sqlite3.Error, DamageError) as error:
        return _unwritten(path, run, nodes, _problem(path, error), trust)


def _problem(path: Path, error: Exception) -> str:
    return f"{path} could not be written: {in_words(error, path)}; this run is not recorded"


def _record(path: Path, run: RunRecord, nodes: Sequence[Asked], keep: int, trust: Trust) -> Recorded:
    """Record the run under the lock; a damaged file makes way for a new one.

    Raises the errors that record() reports.
    """
    try:
        with writing(path, trust) as db:
            return _added(path, db, run, nodes, keep, None)
    except (sqlite3.Error, DamageError) as error:
        if not is_damage(error):
            raise
        aside = set_aside(path)
    problem = f"{path} was damaged: it is set aside as {aside.name}, and the history begins anew"
    with writing(path, trust) as db:
        return _added(path, db, run, nodes, keep, problem)


def _added(
    path: Path, db: sqlite3.Connection, run: RunRecord, nodes: Sequence[Asked], keep: int, problem: str | None
) -> Recorded:
    tables = Tables(db, run.started)
    seen = list(looks(run, nodes, tables.standings))
    if db.execute("SELECT 1 FROM run WHERE id = ?", (run.id,)).fetchone():
        raise HistoryError(f"{path} has a run {run.id} already")
    tables.add(run, seen)
    tables.prune(keep)
    return Recorded(_onsets(seen), past(db, _MOST_PAST), problem)


def _unwritten(path: Path, run: RunRecord, nodes: Sequence[Asked], problem: str, trust: Trust) -> Recorded:
    """Return the result for a run that could not be added."""
    mine = past_of(run)
    try:
        with reading(path, trust) as db:
            before = past(db, _MOST_PAST - 1)
            seen = list(looks(run, nodes, Tables(db, run.started).standings))
    except HistoryError:
        return Recorded({}, (mine,), problem)
    return Recorded(_onsets(seen), (*before, mine), problem)


def _onsets(seen: Sequence[Look]) -> Onsets:
    return {(look.node, entry): onset for look in seen for entry, _, onset in look.results}
