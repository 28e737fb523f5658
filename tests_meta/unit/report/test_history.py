"""Runs are recorded in a real file: onsets that outlast what is pruned, several at once, and all that can be wrong."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.trust import Trust
from pytest_synctool.errors import HistoryError
from pytest_synctool.model import Outcome, Revision, Status
from pytest_synctool.report.history.database import writing
from pytest_synctool.report.history.key import keyed, load
from pytest_synctool.report.history.lifetimes import asked, looks
from pytest_synctool.report.history.periods import End, life
from pytest_synctool.report.history.reader import opened
from pytest_synctool.report.history.recorder import Recorded, record
from pytest_synctool.report.history.tables import Tables
from pytest_synctool.report.history_values import Onset
from pytest_synctool.report.record import EntryName, NodeRecord, RunRecord

from tests_meta.unit.helpers import IS_ROOT, NOBODY, snapshot
from tests_meta.unit.runs import STATUSES, day, name, run, unchanged


def record_all(path: Path, *runs: RunRecord, keep: int = 100) -> Recorded:
    """Record some runs without trouble; what is known after the last one."""
    found = [record(path, one, unchanged, keep) for one in runs]
    assert [one.problem for one in found] == [None] * len(runs)
    return found[-1]


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    """All rows of a table."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT * FROM {table}").fetchall()


def ids(path: Path) -> list[str]:
    """The ids of all runs."""
    with opened(path) as history:
        return [one.id for one in history.runs]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reports" / "history.sqlite"


