"""A script of many changes: each part of it is carried out by a shell of its own, and the whole is one repair."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool.common.shell import whole
from pytest_synctool.repair import script as script_module
from pytest_synctool.repair.plan import Plan, plan
from pytest_synctool.repair.script import Context, parse, script, tidy
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import IS_ROOT, ODD_NAMES, Shell, state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_module, "_OF_PART", 3)


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


def drifting(node: DiskNode, names: Sequence[bytes] = ODD_NAMES) -> list[Entry]:
    """Return entries that differ in every way, in several directories, and missing files with these names."""
    entries = []
    for directory in ("one", "it's", "three"):
        (node.files / directory).mkdir(exist_ok=True)
        for name in ("content", "mode", "link", "missing"):
            path = node.files / directory / name
            if name in ("content", "mode"):
                path.write_text("old" if name == "content" else "new")
            if name == "link":
                path.symlink_to("elsewhere")
            entries.append(node.entry(f"{directory}/{name}", EXPECTED["link" if name == "link" else "file"]))
        entries.append(node.entry(directory, EXPECTED["directory"]))
    return [*entries, *(node.entry(os.fsdecode(name), state()) for name in names)]


def plan_of(node: DiskNode, *entries: Entry) -> Plan:
    """Return the plan that repairs them."""
    differing = [(e, node.actual(e)) for e in entries if node.changes(e)]
    return plan(differing, {e.destination: e for e in entries}, os.fsencode(node.master))


def test_drift_of_every_kind(node: DiskNode) -> None:
    check_repair(node, drifting(node))


def test_other_shells_and_userlands(userland: Shell, open_directory: Path) -> None:
    """uutils takes no names that are not UTF-8."""
    node = DiskNode.make(userland, open_directory)
    check_repair(node, drifting(node, [name for name in ODD_NAMES if name.decode(errors="ignore").encode() == name]))


def check_repair(node: DiskNode, entries: Sequence[Entry]) -> None:
    """All is right after the repair, and the log has one line for each change."""
    log = node.top / "log"
    assert set(node.fix(*entries, log=os.fsencode(log))) == {None}
    assert [node.changes(one) for one in entries] == [[]] * len(entries)
    assert node.sent[0].count(b"\npart '") > 3
    assert len(log.read_text().splitlines()) == len(entries)
    assert (node.files / "one/content.saved").read_text() == "old"


def test_triggers_run_after_all_parts(node: DiskNode) -> None:
    """That of a change that failed does not run, and is not owed."""
    command = node.trigger("overlay/good.post", f"#!/bin/sh\nls ../three >>{node.top}/log\n")
    bad = node.trigger("overlay/bad.post", f"#!/bin/sh\necho bad >>{node.top}/log\n")
    entries = drifting(node)
    (node.files / "one/missing").mkdir()
    entries[0] = replace(entries[0], trigger=os.fsencode(command))
    gone = node.entry("gone", state(), trigger=bad)
    todo = plan_of(node, *entries, gone)
    (node.master / os.fsdecode(gone.source.relative)).unlink()
    results = node.carry_out(todo)
    of_action = dict(zip([action.path for action in todo.actions], results, strict=False))
    failed = {path for path, result in of_action.items() if result is None or result.failure}
    assert failed == {gone.destination}
    triggers = dict(zip([trigger.command.text for trigger in todo.triggers], results[len(todo.actions) :], strict=True))
    assert triggers[os.fsencode(bad)] is None
    assert (node.top / "log").read_text().split() == [
        "content",
        "content.saved",
        "link",
        "link.saved",
        "missing",
        "mode",
    ]
    assert [*(node.top / "state").glob("*/owed/*")] == []


def test_nobody_waits_for_what_a_command_leaves_behind(node: DiskNode) -> None:
    entries = drifting(node)
    command = f"sleep 60 & echo $! >>{node.top}/left;"
    entries[:2] = [replace(one, attributes=Attributes(validate=f"{command} : %s")) for one in entries[:2]]
    assert set(node.fix(*entries)) == {None}
    for left in (node.top / "left").read_text().split():
        os.kill(int(left), signal.SIGKILL)


@pytest.mark.parametrize("whom", ["$$", "the part"])
def test_a_kill_in_a_part(node: DiskNode, whom: str) -> None:
    """When the shell that holds the lock is gone, a part makes no further change; without a part no trigger runs."""
    command = node.trigger("overlay/z.post", f"#!/bin/sh\necho ran >>{node.top}/log\n")
    entries = [*drifting(node), node.entry("z", state(), trigger=command)]
    context = context_of(node)
    todo = plan_of(node, *entries)
    killing = "kill -KILL $$; while kill -0 $$ 2>&-; do :; done\n" if whom == "$$" else f"kill -KILL {_ITSELF}\n"
    answer = reaping(node).run(whole(in_second_part(script(todo, context), killing)))
    results, complete = parse(todo, answer.stdout)
    assert not complete
    assert set(results) == set(range(6))
    assert not (node.top / "log").exists()
    assert sum(node.changes(one) == [] for one in entries) == 6
    node.shell.run(whole(tidy(context) + b"echo looked"))
    assert not [*(node.top / "state").glob("stage/*")]
    assert set(node.fix(*entries)) <= {None}
    assert [node.changes(one) for one in entries] == [[]] * len(entries)


_ITSELF = "$(sh -c 'echo $PPID')"


def in_second_part(text: bytes, more: str) -> bytes:
    """Return a script in which the second part begins with more shell text."""
    start = text.index(b"\npart '", text.index(b"\npart '") + 1) + len(b"\npart '")
    return text[:start] + more.replace("'", "'\\''").encode() + text[start:]


def reaping(node: DiskNode) -> Shell:
    """Return the shell below a process that notices its end, as sshd does."""
    return replace(node.shell, argv=("/bin/sh", "-c", '"$0" "$@"; exit', *node.shell.argv))


def killed_while_a_directory_makes_room(node: DiskNode) -> list[Entry]:
    """Return entries; one of the directories in their place is only in the stage of a repair that was killed."""
    entries = [node.entry(f"d{number}/f", state()) for number in range(9)]
    for number in range(9):
        (node.files / f"d{number}/f").mkdir(parents=True)
        (node.files / f"d{number}/f/precious").write_text("data")
    text = in_second_part(script(plan_of(node, *entries), context_of(node)), f"killed={_ITSELF}\n")
    moved = b'elif ! mv -- "./$1" "$side.old/"; then'
    assert text.count(moved) == 1
    killing = f'elif ! mv -- "./$1" "$side.old/" || {{ [ -n "$killed" ] && kill -KILL "$killed" {_ITSELF}; }}; then'
    node.shell.run(whole(text.replace(moved, killing.encode())))
    assert precious(node) == 8
    return entries


def precious(node: DiskNode) -> int:
    """The number of the directories that are in their place or kept beside it."""
    return len([*node.files.glob("d*/f/precious")]) + len([*node.files.glob("d*/f.saved/precious")])


def context_of(node: DiskNode) -> Context:
    """Where the node's repairs keep what they note."""
    return Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_part_that_is_killed_while_a_directory_makes_room(node: DiskNode, is_elsewhere: bool) -> None:
    """It comes back, also on another file system than that of the node's state."""
    if is_elsewhere:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", node.files], check=True)
    try:
        entries = killed_while_a_directory_makes_room(node)
        node.shell.run(whole(tidy(context_of(node)) + b"echo looked"))
        assert precious(node) == 9
        assert set(node.fix(*entries)) == {None}
        assert len([*node.files.glob("d*/f.saved/precious")]) == 9
        assert not [*node.top.rglob(".synctool.*")]
        assert not [*(node.top / "state").glob("*/private")]
    finally:
        if is_elsewhere:
            subprocess.run(["umount", node.files], check=True)


