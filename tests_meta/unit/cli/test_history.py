"""`synctool-history` on recorded runs, in its own process; and durations as words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import Outcome, Revision, Status, Touched
from pytest_synctool.report.history.reader import opened
from pytest_synctool.report.history.recorder import record
from pytest_synctool.report.history.since import beginning
from pytest_synctool.report.history.wording import lasting
from pytest_synctool.report.record import EntryName, NodeRecord

from tests_meta.unit.helpers import IS_ROOT, NOBODY, snapshot
from tests_meta.unit.runs import run, unchanged

COMMAND = str(Path(sys.executable).with_name("synctool-history"))
PATH = Path("reports", "history.sqlite")


def command(directory: Path, *arguments: str, status: int = 0) -> str:
    """Run the command. Return standard output if `status` is 0, else standard error."""
    done = subprocess.run(
        [COMMAND, *arguments], cwd=directory, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "TZ": "UTC"},
    )  # fmt: skip
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr
    assert not (done.stderr if status == 0 else done.stdout)
    return done.stdout or done.stderr


def signature(number: int, _: str, entry: EntryName) -> str:
    """Return the signature of an entry at a run. That of /etc/b changes with the third run."""
    return "new" if number >= 2 and entry.name == "/etc/b" else "old"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with runs: nodes change a and it is fixed, the masterdir changes b, the drift of c ends by itself."""
    steps: list[tuple[str, dict[str, str | None]]] = [
        ("audit", {"n1": "...", "n2": "...", "n3": "...", "old": "..."}),
        ("audit", {"n1": "d.d", "n2": "d..", "n3": None}),
        ("fix", {"n1": "ff.", "n2": "ffe", "n3": "d.w"}),
        ("audit", {"n1": "...", "n2": "..e", "n3": "d.w", "new": "d.."}),
    ]
    for number, (mode, nodes) in enumerate(steps):
        one = run(number, nodes, mode, complete=number != 1, is_whole=number != 1)
        assert record(tmp_path / PATH, one, partial(signature, number), 100).problem is None
    return tmp_path


def test_runs(site: Path) -> None:
    assert command(site) == (
        "    run       began                took       mode   by         "
        "  nodes  in sync  drifted  waived  fixed  errors\n"
        "-4  run-0000  2026-01-01 00:00:00  2 minutes  audit  root@admin1"
        "      4        4        0       0      0       0\n"
        "-3  run-0001  2026-01-02 00:00:00  2 minutes  audit  root@admin1"
        "      3        0        2       0      0       1"
        "  of a part  not complete\n"
        "-2  run-0002  2026-01-03 00:00:00  2 minutes  fix    root@admin1"
        "      3        0        1       0      1       1\n"
        "-1  run-0003  2026-01-04 00:00:00  2 minutes  audit  root@admin1"
        "      4        1        2       0      0       1\n"
    )
    assert [line.split()[0] for line in command(site, "-N2").splitlines()[1:]] == ["-2", "-1"]
    value = json.loads(command(site, "--json", "--last", "1"))
    assert value == {
        "version": 1,
        "runs": [
            {
                "id": "run-0003",
                "started": "2026-01-04T00:00:00+00:00",
                "ended": "2026-01-04T00:02:00+00:00",
                "mode": "audit",
                "user": "root",
                "host": "admin1",
                "complete": True,
                "nodes": {"selected": 4, "in_sync": 1, "drifted": 2, "fixed": 0, "waived": 0, "errors": 1},
                "drifted_entries": 2,
                "files_not_read": 0,
                "whole": True,
                "revision": None,
            }
        ],
    }