class TestLives:
    def test_a_drift_goes_on(self, path: Path) -> None:
        """Where nobody saw it, it has not ended: unreachable, skipped, not selected, errors, old versions back."""
        for number, found in enumerate((".", "d", None, "s", " .", "e", "w", "d")):
            last = record_all(path, run(number, {"n1": found}))
        assert last.onsets == {("n1", name("a")): Onset(day(1), "node", True)}
        restored = record_all(path, run(8, {"n1": "f"}, mode="restore"))
        assert restored.onsets == {("n1", name("a")): Onset(day(8), "restore", False)}
        after = record_all(path, run(9, {"n1": "d"}))
        assert after.onsets == {("n1", name("a")): Onset(day(1), "restore", True)}

    def test_the_cause_is_ours(self, path: Path) -> None:
        """The node was not changed by others where we put back an old version, or where our own command failed."""
        record_all(path, run(0, {"n1": "...."}), run(1, {"n1": "fd.s"}, mode="restore"))
        after = record_all(path, run(2, {"n1": "dddd"}))
        assert after.onsets == {
            ("n1", name("a")): Onset(day(1), "restore", True),
            ("n1", name("b")): Onset(day(1), "unknown", True),
            ("n1", name("c")): Onset(day(2), "node", False),
            ("n1", name("d")): Onset(day(2), "node", False),
        }
        for check, cause in (
            ("synctool_checks/test_post.py", "command"),
            ("synctool_checks/test_tasks.py", "command"),
            ("synctool_checks/test_always.py", "command"),
            ("test_own.py", "unknown"),
        ):
            entry = EntryName(check, "/x")
            for number, status in enumerate((Status.OK, Status.DRIFT)):
                one = run(len(ids(path)), {})
                results = ((0, Outcome(Status.DRIFT, "differs")),) if status is Status.DRIFT else ()
                one.nodes = [NodeRecord("n1", SharedList([entry]), results)]
                onsets = record_all(path, one).onsets
                assert [onset.cause for onset in onsets.values()] == [cause] * number

    def test_a_repair_whose_post_failed_is_a_repair(self, path: Path) -> None:
        record_all(path, run(0, {"n1": "."}), run(1, {"n1": "d"}))
        repair = run(2, {"n1": "d"}, mode="fix")
        set_and_failed = Outcome(Status.DRIFT, "put right, but x.post failed", was_set=True)
        repair.nodes = [replace(repair.nodes[0], results=((0, set_and_failed),))]
        assert record_all(path, repair).onsets == {("n1", name("a")): Onset(day(1), "node", True)}
        assert record_all(path, run(3, {"n1": "d"})).onsets == {("n1", name("a")): Onset(day(3), "node", False)}
        record_all(path, run(4, {"n1": "f"}), run(5, {"n1": "."}))
        with opened(path) as history:
            sights = history.life(name("a"))["n1"]
        first, second = life(name("a"), sights).periods
        assert (first.end, first.by, first.action) == (End.FIXED, "root@admin1", "put right, but x.post failed")
        assert (second.since, second.end) == (day(3), End.FIXED)

    def test_errors_have_a_life_of_their_own(self, path: Path) -> None:
        last = record_all(path, run(0, {"n1": "d"}), run(1, {"n1": "e"}), run(2, {"n1": None}), run(3, {"n1": "e"}))
        assert last.onsets == {("n1", name("a")): Onset(day(1), "unknown", True)}
        last = record_all(path, run(4, {"n1": "d"}), run(5, {"n1": "e"}))
        assert last.onsets == {("n1", name("a")): Onset(day(5), "unknown", False)}

    def test_what_is_fixed_has_the_life_of_the_drift(self, path: Path) -> None:
        last = record_all(path, run(0, {"n1": "."}), run(1, {"n1": "d"}), run(2, {"n1": "f"}, "fix"))
        assert last.onsets == {("n1", name("a")): Onset(day(1), "node", True)}
        assert record_all(path, run(3, {"n1": "d"})).onsets == {("n1", name("a")): Onset(day(3), "node", False)}

    def test_the_masterdir_changes(self, path: Path) -> None:
        """It is the cause from then on; what cannot be read says nothing."""
        said = ["1", "2", "unreadable", "2", "3"]
        found = [
            record(path, run(n, {"n1": word}), lambda _, __, n=n: said[n], 100)  # type: ignore[misc]
            for n, word in enumerate((".", "d", "e", "d", "f"))
        ]
        onsets = [one.onsets.get(("n1", name("a"))) for one in found]
        assert onsets[1:] == [
            Onset(day(1), "masterdir", False),
            Onset(day(2), "unknown", False),
            Onset(day(1), "masterdir", True),
            Onset(day(1), "masterdir", True),
        ]

    def test_a_node_without_findings_costs_a_row(self, path: Path) -> None:
        nodes: dict[str, str | None] = {f"n{number}": "........" for number in range(50)}
        record_all(path, run(0, nodes), run(1, nodes))
        counts = {table: len(rows(path, table)) for table in ("looked", "result", "state", "entry_set", "wanted")}
        assert counts == {"looked": 100, "result": 0, "state": 0, "entry_set": 1, "wanted": 8}

    def test_contents_are_not_kept(self, path: Path) -> None:
        record_all(path, run(0, {"n1": "dfwe"}))
        assert b"size mismatch" in path.read_bytes()
        assert b"secret" not in path.read_bytes()

    def test_guesses_cannot_be_checked(self, path: Path) -> None:
        """Nobody but the owner can make the digests that are kept."""
        record(path, run(0, {"n1": "."}), lambda _, __: "0123456789abcdef", 10)
        assert b"0123456789abcdef" not in path.read_bytes()
        key = path.with_name(".history.sqlite.key")
        assert (stat.S_IMODE(key.stat().st_mode), key.stat().st_size) == (0o600, 32)
        assert sorted(p.name for p in path.parent.iterdir()) == [
            ".history.sqlite.key", ".history.sqlite.lock", "history.sqlite",
        ]  # fmt: skip

    def test_the_key_is_lost(self, path: Path) -> None:
        """What was asked for before is not known then, which is no change of the masterdir."""
        record_all(path, run(0, {"n1": "d."}))
        path.with_name(".history.sqlite.key").unlink()
        onsets = record_all(path, run(1, {"n1": "dd"})).onsets
        assert onsets == {
            ("n1", name("a")): Onset(day(0), "first", True),
            ("n1", name("b")): Onset(day(1), "unknown", False),
        }
        assert record_all(path, run(2, {"n1": "..d"}), run(3, {"n1": "d.d"})).onsets["n1", name("a")].cause == "node"

    def test_odd_names(self, path: Path) -> None:
        odd = run(0, {"n1": "d"})
        odd.user = "us\udcffer"
        last = record_all(path, odd)
        assert (last.onsets[("n1", name("a"))].cause, ids(path)) == ("first", ["run-0000"])


