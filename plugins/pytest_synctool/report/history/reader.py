"""Past runs, loaded for people: all of them at once, so that no recorder has to wait."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from pytest_synctool.common.trust import Trust
from pytest_synctool.model import Revision, Status, Touched
from pytest_synctool.report.history.database import DamageError, reading, version_of
from pytest_synctool.report.history.tables import members, when
from pytest_synctool.report.record import RESTORE, WITHOUT_COMPARISON, EntryName


@dataclass(frozen=True, slots=True)
class Run:
    """A stored run. `seq` orders runs by their ends; the counts are those of a Past, `unread` that of a RunRecord.

    `is_whole` is True for a run of the whole cluster, None if that was not recorded; so is `revision` without git.
    """

    seq: int
    id: str
    started: datetime
    ended: datetime
    mode: str
    user: str
    host: str
    complete: bool
    selected: int
    in_sync: int
    drifted: int
    fixed: int
    errors: int
    waived: int
    entries: int
    is_whole: bool | None = None
    revision: Revision | None = None
    unread: int = 0

    @property
    def who(self) -> str:
        """Return the user and the machine: `root@admin1`."""
        return f"{self.user}@{self.host}"

    @property
    def is_restoring(self) -> bool:
        """True if the run restored old versions, and compared nothing."""
        return self.mode == RESTORE

    @property
    def is_comparing(self) -> bool:
        """True if the run compared nodes with the masterdir."""
        return self.mode not in WITHOUT_COMPARISON


@dataclass(frozen=True, slots=True)
class StoredResult:
    """The result for an entry that was not in sync, with its life. `changes` are (what, expected, actual).

    `touched` has the times of what is there, by the clock of the node.
    """

    status: Status
    message: str
    changes: tuple[tuple[str, str, str], ...]
    source: str
    waiver: str
    since: datetime
    cause: str
    known: bool
    touched: Touched | None = field(default=None, compare=False)

    @property
    def is_drift(self) -> bool:
        """True if the entry differs, waived or not."""
        return self.status in (Status.DRIFT, Status.WAIVED)

    @property
    def is_fixed(self) -> bool:
        """True if the run has changed the entry as it should."""
        return self.status is Status.FIXED


@dataclass(frozen=True, slots=True)
class Sight:
    """An entry on a node as a run saw it, with the signature of its expected state.

    `result` is None if it was in sync.
    """

    run: Run
    signature: str
    result: StoredResult | None


@dataclass(frozen=True, slots=True)
class NodeSight:
    """A node as a run saw it: `wanted` are the entries that were looked at, `results` those that were not in sync."""

    status: Status
    error: str | None
    wanted: Mapping[EntryName, str]
    results: Mapping[EntryName, StoredResult]


@dataclass(frozen=True, slots=True)
class Fix:
    """An entry that a run fixed."""

    run: Run
    node: str
    entry: EntryName
    result: StoredResult


_RUN = "seq, id, started, ended, mode, user, host, complete, selected, in_sync, drifted, fixed, errors, waived, entries"
_FOUND = "f.status, f.message, f.changes, f.source, f.waiver, r.since, r.cause, r.known"
_STATUSES = {status.value: status for status in Status}  # the value of a member is looked up slowly
_TIMES = "r.modified, r.changed"
_RESULT = "result r JOIN finding f ON f.id = r.finding"


class History:
    """The history in a file, usable while the file is open. Raises DamageError for inconsistent contents."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._names = {id_: EntryName(test, name) for id_, test, name in db.execute("SELECT id, test, name FROM entry")}
        self._nodes = dict(db.execute("SELECT id, name FROM node").fetchall())
        self._sets: dict[int, dict[int, str]] = {}
        self._columns = f"{_FOUND}, {_TIMES if version_of(db) > 2 else 'NULL, NULL'}"
        self.runs: Sequence[Run] = list(_runs(db))

    @cached_property
    def _asked(self) -> dict[int, tuple[int, str]]:
        """The entries with their signatures, by the ids in sets: the page of all runs does without."""
        rows = self._db.execute("SELECT id, entry, signature FROM wanted")
        return {id_: (entry, digest) for id_, entry, digest in rows}

    @property
    def node_names(self) -> Sequence[str]:
        """Return the names of all stored nodes."""
        return list(self._nodes.values())

    @property
    def entries(self) -> Sequence[EntryName]:
        """Return all stored entries."""
        return list(self._names.values())

    def life(self, name: EntryName) -> dict[str, list[Sight]]:
        """Return the sights of an entry by node, the oldest first."""
        entry = next(id_ for id_, other in self._names.items() if other == name)
        seen: dict[str, list[Sight]] = {}
        for run in self.runs:
            rows = self._db.execute(
                f"SELECT r.node, {self._columns} FROM {_RESULT} WHERE r.run = ? AND r.entry = ?", (run.seq, entry)
            )
            results = {node: _result(row) for node, *row in rows}
            looked = "SELECT node, entry_set FROM looked WHERE run = ? AND entry_set IS NOT NULL"
            for node, set_ in self._db.execute(looked, (run.seq,)):
                signature = self._set(set_).get(entry)
                if signature is not None:
                    seen.setdefault(self._nodes[node], []).append(Sight(run, signature, results.get(node)))
        return seen

    def nodes(self, run: Run) -> dict[str, NodeSight]:
        """Return all nodes of a run as it saw them."""
        results: dict[int, dict[EntryName, StoredResult]] = {}
        shared: dict[tuple[object, ...], StoredResult] = {}
        for node, entry, *row in self._db.execute(
            f"SELECT r.node, r.entry, {self._columns} FROM {_RESULT} WHERE r.run = ?", (run.seq,)
        ):
            one = shared.get(tuple(row)) or shared.setdefault(tuple(row), _result(row))
            results.setdefault(node, {})[self._names[entry]] = one
        wanted: dict[int | None, Mapping[EntryName, str]] = {None: {}}
        seen = {}
        for node, set_, status, error in self._db.execute(
            "SELECT node, entry_set, status, error FROM looked WHERE run = ?", (run.seq,)
        ):
            if set_ not in wanted:
                wanted[set_] = {self._names[entry]: digest for entry, digest in self._set(set_).items()}
            seen[self._nodes[node]] = NodeSight(Status(status), error, wanted[set_], results.get(node, {}))
        return seen

    def of_node(self, name: str, runs: Sequence[Run]) -> list[tuple[Run, NodeSight]]:
        """Return the sights of a node in these runs; those that were not for it are left out."""
        node = next((id_ for id_, other in self._nodes.items() if other == name), None)
        sights = []
        for run in runs if node is not None else ():
            looked = "SELECT entry_set, status, error FROM looked WHERE run = ? AND node = ?"
            row = self._db.execute(looked, (run.seq, node)).fetchone()
            if row is None:
                continue
            wanted = {} if row[0] is None else {self._names[e]: digest for e, digest in self._set(row[0]).items()}
            stored = f"SELECT r.entry, {self._columns} FROM {_RESULT} WHERE r.run = ? AND r.node = ?"
            results = {self._names[entry]: _result(r) for entry, *r in self._db.execute(stored, (run.seq, node))}
            sights.append((run, NodeSight(Status(row[1]), row[2], wanted, results)))
        return sights

    def endings(self, runs: Sequence[Run]) -> list[tuple[dict[int, tuple[Status, bool]], list[str]]]:
        """Return how nodes ended in these runs, by `seq`, with all nodes that ended alike in all of them.

        True beside the status means that nothing is known of the node.
        """
        alike: dict[str, list[str]] = {}
        if runs:
            looked = (
                "SELECT node, group_concat(run || ':' || status || ':' || (error IS NOT NULL), ' ') FROM "
                "(SELECT * FROM looked WHERE run >= ? AND run <= ? ORDER BY node, run) GROUP BY node"
            )
            for node, text in self._db.execute(looked, (runs[0].seq, runs[-1].seq)):
                alike.setdefault(text, []).append(self._nodes[node])
        endings = []
        for text, nodes in alike.items():
            words = (word.split(":") for word in text.split(" "))
            endings.append(({int(run): (Status(status), unseen == "1") for run, status, unseen in words}, nodes))
        return endings

    def counts(self, runs: Sequence[Run]) -> dict[EntryName, dict[int, dict[Status, int]]]:
        """Return on how many nodes entries were not in sync in these runs, by entry, `seq` and status."""
        by_id: dict[int, dict[int, dict[Status, int]]] = {}
        if runs:
            grouped = (
                "SELECT r.entry, r.run, f.status, SUM(r.nodes) FROM (SELECT entry, run, finding, COUNT(*) AS nodes "
                "FROM result WHERE run >= ? AND run <= ? GROUP BY run, entry, finding) r "
                "JOIN finding f ON f.id = r.finding GROUP BY r.entry, r.run, f.status"
            )
            for entry, run, status, nodes in self._db.execute(grouped, (runs[0].seq, runs[-1].seq)):
                by_id.setdefault(entry, {}).setdefault(run, {})[_STATUSES[status]] = nodes
        return {self._names[entry]: by_run for entry, by_run in by_id.items()}

    def fixes(self, after: Run, until: Run) -> list[Fix]:
        """Return the fixes of the runs after one up to another, in order."""
        runs = {run.seq: run for run in self.runs if after.seq < run.seq <= until.seq and run.is_comparing}
        rows = self._db.execute(
            f"SELECT r.run, r.node, r.entry, {self._columns} FROM {_RESULT} WHERE r.run > ? AND r.run <= ?"
            " AND f.status = ? ORDER BY r.run",
            (after.seq, until.seq, Status.FIXED.value),
        )
        return [
            Fix(runs[run], self._nodes[node], self._names[entry], _result(row))
            for run, node, entry, *row in rows
            if run in runs
        ]

    def _set(self, id_: int) -> dict[int, str]:
        """Return the entries of a set with their signatures."""
        if id_ not in self._sets:
            kept = self._db.execute("SELECT members FROM entry_set WHERE id = ?", (id_,)).fetchone()
            if kept is None:
                raise DamageError
            self._sets[id_] = dict(self._asked[member] for member in members(kept[0]))
        return self._sets[id_]


