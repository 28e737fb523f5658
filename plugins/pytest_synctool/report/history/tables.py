"""The tables of the history, written and loaded.

Names, sets and results are stored once for all nodes that share them.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from itertools import count
from typing import Final

from pytest_synctool.model import Outcome, Status
from pytest_synctool.report.ending import NOTHING_KNOWN, NodeEnding
from pytest_synctool.report.history.database import DamageError
from pytest_synctool.report.history.lifetimes import NO_ENTRIES, Begun, Look, Standing, Wanted
from pytest_synctool.report.history_values import Past
from pytest_synctool.report.record import EntryName, RunRecord

# Nodes and entries that no run has seen for so long, and that are in no run that is kept, are forgotten.
MEMORY: Final = timedelta(days=366)
# The time of an entry's last sight is exact to a day: a run need not write a row for each entry.
_SIGHT: Final = timedelta(days=1)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LAST_ID: Final = 1 << 62  # no history has so many rows
_RUN: Final = "id, started, mode, in_sync, drifted, fixed, errors, entries, complete"


def stamp(when: datetime) -> int:
    """Return a time as the history stores it: microseconds since 1970, UTC. A time without an offset is local."""
    return (when.astimezone(UTC) - _EPOCH) // _MICROSECOND


def when(stamped: int) -> datetime:
    """Return a stored time, in UTC."""
    return _EPOCH + timedelta(microseconds=stamped)


def text(value: str) -> str:
    """Return text as the history stores it: names from file systems may not be valid in any encoding."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


def members(kept: str) -> list[int]:
    """Return the ids in a stored set. Raises DamageError."""
    with suppress(ValueError):
        ids = json.loads(kept)
        if isinstance(ids, list) and all(isinstance(one, int) for one in ids):
            return ids
    raise DamageError


def past_of(run: RunRecord) -> Past:
    """Return the end of a run."""
    endings = Counter(node.ending for node in run.nodes)
    drifted = sum(outcome.status is Status.DRIFT for node in run.nodes for _, outcome in node.results)
    return Past(
        run.id,
        run.started,
        run.mode,
        in_sync=endings[NodeEnding.IN_SYNC],
        drifted=endings[NodeEnding.DRIFTED],
        fixed=endings[NodeEnding.FIXED],
        errors=sum(endings[ending] for ending in (*NOTHING_KNOWN, NodeEnding.ERROR)),
        entries=drifted,
        complete=run.complete,
    )


def past(db: sqlite3.Connection, most: int) -> list[Past]:
    """Return the ends of the last runs, the latest one last."""
    rows = db.execute(f"SELECT {_RUN} FROM run ORDER BY seq DESC LIMIT ?", (most,)).fetchall()
    return [
        Past(id_, when(started), mode, in_sync, drifted, fixed, errors, entries, bool(complete))
        for id_, started, mode, in_sync, drifted, fixed, errors, entries, complete in reversed(rows)
    ]