@dataclass
class Model:
    """What is known of one entry on one node, from one look to the next."""

    said: str | None = None
    drift: tuple[datetime, str] | None = None
    error: datetime | None = None

    def look(self, status: Status, said: str, now: datetime) -> Onset | None:
        """The life of what is found."""
        cause = self.drift[1] if self.drift else "node"
        if self.said is None:
            cause = "first"
        elif self.said != said:
            cause = "masterdir"
        if status is Status.ERROR:
            known, self.error = self.error is not None, self.error or now
            return Onset(self.error, "unknown", known)
        life = Onset(self.drift[0] if self.drift else now, cause, self.drift is not None)
        self.said, self.error = said, None
        self.drift = (life.since, cause) if status in (Status.DRIFT, Status.WAIVED) else None
        return None if status is Status.OK else life


@dataclass
class Cluster:
    """The reference: a Model for each entry on each node."""

    models: dict[tuple[str, EntryName], Model] = field(default_factory=dict)

    def onsets(self, one: RunRecord, said: dict[EntryName, str]) -> dict[tuple[str, EntryName], Onset]:
        """The onsets of what a run finds."""
        found = {}
        for record_ in one.nodes:
            outcomes = dict(record_.results)
            for position, entry in enumerate(record_.entries if record_.error is None else ()):
                status = outcomes[position].status if position in outcomes else Status.OK
                if status is not Status.SKIPPED:
                    model = self.models.setdefault((record_.node, entry), Model())
                    found[record_.node, entry] = model.look(status, said[entry], one.started)
        return {key: life for key, life in found.items() if life is not None}


words = st.one_of(st.none(), st.text("..dddfwse ", min_size=3, max_size=3))
sequences = st.lists(
    st.tuples(st.dictionaries(st.sampled_from(["n1", "n2", "n3"]), words), st.text("12", min_size=3, max_size=3)),
    max_size=12,
)


@given(sequences, st.integers(1, 4))
def test_any_runs(steps: Sequence[tuple[dict[str, str | None], str]], keep: int) -> None:
    """The onsets are those of a simple model, however few runs are kept."""
    reference = Cluster()
    with TemporaryDirectory() as directory:
        path = Path(directory, "history.sqlite")
        for number, (nodes, digits) in enumerate(steps):
            said = {name(letter): digit for letter, digit in zip("abc", digits, strict=True)}
            one = run(number, nodes)
            got = record(path, one, lambda _, entry, said=said: said[entry], keep)  # type: ignore[misc]
            assert got.problem is None
            assert got.onsets == reference.onsets(one, said)
            assert [p.id for p in got.past] == [f"run-{n:04}" for n in range(max(0, number - keep + 1), number + 1)]
        if steps:
            assert len(ids(path)) == min(keep, len(steps))