class TestLife:
    def test_corrective(self, site: Path) -> None:
        """Nodes with the same history are printed once."""
        assert command(site, "/etc/a") == (
            "/etc/a (overlay)\n"
            "  n[1-2]:\n"
            "    looked at from 2026-01-01 00:00:00 to 2026-01-04 00:00:00\n"
            "    2026-01-02 00:00:00 to 2026-01-03 00:00:00, for 1 day: size mismatch\n"
            "        the node was changed; corrective change, fixed by root@admin1: replaced (size mismatch)\n"
            "  n3:\n"
            "    looked at from 2026-01-01 00:00:00 to 2026-01-04 00:00:00\n"
            "    since 2026-01-03 00:00:00, for 1 day: size mismatch\n"
            "        the node was changed; still so\n"
            "  new:\n"
            "    looked at once, 2026-01-04 00:00:00\n"
            "    since 2026-01-04 00:00:00, for 0 seconds: size mismatch\n"
            "        found when it was first looked at; still so\n"
            "  old:\n"
            "    always in order: looked at once, 2026-01-01 00:00:00\n"
        )

    def test_intentional(self, site: Path) -> None:
        assert command(site, "//etc/./b", "-n", "n[2,1]").splitlines()[3:] == [
            "    2026-01-03 00:00:00: something else is asked for (the masterdir was changed)",
            "    2026-01-03 00:00:00: replaced (size mismatch)",
            "        the masterdir was changed; intentional change, fixed by root@admin1",
        ]

    def test_tasks(self, tmp_path: Path) -> None:
        """A task runs without drift, so it repairs nothing."""
        task = EntryName("synctool_checks/test_tasks.py", "/check")
        outcomes = [
            Outcome(Status.FIXED, "ran tasks/check._all"),
            Outcome(Status.FIXED, "ran tasks/check._all"),
            Outcome(Status.DRIFT, "exit status 3"),
            Outcome(Status.FIXED, "ran tasks/check._all"),
        ]
        for number, outcome in enumerate(outcomes):
            one = run(number, {}, "fix")
            one.nodes.append(NodeRecord("n1", SharedList([task]), ((0, outcome),)))
            assert record(tmp_path / PATH, one, unchanged, 100).problem is None
        assert command(tmp_path, "/check") == (
            "/check (task)\n"
            "  n1:\n"
            "    looked at from 2026-01-01 00:00:00 to 2026-01-04 00:00:00\n"
            "    2026-01-01 00:00:00: ran tasks/check._all, by root@admin1\n"
            "    2026-01-02 00:00:00: ran tasks/check._all, by root@admin1\n"
            "    2026-01-03 00:00:00 to 2026-01-04 00:00:00, for 1 day: exit status 3\n"
            "        ran tasks/check._all, by root@admin1\n"
        )
        periods = json.loads(command(tmp_path, "/check", "--json"))["entries"][0]["periods"]
        assert [(period["end"], period["kind"]) for period in periods] == [("ran", None)] * 3
        assert "ran:\n  n1: /check ran tasks/check._all" in command(tmp_path, "--between", "-3", "-4")

    def test_other_ends(self, site: Path) -> None:
        lines = command(site, "/etc/c").splitlines()
        assert lines[3:5] == [
            "    2026-01-02 00:00:00 to 2026-01-03 00:00:00, for 1 day: size mismatch",
            "        the node was changed; gone without a recorded repair",
        ]
        assert lines[7:9] == ["    since 2026-01-03 00:00:00, for 1 day: error: error", "        still so"]
        assert lines[12] == "        the node was changed; waived: for a test, until 2030-01-01"

    def test_json(self, site: Path) -> None:
        value = json.loads(command(site, "--json", "/etc/a", "-n", "n1,n2"))
        assert value == {
            "version": 1,
            "entries": [
                {
                    "check": "synctool_checks/test_overlay.py",
                    "kind": "overlay",
                    "name": "/etc/a",
                    "path": "/etc/a",
                    "nodes": ["n1", "n2"],
                    "first_looked_at": "2026-01-01T00:00:00+00:00",
                    "last_looked_at": "2026-01-04T00:00:00+00:00",
                    "periods": [
                        {
                            "since": "2026-01-02T00:00:00+00:00",
                            "until": "2026-01-03T00:00:00+00:00",
                            "status": "drift",
                            "message": "size mismatch",
                            "cause": "node",
                            "end": "fixed",
                            "kind": "corrective",
                            "fixed_by": "root@admin1",
                            "action": "replaced (size mismatch)",
                            "waiver": None,
                        }
                    ],
                    "restored": [],
                    "touched": {},
                    "asked_for_changed": [],
                }
            ],
        }

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["/etc/aa"], "no run that is kept has looked at /etc/aa (did you mean '/etc/a'?)"),
            (["/etc/a", "-n", "n9"], "-n: no run in reports/history.sqlite has looked at /etc/a on 'n9'"),
            (["/etc/a", "-n", "n["], "-n: 'n[' is not a node set"),
            ([""], "no run that is kept has looked at "),
            (["-n", "n9"], "-n: no run in reports/history.sqlite was for 'n9'"),
            (["/etc/a", "-N", "1"], "-N goes with the list of runs and with -n only"),
            (["/etc/a", "--since", "2026-01-05"], "no run that is kept has looked at /etc/a since then"),
            (["--since", "soon"], "expected a day like 2026-11-29"),
            (["-1", "--since", "1d"], "--since does not go with RUN"),
            (["-5"], "RUN: -5: reports/history.sqlite has only 4 runs"),
            (["run-000"], "RUN: 'run-000' could be 4 runs"),
            (["/etc/a", "--between", "-1", "-2"], "give one of them"),
        ],
    )
    def test_mistakes(self, site: Path, arguments: list[str], problem: str) -> None:
        assert problem in command(site, *arguments, status=2)

    def test_odd_names(self, tmp_path: Path) -> None:
        """Output escapes unprintable characters. Arguments contain them unescaped."""
        one = run(0, {})
        names = (EntryName("synctool_checks/test_overlay.py", "/etc/a%0A%FF"), EntryName("checks/test_own.py", "/x"))
        one.nodes.append(NodeRecord("n1", SharedList(names), ((0, Outcome(Status.DRIFT, "miss\x1bing")),)))
        record(tmp_path / PATH, one, unchanged, 10)
        out = command(tmp_path, os.fsdecode(b"/etc/a\n\xff"))
        assert out.startswith("/etc/a\\n\\xff (overlay)\n")
        assert "miss\\x1bing" in out
        assert command(tmp_path, "/x").startswith("/x (checks/test_own.py)\n")


