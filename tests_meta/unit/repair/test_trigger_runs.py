"""Triggers carried out by real shells: when, where, how often, and how they may end."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool.audit import owed_commands
from pytest_synctool.model import ABSENT, Kind
from pytest_synctool.repair.plan import plan
from pytest_synctool.repair.script import Result
from pytest_synctool.repository.entry_commands import Command, OwnedCommand

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import IS_ROOT, Shell, state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

ROOT = state(Kind.DIRECTORY, mode=0o755)


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


def log(node: DiskNode) -> list[str]:
    """What the triggers wrote, a line each."""
    path = node.top / "log"
    return path.read_text().splitlines() if path.exists() else []


def test_order_directory_and_number_of_runs(node: DiskNode) -> None:
    note = f'#!/bin/sh\necho "${{0##*/}} in $(pwd)" >>{node.top}/log\n'
    directory = node.entry("d d", ROOT, trigger=node.trigger("overlay/d d.post", note))
    one = node.entry("d d/one", EXPECTED["file"], trigger=node.trigger("overlay/d d/one.post", note))
    two = node.entry("d d/two", EXPECTED["file"], trigger=node.trigger("overlay/d d/two.post._all", note))
    (node.files / "d d").mkdir()
    assert set(node.fix(directory, two, one)) == {None}
    place = node.files / "d d"
    assert log(node) == [f"one.post in {place}", f"two.post._all in {place}", f"d d.post in {place}"]
    assert node.fix(directory, one, two) == []
    assert len(log(node)) == 3


def test_only_after_a_change_that_was_made(node: DiskNode) -> None:
    note = f'#!/bin/sh\necho "${{0##*/}}" >>{node.top}/log\n'
    directory = node.entry("d", ROOT, trigger=node.trigger("overlay/d.post", note))
    bad = node.entry("d/bad", EXPECTED["file"], trigger=node.trigger("overlay/d/bad.post", note))
    good = node.entry("d/good", EXPECTED["file"], trigger=node.trigger("overlay/d/good.post", note))
    (node.files / "d/bad.saved").mkdir(parents=True)
    (node.files / "d/bad").write_text("old")
    failures = node.fix(bad, of=(directory,))
    assert failures[1:] == ["did not run", "did not run"]
    assert log(node) == []
    parent, failure, *others = node.fix(bad, good, of=(directory,))
    assert (parent, others) == (None, [None, "did not run", None, None])
    assert failure is not None
    assert log(node) == ["good.post", "d.post"]


@pytest.mark.parametrize(
    ("text", "mode", "failure", "output"),
    [
        ("#!/bin/sh\necho out; echo err >&2\n", 0o755, None, ("out", "err")),
        ("echo no first line\n", 0o755, None, ("no first line",)),
        ("#!/bin/sh\nprintf 'no newline'", 0o755, None, ("no newline",)),
        ("#!/bin/sh\nprintf 'ok 0\\nfailed 1 x\\nend\\n'", 0o755, None, ("ok 0", "failed 1 x", "end")),
        ("#!/bin/sh\nprintf '\\033[1m\\377\\n'", 0o755, None, ("\\x1b[1m\\xff",)),
        ("#!/bin/sh\ncat; echo read everything\n", 0o755, None, ("read everything",)),
        ("#!/bin/sh\necho why; exit 3\n", 0o755, "exit status 3", ("why",)),
        ("exit 4\n", 0o755, "exit status 4", ()),
        ("#!/bin/sh\nkill -9 $$\n", 0o755, "exit status 137", ()),
        ("#!/bin/sh\n", 0o644, "it is not an executable file", ()),
    ],
)
def test_how_they_end(node: DiskNode, text: str, mode: int, failure: str | None, output: tuple[str, ...]) -> None:
    one = node.entry("f", EXPECTED["file"], trigger=node.trigger("overlay/f.post", text, mode))
    todo = plan([(one, ABSENT)], {one.destination: one}, os.fsencode(node.master))
    assert node.carry_out(todo) == [Result(None), Result(failure, output)]


@pytest.mark.parametrize("text", ["#!/no/such/interpreter\n", None])
def test_what_cannot_be_run(node: DiskNode, text: str | None) -> None:
    name = "overlay/f.post" if text is None else node.trigger("overlay/f.post", text)
    assert node.fix(node.entry("f", EXPECTED["file"], trigger=name))[1] is not None


def test_a_daemon_that_keeps_its_output_open_does_not_hold_up_the_run(node: DiskNode) -> None:
    text = f"#!/bin/sh\nsleep 300 &\necho $! >{node.top}/pid\necho started\n"
    one = node.entry("f", EXPECTED["file"], trigger=node.trigger("overlay/f.post", text))
    todo = plan([(one, ABSENT)], {one.destination: one}, os.fsencode(node.master))
    try:
        assert node.carry_out(todo) == [Result(None), Result(None, ("started",))]
    finally:
        os.kill(int((node.top / "pid").read_text()), signal.SIGKILL)


def test_an_on_update_is_shell_text(node: DiskNode) -> None:
    """Documentation: "/bin/rm /etc/xinetd.d/*.saved ; /etc/init.d/xinetd reload"; one without a path is in scripts/."""
    node.trigger("scripts/note it.sh", "#!/bin/sh\nexit 9\n")
    node.trigger("scripts/note.sh", f'#!/bin/sh\necho "note $* in $(pwd)" >>{node.top}/log\n')
    directory = replace(
        node.entry("d", ROOT), on_update=b"/bin/rm -f *.old ; echo $(ls) >>" + os.fsencode(node.top / "log")
    )
    file = replace(node.entry("d/f", EXPECTED["file"]), on_update=b"note.sh 'one  two' $((1+2))")
    (node.files / "d").mkdir()
    (node.files / "d/x.old").touch()
    assert set(node.fix(directory, file)) == {None}
    assert log(node) == [f"note one  two 3 in {node.files / 'd'}", "f"]


def test_what_a_trigger_finds_in_its_environment(node: DiskNode) -> None:
    text = f"#!/bin/sh\nenv | grep ^SYNCTOOL_ | sort >{node.top}/log\n"
    assert set(node.fix(node.entry("f", EXPECTED["file"], trigger=node.trigger("overlay/f.post", text)))) == {None}
    assert log(node) == [
        f"SYNCTOOL_MASTERDIR={node.master}",
        "SYNCTOOL_NODE=node3",
        "SYNCTOOL_NODENAME=three",
        f"SYNCTOOL_ROOT={node.master}",
    ]


def test_a_trigger_that_does_not_end(node: DiskNode) -> None:
    """It is ended after its time, the ones behind it still run."""
    node.trigger_timeout = 1
    fifo = node.top / "never"
    os.mkfifo(fifo)
    slow = node.entry("a", EXPECTED["file"], trigger=node.trigger("overlay/a.post", f"#!/bin/sh\nread x <{fifo}\n"))
    other = node.entry("b", EXPECTED["file"], trigger=node.trigger("overlay/b.post", "#!/bin/sh\n"))
    failures = node.fix(slow, other)
    assert failures[2] in ("it did not end within 1 s", "it was terminated (it has 1 s)")
    assert (*failures[:2], failures[3]) == (None, None, None)


class TestJournal:
    """What has to run after a change is noted before the change, and until it has run."""

    def owed(self, node: DiskNode) -> list[str]:
        """The names in the journal."""
        return sorted(path.name for path in (node.top / "state").glob("*/owed/*"))

    def test_it_is_written_before_the_first_change_and_empty_afterwards(self, node: DiskNode) -> None:
        script = f"#!/bin/sh\nls {node.top}/state/*/owed | wc -l >>{node.top}/log\n"
        one = node.entry("a", EXPECTED["file"], trigger=node.trigger("overlay/a.post", script))
        two = node.entry("b", EXPECTED["file"], trigger=node.trigger("overlay/b.post", script))
        assert set(node.fix(one, two)) == {None}
        assert [line.strip() for line in log(node)] == ["2", "1"]
        assert self.owed(node) == []

    def test_what_has_failed_stays_and_what_was_not_fired_does_not(self, node: DiskNode) -> None:
        fails = node.entry("a", EXPECTED["file"], trigger=node.trigger("overlay/a.post", "#!/bin/sh\nexit 1\n"))
        (node.files / "b.saved").mkdir()
        (node.files / "b").write_text("old")
        unfired = node.entry("b", EXPECTED["file"], trigger=node.trigger("overlay/b.post", "#!/bin/sh\n"))
        assert node.fix(fails, unfired)[2:] == ["exit status 1", "did not run"]
        assert self.owed(node) == [os.fsdecode(owed_commands.name(fails.destination, "post"))]
        node.trigger("overlay/a.post", "#!/bin/sh\n")
        todo = plan(
            [],
            {fails.destination: fails},
            os.fsencode(node.master),
            [OwnedCommand(fails, Command("post", b"overlay/a.post"))],
        )
        assert node.carry_out(todo) == [Result(None)]
        assert self.owed(node) == []

    def test_no_journal_no_change(self, node: DiskNode) -> None:
        (node.top / "state").write_text("in the way")
        (failure,) = node.fix(node.entry("a", EXPECTED["file"]))
        assert failure is not None
        assert failure.startswith("no journal can be kept there: ")
        assert not (node.files / "a").exists()


class TestLock:
    """One repair at a time on a node."""

    def born(self) -> str:
        return Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19]

    def take(self, node: DiskNode, holder: str) -> Path:
        (node.top / "state").mkdir()
        lock = node.top / "state" / "lock"
        lock.write_text(f"{holder} anna@admin1, process 7, since yesterday\n")
        return lock

    def test_the_second_one_is_told_who_holds_it(self, node: DiskNode) -> None:
        lock = self.take(node, f"{os.getpid()} {self.born()}")
        (failure,) = node.fix(node.entry("a", EXPECTED["file"]))
        assert failure == "another --fix is under way there: anna@admin1, process 7, since yesterday"
        assert not (node.files / "a").exists()
        assert [path.name for path in lock.parent.iterdir()] == ["lock"]

    @pytest.mark.parametrize("holder", ["{pid} 1", "4194304 5", "4194304 -"])
    def test_one_that_was_left_behind_is_taken_over(self, node: DiskNode, holder: str) -> None:
        """Its process is gone, or its number belongs to another one now."""
        lock = self.take(node, holder.format(pid=os.getpid()))
        assert node.fix(node.entry("a", EXPECTED["file"])) == [None]
        assert [path for path in lock.parent.iterdir() if path.name.startswith("lock")] == []

    def test_it_says_whose_it_is_while_it_is_held(self, node: DiskNode) -> None:
        script = f"#!/bin/sh\ncat {node.top}/state/lock >{node.top}/log\n"
        assert node.fix(node.entry("a", EXPECTED["file"], trigger=node.trigger("overlay/a.post", script))) == [
            None,
            None,
        ]
        assert log(node)[0].endswith(" me")
        assert not (node.top / "state" / "lock").exists()