class TestPruning:
    def test_old_runs_go(self, path: Path) -> None:
        last = record_all(path, *(run(n, {"n1": ".d", "n2": "d" * (n % 3)}) for n in range(30)), keep=5)
        assert ids(path) == [f"run-{n:04}" for n in range(25, 30)]
        assert [p.id for p in last.past] == ids(path)
        assert last.onsets["n1", name("b")] == Onset(day(0), "first", True)
        assert len(rows(path, "looked")) == 10

    def test_what_nobody_needs_goes_with_them(self, path: Path) -> None:
        """Findings, sets and what was asked for, once no run that is kept has them, and nodes that nobody has seen."""
        for number in range(20):
            one = run(number * 100, {"n1": ".d", f"other{number}": "f"})
            one.nodes[0] = type(one.nodes[0])(
                "n1", one.nodes[0].entries, tuple((p, type(o)(o.status, f"{number}")) for p, o in one.nodes[0].results)
            )
            record(path, one, lambda _, __, number=number: str(number), 3)  # type: ignore[misc]
        sizes = {
            table: len(rows(path, table)) for table in ("finding", "entry_set", "wanted", "node", "state", "entry")
        }
        assert sizes == {"finding": 4, "entry_set": 7, "wanted": 7, "node": 5, "state": 1, "entry": 2}

    def test_a_run_that_sees_nothing_new_writes_no_row_for_each_entry(self, path: Path) -> None:
        record_all(path, run(0, {"n1": "." * 500}))
        later = run(1, {"n1": "." * 500})
        with writing(path, Trust.of_caller()) as db:
            before = db.total_changes
            tables, keep = Tables(db, later.started), keyed(load(path, Trust.of_caller()))
            tables.add(later, list(looks(later, asked(later, unchanged, keep), tables.standings)))
            assert db.total_changes - before < 10

    def test_the_file_does_not_grow(self, path: Path) -> None:
        sizes = []
        for number in range(60):
            nodes: dict[str, str | None] = {f"n{n}": "d.d.d.d." for n in range(30)}
            record_all(path, run(number, nodes), keep=10)
            sizes.append(path.stat().st_size)
        assert sizes[-1] <= sizes[20]

    def test_the_file_shrinks(self, path: Path) -> None:
        """Where fewer runs are to be kept than before."""
        nodes: dict[str, str | None] = {f"n{n}": "dddddddd" for n in range(300)}
        record_all(path, *(run(number, nodes) for number in range(15)))
        before = path.stat().st_size
        record_all(path, run(15, nodes), keep=2)
        assert path.stat().st_size < before / 4

    def test_entries_that_are_gone_are_forgotten(self, path: Path) -> None:
        """With the next change of what is asked for, for what all know of a node is kept together until then."""
        record_all(path, run(0, {"n1": "....d"}), *(run(n, {"n1": "."}) for n in range(100, 501, 100)), keep=1)
        assert (len(rows(path, "entry")), rows(path, "state")) == (5, [])
        record(path, run(501, {"n1": "."}), lambda _, __: "new", 1)
        assert (len(rows(path, "entry")), len(rows(path, "wanted"))) == (1, 1)

    def test_nothing_is_kept(self, path: Path) -> None:
        got = record(path, run(0, {"n1": "d"}), unchanged, 0)
        assert (got.onsets, [p.id for p in got.past], got.problem) == ({}, ["run-0000"], None)
        assert not path.parent.exists()

    def test_at_most_sixty_are_told(self, path: Path) -> None:
        last = record_all(path, *(run(n, {}) for n in range(65)))
        assert [p.id for p in last.past] == [f"run-{n:04}" for n in range(5, 65)]