def test_what_was_moved_away_comes_back_when_its_file_system_is_there_again(node: DiskNode) -> None:
    """Repairs meanwhile forget nothing of it."""
    elsewhere = node.top / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", node.files], check=True)
    mounted = [node.files]
    try:
        killed_while_a_directory_makes_room(node)
        subprocess.run(["mount", "--bind", node.files, elsewhere], check=True)
        mounted.append(elsewhere)
        subprocess.run(["umount", node.files], check=True)
        mounted.remove(node.files)
        other = node.files / "one"
        other.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", other], check=True)
        mounted.append(other)
        others = drifting(node)
        node.shell.run(whole(script(plan_of(node, *others), context_of(node))))
        assert [node.changes(one) for one in others] == [[]] * len(others)
        subprocess.run(["umount", mounted.pop()], check=True)
        (left,) = (node.top / "state").glob("*/private")
        assert len(left.read_text().splitlines()) == 1
        subprocess.run(["mount", "--bind", elsewhere, node.files], check=True)
        mounted.append(node.files)
        assert precious(node) == 8
        node.shell.run(whole(tidy(context_of(node)) + b"echo looked"))
        assert precious(node) == 9
        assert not [*(node.top / "state").glob("*/private")]
    finally:
        for place in mounted:
            subprocess.run(["umount", place], check=True)