class TestRun:
    def test_a_run(self, site: Path) -> None:
        lines = command(site, "-2").splitlines()
        assert command(site, "run-0002").splitlines() == lines
        assert lines == [
            "run run-0002 (2026-01-03 00:00:00, fix by root@admin1, took 2 minutes)",
            "fix of the whole cluster",
            "3 nodes: 1 drifted, 1 fixed, 1 with errors",
            "errors:",
            "  n2: /etc/c error",
            "drift:",
            "  n3: /etc/a size mismatch (the node was changed)",
            "waived drift:",
            "  n3: /etc/c size mismatch (the node was changed, for a test, until 2030-01-01)",
            "fixed:",
            "  n[1-2]: /etc/a replaced (size mismatch) (the node was changed, since 2026-01-02 00:00:00)",
            "  n[1-2]: /etc/b replaced (size mismatch) (the masterdir was changed)",
        ]

    def test_what_was_not_looked_at(self, site: Path) -> None:
        lines = command(site, "run-0001", "-n", "n[2-3]").splitlines()
        assert lines[1:5] == [
            "audit of a part of the cluster, not complete",
            "2 nodes: 1 drifted, 1 with errors",
            "not looked at:",
            "  n3: unreachable: no answer",
        ]

    def test_json(self, site: Path) -> None:
        value = json.loads(command(site, "--json", "-1", "-n", "n3"))
        assert (value["run"]["id"], [node["node"] for node in value["nodes"]]) == ("run-0003", ["n3"])
        assert [(one["path"], one["outcome"]) for one in value["nodes"][0]["results"]] == [
            ("/etc/a", "drift"),
            ("/etc/c", "waived"),
        ]

    def test_the_revision(self, tmp_path: Path) -> None:
        record(tmp_path / PATH, run(0, {"n1": "."}, revision=Revision("ab" * 20, is_dirty=True)), unchanged, 10)
        assert "masterdir: abababababab (dirty)" in command(tmp_path, "-1").splitlines()


class TestTimes:
    def test_of_what_differs_now(self, tmp_path: Path) -> None:
        """Each node has its own times; a number that is no time is left out."""
        for number in range(2):
            one = run(number, {f"n{n}": "d" for n in range(7)})
            one.nodes = [
                replace(node, touched={0: Touched(1_700_000_000 + n, 1_700_000_060 if n else 10**12 - 1)})
                for n, node in enumerate(one.nodes)
            ]
            assert record(tmp_path / PATH, one, unchanged, 10).problem is None
        lines = command(tmp_path, "/etc/a").splitlines()
        assert lines[5:7] == [
            "    on n0 now: contents of 2023-11-14 22:13:20",
            "    on n1 now: contents of 2023-11-14 22:13:21, owner, mode or name of 2023-11-14 22:14:20",
        ]
        assert (len(lines), lines[-1]) == (11, "    times on the other nodes: -n NODE")
        times = "contents of 2023-11-14 22:13:21, owner, mode or name of 2023-11-14 22:14:20"
        last = command(tmp_path, "-n", "n1").splitlines()[-1]
        assert last.endswith(f"drifted: /etc/a size mismatch ({times})")
        (value,) = json.loads(command(tmp_path, "/etc/a", "-n", "n0", "--json"))["entries"]
        assert value["touched"] == {"n0": {"modified": "2023-11-14T22:13:20+00:00", "changed": None}}