class TestDamage:
    DAMAGES = ("garbage", "truncated", "a page in the middle", "the head")

    @staticmethod
    def damage(path: Path, how: str) -> None:
        """Damage a file of several pages."""
        size = path.stat().st_size
        with path.open("r+b") as file:
            if how == "truncated":
                file.truncate(size // 2 + 100)
            else:
                start, length = {"garbage": (0, size), "a page in the middle": (size // 8192 * 4096, 4096)}.get(
                    how, (0, 9)
                )
                file.seek(start)
                file.write(b"\xa5" * length)

    @staticmethod
    def fill(path: Path) -> None:
        nodes: dict[str, str | None] = {f"n{n}": "d.d.d.d." for n in range(200)}
        record_all(path, *(run(n, nodes) for n in range(5)))

    @pytest.mark.parametrize("how", DAMAGES)
    def test_it_is_set_aside(self, path: Path, how: str) -> None:
        """It is whole beside the new one, and the run is recorded."""
        self.fill(path)
        self.damage(path, how)
        damaged = path.read_bytes()
        with (
            pytest.raises(HistoryError, match=r"is damaged|is a database of something else|is empty"),
            opened(path) as h,
        ):
            [h.nodes(one) for one in h.runs]
        got = record(path, run(9, {"n1": "d"}), unchanged, 100)
        (aside,) = path.parent.glob("history.sqlite.damaged-*")
        assert got.problem == f"{path} was damaged: it is set aside as {aside.name}, and the history begins anew"
        assert aside.read_bytes() == damaged
        assert ids(path) == ["run-0009"]
        assert got.onsets == {("n1", name("a")): Onset(day(9), "first", False)}
        assert record_all(path, run(10, {"n1": "d"})).onsets == {("n1", name("a")): Onset(day(9), "first", True)}

    @pytest.mark.parametrize("table", ["entry", "wanted", "finding"])
    def test_no_id_is_left(self, path: Path, table: str) -> None:
        record_all(path, run(0, {"n1": "d"}))
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"UPDATE {table} SET id = ?", (2**63 - 1,))
        got = record(path, run(1, {"n1": "d"}), unchanged, 100)
        assert "was damaged: it is set aside" in str(got.problem)
        assert ids(path) == ["run-0001"]

    def test_its_journal_is_no_part_of_the_new_one(self, path: Path) -> None:
        self.fill(path)
        self.damage(path, "garbage")
        Path(f"{path}-wal").write_bytes(b"\xa5" * 5000)
        record(path, run(9, {"n1": "d"}), unchanged, 100)
        assert len(list(path.parent.glob("history.sqlite.damaged-*"))) >= 1
        assert ids(path) == ["run-0009"]

    def test_two_in_a_second(self, path: Path) -> None:
        """None takes the name of another."""
        for number in range(4):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"garbage " * 1000)
            assert "damaged" in (record(path, run(number, {}), unchanged, 100).problem or "")
        assert len(list(path.parent.glob("history.sqlite.damaged-*"))) == 4

    def test_an_empty_file(self, path: Path) -> None:
        """There is nothing to set aside."""
        path.parent.mkdir()
        path.touch()
        record_all(path, run(0, {"n1": "d"}))
        assert ids(path) == ["run-0000"]

    @pytest.mark.parametrize(
        ("statement", "problem"),
        [
            ("PRAGMA user_version = 5", "was written by a newer version of synctool"),
            ("PRAGMA application_id = 7", "is a database of something else"),
        ],
    )
    def test_what_is_not_ours_is_left_alone(self, path: Path, statement: str, problem: str) -> None:
        record_all(path, run(0, {"n1": "d"}))
        with closing(sqlite3.connect(path)) as db:
            db.execute(statement)
        before = path.read_bytes()
        got = record(path, run(1, {"n1": "d"}), unchanged, 100)
        assert problem in (got.problem or "")
        assert (got.onsets, [p.id for p in got.past]) == ({}, ["run-0001"])
        assert path.read_bytes() == before
        with pytest.raises(HistoryError, match=problem), opened(path):
            pass

    def test_a_file_of_version_1(self, path: Path) -> None:
        """It is read as it is. The next run adds the columns."""
        record_all(path, run(0, {"n1": "d"}))
        with closing(sqlite3.connect(path)) as db:
            for column in ("whole", "revision", "dirty", "unread"):
                db.execute(f"ALTER TABLE run DROP COLUMN {column}")
            for column in ("modified", "changed"):
                db.execute(f"ALTER TABLE result DROP COLUMN {column}")
            db.execute("PRAGMA user_version = 1")
        before = path.read_bytes()
        with opened(path) as history:
            assert [(one.is_whole, one.revision) for one in history.runs] == [(None, None)]
        assert path.read_bytes() == before
        revision = Revision("ab" * 20, is_dirty=True)
        assert record_all(path, run(1, {"n1": "d"}, is_whole=True, revision=revision)).onsets["n1", name("a")].known
        with opened(path) as history:
            assert [(one.is_whole, one.revision) for one in history.runs] == [(None, None), (True, revision)]

    def test_the_same_run_twice(self, path: Path) -> None:
        record_all(path, run(0, {"n1": "d"}))
        assert "has a run run-0000 already" in (record(path, run(0, {"n1": "."}), unchanged, 100).problem or "")
        assert record_all(path, run(1, {"n1": "d"})).onsets["n1", name("a")].known


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A small file system of its own."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _put_in_place(path: Path, kind: str) -> None:
    """Put something in the place of a file that a recorder opens."""
    if kind == "pipe":
        os.mkfifo(path, 0o600)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "link":
        victim = path.with_name("victim")
        victim.write_bytes(b"")
        path.symlink_to(victim)
    else:
        path.write_bytes(b"")
        path.chmod(0o666 if kind == "writable" else 0o644)
        if kind == "foreign":
            if not IS_ROOT:
                pytest.skip("needs root, to give files away")
            os.chown(path, NOBODY, NOBODY)