class Tables:
    """The tables before a run is added: the known states of the nodes, and the ids of stored values.

    `now` is the time at which the run began. Raises sqlite3.Error, and DamageError for inconsistent contents.
    """

    def __init__(self, db: sqlite3.Connection, now: datetime) -> None:
        self._db = db
        self._limit = stamp(now - MEMORY)
        self._now = stamp(now)
        rows = db.execute("SELECT id, test, name FROM entry")
        self._names: dict[int, EntryName] = {id_: EntryName(sys.intern(test), name) for id_, test, name in rows}
        wanted = db.execute("SELECT id, entry, signature FROM wanted")
        self._asked: dict[int, tuple[int, str]] = {id_: (entry, signature) for id_, entry, signature in wanted}
        self._wanted: dict[tuple[int, str], int] | None = None  # the reverse
        # New rows are stored together, with ids that are free.
        self._entry_ids = _ids_after(max(self._names, default=0))
        self._wanted_ids = _ids_after(max(self._asked, default=0))
        self._new_entries: list[tuple[int, str, str]] = []
        self._new_wanted: list[tuple[int, int, str]] = []
        self._sets: dict[Wanted, int] = {}
        # By id(): hashing an outcome reads all its changes and details. The looks keep the outcomes alive.
        self._findings: dict[int, int] = {}
        self._nodes: dict[str, tuple[int, int | None]] = {}
        self.standings: Mapping[str, Standing] = self._load()

    @cached_property
    def _entries(self) -> dict[EntryName, int]:
        """The ids by names: a run that finds what the one before has found does without."""
        return {name: id_ for id_, name in self._names.items()}

    def _load(self) -> dict[str, Standing]:
        try:
            known = self._known()
            states: dict[int, tuple[dict[EntryName, Begun], dict[EntryName, Begun]]] = {}
            begun: dict[tuple[int, str], Begun] = {}  # many states began with the same run
            for node, entry, error, since, cause in self._db.execute("SELECT * FROM state"):
                if (since, cause) not in begun:
                    begun[since, cause] = Begun(when(since), cause)
                states.setdefault(node, ({}, {}))[error][self._names[entry]] = begun[since, cause]
            standings = {}
            for id_, name, set_ in self._db.execute("SELECT id, name, known FROM node"):
                self._nodes[name] = id_, set_
                standings[name] = Standing(NO_ENTRIES if set_ is None else known[set_], *states.get(id_, ({}, {})))
        except (KeyError, IndexError, TypeError) as error:
            raise DamageError from error
        return standings

    def _known(self) -> dict[int, Wanted]:
        used = self._db.execute("SELECT id, members FROM entry_set WHERE id IN (SELECT known FROM node)")
        known: dict[int, Wanted] = {}
        forgotten = self._entries_before(self._limit)
        for id_, kept in used.fetchall():
            pairs = [self._asked[member] for member in members(kept)]
            known[id_] = Wanted({self._names[e]: signature for e, signature in pairs if e not in forgotten})
            self._sets[known[id_]] = id_
        return known

    def _entries_before(self, time: int) -> set[int]:
        """Return the ids of the entries that no run has seen since a time."""
        return {id_ for (id_,) in self._db.execute("SELECT id FROM entry WHERE seen < ?", (time,))}

    def add(self, run: RunRecord, looks: Sequence[Look]) -> None:
        """Add a run, whose id is not stored yet."""
        waived = sum(look.ending is NodeEnding.WAIVED for look in looks)
        mine, revision = past_of(run), run.revision
        seq = self._inserted(
            f"INSERT INTO run ({_RUN}, ended, user, host, selected, waived, whole, revision, dirty, unread) "
            f"VALUES ({','.join('?' * 18)})",
            *(text(run.id), self._now, run.mode, mine.in_sync, mine.drifted, mine.fixed, mine.errors, mine.entries),
            *(run.complete, stamp(run.ended), text(run.user), text(run.host), run.selected, waived),
            *(
                run.is_whole,
                "" if revision is None else text(revision.commit),
                revision is not None and revision.is_dirty,
                run.unread,
            ),
        )
        looked, results = [], []
        self._find({id(outcome): outcome for look in looks for _, outcome, _ in look.results}, seq)
        begun = {id(onset): onset for look in looks for _, _, onset in look.results}
        onsets = {key: (stamp(onset.since), onset.cause, onset.known) for key, onset in begun.items()}
        for look in looks:
            node = self._node(look, seq)
            set_ = None if look.error is not None else self._set(look.wanted, seq)
            looked.append((seq, node, set_, look.ending.status.value, None if look.error is None else text(look.error)))
            for entry, outcome, onset in look.results:
                touched = look.touched.get(entry)
                times = (None, None) if touched is None else (touched.modified, touched.changed)
                finding = self._findings[id(outcome)]
                results.append((seq, self._entry(entry), node, finding, *onsets[id(onset)], *times))
            self._note(node, look, seq)
        self._db.executemany("INSERT INTO looked VALUES (?, ?, ?, ?, ?)", looked)
        self._db.executemany("INSERT INTO result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", results)
        self._store_names(seq)
        self._touch(seq, looks)

    def _inserted(self, statement: str, *values: object) -> int:
        row = self._db.execute(statement, values).lastrowid
        assert row is not None
        return row

    def _node(self, look: Look, seq: int) -> int:
        name = text(look.node)
        if name not in self._nodes:
            insert = "INSERT INTO node (name, last, seen) VALUES (?, ?, ?)"
            self._nodes[name] = self._inserted(insert, name, seq, self._now), None
        return self._nodes[name][0]

    def _note(self, node: int, look: Look, seq: int) -> None:
        """Store the known state of a node after a look."""
        known = self._set(look.after.wanted, seq) if look.after.wanted.signatures else None
        if known != self._nodes[text(look.node)][1]:
            self._db.execute("UPDATE node SET known = ? WHERE id = ?", (known, node))
        kinds = ((look.before.drifts, look.after.drifts), (look.before.errors, look.after.errors))
        for error, (before, after) in enumerate(kinds):
            if before == after:
                continue
            gone = [(node, self._entry(entry), error) for entry in before if entry not in after]
            self._db.executemany("DELETE FROM state WHERE node = ? AND entry = ? AND error = ?", gone)
            new = [
                (node, self._entry(entry), error, stamp(begun.since), begun.cause)
                for entry, begun in after.items()
                if before.get(entry) != begun
            ]
            self._db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)", new)

    def _entry(self, name: EntryName) -> int:
        """Return the id of an entry; _store_names() stores a new one."""
        id_ = self._entries.get(name)
        if id_ is None:
            id_ = self._entries[name] = next(self._entry_ids)
            self._new_entries.append((id_, text(name.check), text(name.name)))
        return id_

    def _set(self, wanted: Wanted, seq: int) -> int:
        if wanted not in self._sets:
            ids = sorted(self._member(entry, signature) for entry, signature in wanted.signatures.items())
            kept = json.dumps(ids, separators=(",", ":"))
            digest = _digest(kept)
            row = self._db.execute("SELECT id FROM entry_set WHERE digest = ?", (digest,)).fetchone()
            insert = "INSERT INTO entry_set (digest, members, last) VALUES (?, ?, ?)"
            self._sets[wanted] = int(row[0]) if row else self._inserted(insert, digest, kept, seq)
        return self._sets[wanted]

    def _member(self, entry: EntryName, signature: str) -> int:
        """Return the id of an entry with a signature; _store_names() stores a new one."""
        if self._wanted is None:
            self._wanted = {pair: id_ for id_, pair in self._asked.items()}
        pair = self._entry(entry), text(signature)
        id_ = self._wanted.get(pair)
        if id_ is None:
            id_ = self._wanted[pair] = next(self._wanted_ids)
            self._new_wanted.append((id_, *pair))
        return id_

    def _store_names(self, seq: int) -> None:
        """Store the new entries, and what is expected of them."""
        entries = [(*row, seq, self._now) for row in self._new_entries]
        self._db.executemany("INSERT INTO entry (id, test, name, last, seen) VALUES (?, ?, ?, ?, ?)", entries)
        wanted = [(*row, seq) for row in self._new_wanted]
        self._db.executemany("INSERT INTO wanted (id, entry, signature, last) VALUES (?, ?, ?, ?)", wanted)

    def _find(self, outcomes: Mapping[int, Outcome], seq: int) -> None:
        """Store results, without their differences in contents, and mark them as used by this run."""
        values = _stored_values(outcomes.values())
        digests = [_digest("\0".join(each)) for each in values]
        findings = dict(zip(digests, values, strict=True))
        if not findings:
            return
        # An upsert would look up each of them, and rewrite most.
        stored = self._db.execute("SELECT digest, id FROM finding")
        ids: dict[bytes, int] = {digest: id_ for digest, id_ in stored if digest in findings}
        self._db.executemany("UPDATE finding SET last = ? WHERE id = ?", [(seq, id_) for id_ in sorted(ids.values())])
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM finding").fetchone()
        new = dict(zip((digest for digest in findings if digest not in ids), _ids_after(last), strict=False))
        insert = (
            "INSERT INTO finding (id, digest, status, message, changes, source, waiver, last)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        self._db.executemany(insert, [(id_, digest, *findings[digest], seq) for digest, id_ in new.items()])
        ids |= new
        self._findings = {key: ids[digest] for key, digest in zip(outcomes, digests, strict=True)}

    def _touch(self, seq: int, looks: Sequence[Look]) -> None:
        """Mark all these as used by this run. An entry of a stored set is in use as long as the set is."""
        sets = {look.wanted for look in looks}
        used = {self._sets[wanted] for wanted in sets if wanted in self._sets}
        self._db.executemany("UPDATE entry_set SET last = ? WHERE id = ?", [(seq, row) for row in used])
        stale = self._entries_before(self._now - _SIGHT // _MICROSECOND)
        if stale:
            stale &= {self._entries[entry] for wanted in sets for entry in wanted.signatures}
        for table, rows in (("entry", stale), ("node", {self._nodes[text(look.node)][0] for look in looks})):
            update = f"UPDATE {table} SET last = ?, seen = max(seen, ?) WHERE id = ?"
            self._db.executemany(update, [(seq, self._now, row) for row in rows])

    def prune(self, keep: int) -> None:
        """Delete all but the last runs (1 or more) and the values that they need."""
        db = self._db
        row = db.execute("SELECT seq FROM run ORDER BY seq DESC LIMIT 1 OFFSET ?", (keep - 1,)).fetchone()
        if row is None:
            return
        oldest = row[0]
        for table, column in (("result", "run"), ("looked", "run"), ("run", "seq")):
            db.execute(f"DELETE FROM {table} WHERE {column} < ?", (oldest,))
        db.execute("DELETE FROM finding WHERE last < ?", (oldest,))
        old = (oldest, self._limit)
        for table in ("node", "entry"):
            db.execute(f"DELETE FROM state WHERE {table} IN (SELECT id FROM {table} WHERE last < ? AND seen < ?)", old)
        db.execute("DELETE FROM node WHERE last < ? AND seen < ?", old)
        unused = "last < ? AND id NOT IN (SELECT known FROM node WHERE known IS NOT NULL)"
        if db.execute(f"DELETE FROM entry_set WHERE {unused}", (oldest,)).rowcount:
            self._prune_members()

    def _prune_members(self) -> None:
        """Delete what no set has any more."""
        db, unused = self._db, set(self._asked)
        for (kept,) in db.execute("SELECT members FROM entry_set"):
            unused.difference_update(members(kept))
        db.executemany("DELETE FROM wanted WHERE id = ?", [(id_,) for id_ in unused])
        db.execute("DELETE FROM entry WHERE id NOT IN (SELECT entry FROM wanted UNION SELECT entry FROM state)")


def _ids_after(last: int) -> count[int]:
    """Return the ids after the last one of a table, which SQLite would give. Raises DamageError if there are none."""
    if last > _LAST_ID:
        raise DamageError
    return count(last + 1)


def _stored_values(outcomes: Iterable[Outcome]) -> list[tuple[str, ...]]:
    """Return the status, message, changes, source and waiver of outcomes as the history stores them."""
    dumped: dict[tuple[tuple[str, str, str], ...], str] = {}  # many outcomes have the same changes
    values: list[tuple[str, ...]] = []
    for outcome in outcomes:
        changes = tuple([(c.what, c.expected, c.found) for c in outcome.changes])
        if changes not in dumped:
            dumped[changes] = json.dumps(changes)
        status = Status.FIXED if outcome.was_set else outcome.status  # the drift itself has ended
        words = (status.value, outcome.message, dumped[changes], outcome.source, outcome.waiver)
        values.append(tuple(map(text, words)))
    return values


def _digest(signature: str) -> bytes:
    return blake2b(signature.encode(), digest_size=16).digest()