class TestNodes:
    def test_over_time(self, site: Path) -> None:
        assert command(site, "-n", "n3,old").splitlines() == [
            "n3:",
            "  -4  run-0000  2026-01-01 00:00:00  audit    in sync",
            "  -3  run-0001  2026-01-02 00:00:00  audit    not looked at: unreachable: no answer",
            "  -2  run-0002  2026-01-03 00:00:00  fix      drifted: /etc/a size mismatch; /etc/c size mismatch",
            "  -1  run-0003  2026-01-04 00:00:00  audit    drifted: /etc/a size mismatch; /etc/c size mismatch",
            "old:",
            "  -4  run-0000  2026-01-01 00:00:00  audit    in sync",
        ]
        assert len(command(site, "-n", "n3", "-N2").splitlines()) == 3
        value = json.loads(command(site, "-n", "n3", "--json"))
        assert [one["outcome"] for one in value["nodes"][0]["runs"]] == ["ok", "error", "drift", "drift"]


class TestSince:
    def test_runs_and_lives(self, site: Path) -> None:
        assert [line.split()[0] for line in command(site, "--since", "2026-01-03").splitlines()[1:]] == ["-2", "-1"]
        assert len(command(site, "--since", "2026-01-03T00:00:01").splitlines()) == 2
        lines = command(site, "/etc/a", "--since", "2026-01-03", "-n", "n1").splitlines()
        assert lines[2] == "    looked at from 2026-01-03 00:00:00 to 2026-01-04 00:00:00"
        assert command(site, "--between", "-1", "-2", "-n", "n3").splitlines()[2:] == ["nothing has changed"]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            *(("today", "2026-11-29T00:00"), ("yesterday", "2026-11-28T00:00"), ("12h", "2026-11-28T15:30")),
            *(("3d", "2026-11-26T03:30"), ("2w", "2026-11-15T03:30"), ("2026-11-01", "2026-11-01T00:00")),
            *(("2026-11-01 04:05", "2026-11-01T04:05"), ("soon", None), ("", None), ("2026-13-01", None)),
            *(("99999999d", None), ("2026-1-1", None), ("\u0663d", None), ("0001-01-01", None)),
        ],
    )
    def test_beginnings(self, text: str, expected: str | None) -> None:
        now = datetime.fromisoformat("2026-11-29T03:30").astimezone()
        if expected is None:
            with pytest.raises(ValueError, match="expected a day"):
                beginning(text, now)
        else:
            assert beginning(text, now) == datetime.fromisoformat(expected).astimezone()