class TestDisks:
    @pytest.mark.skipif(not IS_ROOT, reason="needs root to mount")
    @pytest.mark.parametrize("size", [4, 16, 60, 100])
    def test_full(self, tmp_path: Path, size: int) -> None:
        """Nothing is renamed, what was there is whole, and what is known is told."""
        with mounted(tmp_path / "small", f"size={size}k") as place:
            path = place / "history.sqlite"
            nodes: dict[str, str | None] = {f"n{n}": "dddddddd" for n in range(300)}
            last = None
            for number in range(10):
                before, last = last, record(path, run(number, nodes), unchanged, 100)
                if last.problem is not None:
                    break
            assert last is not None
            assert last.problem == f"{path} could not be written: No space left on device; this run is not recorded"
            assert last.past[-1].id == f"run-{number:04}"
            assert not list(place.glob("*damaged*"))
            if before is not None:
                assert last.onsets["n0", name("a")] == Onset(day(0), "first", True)
                assert ids(path) == [p.id for p in before.past]

    @pytest.mark.skipif(not IS_ROOT, reason="needs root to mount")
    def test_read_only(self, tmp_path: Path) -> None:
        """What is known is told all the same, and people can read it there."""
        with mounted(tmp_path / "fixed", "size=1m") as place:
            path = place / "history.sqlite"
            record_all(path, run(0, {"n1": "d"}))
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
            got = record(path, run(1, {"n1": "d"}), unchanged, 100)
            assert got.problem == f"{path} could not be written: Read-only file system; this run is not recorded"
            assert got.onsets == {("n1", name("a")): Onset(day(0), "first", True)}
            assert [p.id for p in got.past] == ["run-0000", "run-0001"]
            assert ids(path) == ["run-0000"]

    @pytest.mark.skipif(not IS_ROOT, reason="needs root to mount")
    def test_read_only_after_a_crash(self, tmp_path: Path) -> None:
        """What a run that was killed has left in the journal counts."""
        with mounted(tmp_path / "fixed", "size=2m") as place:
            path = place / "history.sqlite"
            record_all(path, run(0, {"n1": "d"}))
            with closing(sqlite3.connect(path)) as holding:
                holding.execute("SELECT 1 FROM run").fetchone()
                record_all(path, run(1, {"n1": "d"}))
                kept = {name_: Path(f"{path}{name_}").read_bytes() for name_ in ("", "-wal")}
            for name_, content in kept.items():
                Path(f"{path}{name_}").write_bytes(content)
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
            assert ids(path) == ["run-0000", "run-0001"]

    def test_a_directory_in_its_place(self, path: Path) -> None:
        path.mkdir(parents=True)
        assert "could not be written" in (record(path, run(0, {}), unchanged, 100).problem or "")
        assert path.is_dir()

    def test_a_file_in_place_of_the_directory(self, path: Path) -> None:
        path.parent.touch()
        got = record(path, run(0, {}), unchanged, 100)
        assert got.problem == f"{path} could not be written: File exists; this run is not recorded"

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    def test_permissions(self, path: Path, umask: int) -> None:
        """The history is for nobody else: whoever can open it or its lock can hold up a recorder."""
        before = os.umask(umask)
        try:
            record_all(path, run(0, {"n1": "d"}))
        finally:
            os.umask(before)
        for place in (path, path.with_name(".history.sqlite.lock"), path.with_name(".history.sqlite.key")):
            assert stat.S_IMODE(place.stat().st_mode) == 0o600

    def test_a_lock_that_others_hold_delays_nobody(self, path: Path) -> None:
        """Whoever could open the lock may hold it for ever: the recorder makes another one."""
        record_all(path, run(0, {"n1": "d"}))
        lock = path.with_name(".history.sqlite.lock")
        lock.chmod(0o644)
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            began = time.monotonic()
            got = record(path, run(1, {"n1": "d"}), unchanged, 100)
        assert time.monotonic() - began < 10
        assert got.problem is None
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600

    def test_a_reader_that_does_not_end_delays_a_run_by_seconds(self, path: Path) -> None:
        record_all(path, run(0, {"n1": "d"}))
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            got = record(path, run(1, {"n1": "d"}), unchanged, 100)
        assert time.monotonic() - began < 20
        assert got.problem is not None
        assert "this run is not recorded" in got.problem

    @pytest.mark.parametrize("name", ["", "-wal", "-shm", "-journal"])
    @pytest.mark.parametrize("kind", ["pipe", "zero", "link", "foreign", "writable"])
    def test_nothing_is_opened_that_is_not_a_file_of_ours(self, path: Path, name: str, kind: str) -> None:
        """The run is not recorded, and says why."""
        path.parent.mkdir(exist_ok=True)
        _put_in_place(Path(f"{path}{name}"), kind)
        began = time.monotonic()
        got = record(path, run(0, {"n1": "d"}), unchanged, 100)
        assert time.monotonic() - began < 10
        assert got.problem is not None
        assert re.search("a named pipe|a symbolic link|belongs to|may write", got.problem)

    @pytest.mark.parametrize("kind", ["pipe", "zero", "link", "foreign", "writable"])
    def test_a_lock_that_is_not_ours_delays_nobody(self, path: Path, kind: str) -> None:
        path.parent.mkdir(exist_ok=True)
        lock = path.with_name(".history.sqlite.lock")
        _put_in_place(lock, kind)
        began = time.monotonic()
        got = record(path, run(0, {"n1": "d"}), unchanged, 100)
        assert time.monotonic() - began < 10
        assert got.problem is not None
        assert not path.exists()

    @pytest.mark.parametrize("kind", ["pipe", "zero", "link", "foreign", "writable"])
    def test_a_key_that_is_not_ours_is_not_used(self, path: Path, kind: str) -> None:
        """Digests then compare with nothing."""
        path.parent.mkdir(exist_ok=True)
        _put_in_place(path.with_name(".history.sqlite.key"), kind)
        began = time.monotonic()
        got = record(path, run(0, {"n1": "d"}), unchanged, 100)
        assert time.monotonic() - began < 10
        assert got.problem is None

    def test_reading_changes_nothing(self, path: Path) -> None:
        record_all(path, run(0, {"n1": "d"}))
        before = snapshot(path.parent)
        assert ids(path) == ["run-0000"]
        assert snapshot(path.parent) == before