@contextmanager
def opened(path: Path, trust: Trust | None = None) -> Iterator[History]:
    """Open the history in a file. Raises HistoryError for one that cannot be read, or is not trusted."""
    with reading(path, trust or Trust.of_caller()) as db:
        try:
            yield History(db)
        except (KeyError, ValueError, TypeError) as error:
            raise DamageError from error


def _runs(db: sqlite3.Connection) -> Iterator[Run]:
    """Yield the stored runs, the oldest first."""
    version = version_of(db)
    extent = "whole, revision, dirty" if version > 1 else "NULL, '', 0"
    extent += ", unread" if version > 3 else ", 0"
    rows = db.execute(f"SELECT {extent}, {_RUN} FROM run ORDER BY seq").fetchall()
    for whole, commit, dirty, unread, seq, id_, started, ended, mode, user, host, complete, *counts in rows:
        revision = Revision(commit, bool(dirty)) if commit else None
        is_whole = None if whole is None else bool(whole)
        run = Run(seq, id_, when(started), when(ended), mode, user, host, bool(complete), *counts)
        yield replace(run, is_whole=is_whole, revision=revision, unread=unread)


def _result(row: Sequence[object]) -> StoredResult:
    status, message, changes, source, waiver, since, cause, known, modified, changed = row
    return StoredResult(
        Status(status),
        str(message),
        tuple((str(what), str(expected), str(actual)) for what, expected, actual in json.loads(str(changes))),
        str(source),
        str(waiver),
        when(int(str(since))),
        str(cause),
        bool(known),
        None if modified is None else Touched(int(str(modified)), int(str(changed))),
    )