class TestBetween:
    def test_what_changed(self, site: Path) -> None:
        assert command(site, "--between", "-4", "run-0002") == (
            "from run-0000 (2026-01-01 00:00:00, audit by root@admin1)\n"
            "to   run-0002 (2026-01-03 00:00:00, fix by root@admin1)\n"
            "new errors:\n"
            "  n2: /etc/c error\n"
            "new drift:\n"
            "  n3: /etc/a size mismatch (the node was changed)\n"
            "fixed:\n"
            "  n[1-2]: /etc/a replaced (size mismatch) (corrective, the node was changed, by root@admin1)\n"
            "  n[1-2]: /etc/b replaced (size mismatch) (intentional, the masterdir was changed, by root@admin1)\n"
            "newly waived:\n"
            "  n3: /etc/c size mismatch (the node was changed)\n"
            "something else is asked for (the masterdir was changed):\n"
            "  n[1-3]: /etc/b\n"
            "nodes that only the first run was for:\n"
            "  old\n"
        )

    def test_the_order_does_not_matter(self, site: Path) -> None:
        assert command(site, "--between", "-1", "-2") == command(site, "--between", "-2", "-1")

    def test_others(self, site: Path) -> None:
        """Unreachable nodes, drift that ended without a repair, and drift that no later run looked at."""
        assert command(site, "--between", "-4", "-3").splitlines()[2:4] == [
            "could not be looked at any more:",
            "  n3: unreachable: no answer",
        ]
        lines = command(site, "--between", "-3", "-2").splitlines()[1:]
        at = lines.index("drift that is gone without a recorded repair:")
        assert lines[at + 1] == "  n1: /etc/c size mismatch (the node was changed)"
        assert lines[lines.index("could be looked at again:") + 1] == "  n3"
        record(site / PATH, run(5, {"n1": None, "n3": " ."}), unchanged, 100)
        lines = command(site, "--between", "-2", "-1").splitlines()
        at = lines.index("drift that was not looked at again:")
        assert lines[at + 1] == "  n[3,new]: /etc/a size mismatch (the node was changed)" or lines[at + 1 : at + 3] == [
            "  new: /etc/a size mismatch (found when it was first looked at)",
            "  n3: /etc/a size mismatch (the node was changed)",
        ]

    def test_nothing(self, site: Path) -> None:
        assert command(site, "--between", "-1", "-1").splitlines()[2:] == ["nothing has changed"]

    def test_json(self, site: Path) -> None:
        value = json.loads(command(site, "--json", "--between", "run-0001", "run-0002"))
        assert [value["version"], value["from"]["id"], value["to"]["id"]] == [1, "run-0001", "run-0002"]
        assert {
            "what": "fixed",
            "nodes": ["n1", "n2"],
            "entry": {
                "check": "synctool_checks/test_overlay.py", "kind": "overlay", "name": "/etc/a", "path": "/etc/a",
            },
            "message": "replaced (size mismatch)",
            "cause": "node",
            "kind": "corrective",
            "fixed_by": "root@admin1",
        } in value["changes"]  # fmt: skip

    @pytest.mark.parametrize(
        ("one", "problem"),
        [
            ("-5", "--between: -5: reports/history.sqlite has only 4 runs"),
            ("x", "--between: no run 'x' in reports/history.sqlite; synctool-history lists them"),
            ("run", "--between: 'run' could be 4 runs: run-0000, run-0001, run-0002, ..."),
            ("", "--between: no run ''"),
        ],
    )
    def test_mistakes(self, site: Path, one: str, problem: str) -> None:
        assert problem in command(site, "--between", one, "-1", status=2)


class TestFile:
    def test_there_is_none(self, tmp_path: Path) -> None:
        assert command(tmp_path, status=2) == (
            "reports/history.sqlite is not there: no run has been recorded in this directory\n"
        )
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("content", "problem"),
        [(b"", "is empty"), (b"garbage" * 1000, "is damaged: the next run will set it aside and begin anew")],
    )
    def test_it_is_damaged(self, tmp_path: Path, content: bytes, problem: str) -> None:
        """A command that only reads does not set the file aside."""
        (tmp_path / "history.sqlite").write_bytes(content)
        before = snapshot(tmp_path)
        assert problem in command(tmp_path, "--reports", ".", status=2)
        assert snapshot(tmp_path) == before

    def test_nothing_is_changed(self, site: Path) -> None:
        before = snapshot(site)
        for arguments in ([], ["/etc/a"], ["--between", "-1", "-2"]):
            command(site, *arguments)
        assert snapshot(site) == before

    @pytest.mark.skipif(not IS_ROOT, reason="needs root to become somebody else")
    def test_somebody_else_may_read(self, open_directory: Path) -> None:
        """Another user can read the history without write permission."""
        record(open_directory / PATH, run(0, {"n1": "d"}), unchanged, 10)
        (open_directory / PATH).chmod(0o644)
        before = snapshot(open_directory)
        os.seteuid(NOBODY)
        try:
            with opened(open_directory / PATH) as history:
                assert [one.id for one in history.runs] == ["run-0000"]
        finally:
            os.seteuid(0)
        assert snapshot(open_directory) == before


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"), (1, "1 second"), (59.6, "1 minute"), (61, "1 minute 1 second"), (3605, "1 hour"),
        (90_000, "1 day 1 hour"), (86_400 * 20 + 59, "20 days"), (-5, "0 seconds"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert lasting(timedelta(seconds=seconds)) == words