# Records many runs, each with its own id, and says so after each.
RECORDING = """\
import sys
from pathlib import Path
from tests_meta.unit.runs import run, unchanged
from pytest_synctool.report.history.recorder import record
nodes = {f"n{n}": "d.d.d" for n in range(int(sys.argv[4]))}
for number in range(int(sys.argv[3])):
    one = run(number, nodes)
    one.id = f"{sys.argv[2]}-{number}"
    print(record(Path(sys.argv[1]), one, unchanged, 1000).problem, flush=True)
"""
ROOT = Path(__file__).parents[3]


def recording(path: Path, who: str, runs: int, nodes: int) -> subprocess.Popen[str]:
    """A process that records."""
    command = [sys.executable, "-c", RECORDING, str(path), who, str(runs), str(nodes)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


class TestProcesses:
    @pytest.mark.parametrize("begun_with", ["nothing", "garbage"])
    def test_several_at_once(self, path: Path, begun_with: str) -> None:
        """All runs are there; a damaged file is set aside once, and a good one never."""
        if begun_with == "garbage":
            path.parent.mkdir()
            path.write_bytes(b"garbage" * 1000)
        processes = [recording(path, f"p{number}", 10, 20) for number in range(4)]
        said = [line for process in processes for line in process.communicate(timeout=120)[0].splitlines()]
        problems = [line for line in said if line != "None"]
        assert len(said) == 40
        assert len(problems) == (begun_with == "garbage")
        assert sorted(ids(path)) == sorted(f"p{p}-{n}" for p in range(4) for n in range(10))

    def test_a_file_that_is_read(self, path: Path) -> None:
        """Runs do not wait for who reads without the lock, nor who reads for them."""
        record_all(path, run(0, {"n1": "d"}))
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN")
            assert other.execute("SELECT count(*) FROM run").fetchone() == (1,)
            record_all(path, run(1, {"n1": "d"}))
            assert ids(path) == ["run-0000", "run-0001"]
            assert other.execute("SELECT count(*) FROM run").fetchone() == (1,)

    @pytest.mark.parametrize("moment", range(4))
    def test_killed(self, path: Path, moment: int) -> None:
        """At any time: what was said to be recorded is there, the rest as if it had never begun."""
        process = recording(path, "p", 1000, 400)
        assert process.stdout is not None
        for _ in range(moment + 1):
            assert process.stdout.readline() == "None\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.013 * (moment + 1))
        process.send_signal(signal.SIGKILL)
        said = moment + 1 + len(process.communicate()[0].splitlines())
        assert len(ids(path)) in (said, said + 1)
        after = record(path, run(2000, {"n0": "d"}), unchanged, 1000)
        assert after.problem is None
        assert after.onsets == {("n0", name("a")): Onset(day(0), "first", True)}
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_statuses() -> None:
    """The runs of these tests can hold every outcome."""
    assert set(STATUSES.values()) == set(Status)


def test_one_day_is_one_day() -> None:
    assert day(2) - day(1) == timedelta(days=1)
