"""The stage of a repair, with real shells: where it can be, what refuses it, and what a killed repair leaves in it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool.common.shell import whole
from pytest_synctool.model import ABSENT, Kind
from pytest_synctool.repair.plan import Plan, plan
from pytest_synctool.repair.script import Context, tidy

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import IS_ROOT, NOBODY, Shell, state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

_CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw=ep


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


@contextmanager
def mounted(path: Path) -> Iterator[None]:
    """Mount another file system on a directory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--", path], check=True)


def test_on_another_file_system(node: DiskNode) -> None:
    """The stage is in the nearest directory above that is root's alone, and goes away."""
    with mounted(node.files):
        home = node.files / "home"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        (home / "old").write_text("old")
        entries = [node.entry(f"home/{name}", EXPECTED["file"]) for name in ("old", "new")]
        assert node.fix(*entries) == [None, None]
        assert sorted(path.name for path in home.iterdir()) == ["new", "old", "old.saved"]
        assert [path.name for path in node.files.iterdir()] == ["home"]


def test_nowhere(node: DiskNode) -> None:
    """A disk that a user owns: nothing is changed there, and other directories are repaired."""
    (node.files / "disk").mkdir()
    with mounted(node.files / "disk"):
        os.chown(node.files / "disk", NOBODY, NOBODY)
        (node.files / "disk/f").write_text("old")
        other, failure = node.fix(node.entry("disk/f", EXPECTED["file"]), node.entry("g", EXPECTED["file"]))
        assert failure is not None
        assert "nowhere above it on its file system is root alone" in failure
        assert other is None
        assert (node.files / "disk/f").read_text() == "old"


def test_behind_a_mount_of_the_same_file_system(node: DiskNode) -> None:
    """No rename leads there from above: what others may write is refused, with that reason; what is root's is not."""
    for name, mode in (("open", 0o777), ("closed", 0o755)):
        (node.files / name).mkdir()
        (node.files / name).chmod(mode)
        (node.files / name / "f").write_text("old")
        subprocess.run(["mount", "--bind", node.files / name, node.files / name], check=True)
    try:
        done, refused = node.fix(node.entry("closed/f", EXPECTED["file"]), node.entry("open/f", EXPECTED["file"]))
        reason = f"others may write in {node.files}/open, and no rename leads there from {node.files}: "
        assert (refused or "").startswith(reason)
        assert done is None
        assert (node.files / "open/f").read_text() == "old"
    finally:
        for name in ("open", "closed"):
            subprocess.run(["umount", node.files / name], check=True)


@pytest.mark.parametrize("whose", ["state", "master"])
@pytest.mark.parametrize(("owner", "mode"), [(NOBODY, 0o755), (0, 0o775), (0, 0o757)])
def test_what_others_may_write_is_refused(node: DiskNode, whose: str, owner: int, mode: int) -> None:
    """The journal and the mirror decide what root does."""
    one = node.entry("f", EXPECTED["file"])
    path = node.top / whose
    path.mkdir(exist_ok=True)
    os.chown(path, owner, 0)
    path.chmod(mode)
    (failure,) = node.fix(one)
    assert failure is not None
    assert f"others than root may write in {path} or above it" in failure
    assert not (node.files / "f").exists()


def test_old_versions_where_others_may_write(node: DiskNode) -> None:
    saved = node.top / "saved"
    saved.mkdir()
    os.chown(saved, NOBODY, NOBODY)
    (node.files / "f").write_text("old")
    (failure,) = node.fix(node.entry("f", EXPECTED["file"]), saved=os.fsencode(saved))
    assert failure is not None
    assert failure == f"old versions cannot be kept in {saved}: others than root may write in it or above it"
    assert (node.files / "f").read_text() == "old"
    assert list(saved.iterdir()) == []


@pytest.mark.parametrize("when", ["refused", "full"])
def test_a_directory_that_cannot_be_kept_comes_back(node: DiskNode, when: str) -> None:
    """With all that is in it, whether that is known before it is moved or only when it is to be kept."""
    saved = node.top / "saved"
    saved.mkdir()
    (node.files / "d").mkdir()
    (node.files / "d/inside").write_text("kept" * 100_000)
    one = node.entry("d", EXPECTED["file"])
    if when == "refused":
        os.chown(saved, NOBODY, NOBODY)
        (failure,) = node.fix(one, saved=os.fsencode(saved))
    else:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=64k", "tmpfs", saved], check=True)
        try:
            (failure,) = node.fix(one, saved=os.fsencode(saved))
        finally:
            subprocess.run(["umount", "--", saved], check=True)
    assert failure is not None
    assert (node.files / "d/inside").read_text() == "kept" * 100_000
    assert sorted(path.name for path in node.files.iterdir()) == ["d"]


def test_owner_and_mode_in_a_home(node: DiskNode) -> None:
    """The file is replaced by a copy of the same content, so no other name of it changes."""
    home = node.files / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    (home / "f").write_bytes(b"new")
    other = node.top / "other"
    other.hardlink_to(home / "f")
    before = other.stat()
    one = node.entry("home/f", EXPECTED["file"])
    assert node.fix(one) == [None]
    assert node.changes(one) == []
    after = other.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


def test_the_mode_alone_keeps_capabilities(node: DiskNode) -> None:
    """A chown would take them away, silently."""
    files = [node.files / name for name in "ab"]
    for path in files:
        path.write_bytes(b"new")
        path.chmod(0o600)
        os.setxattr(path, "security.capability", _CAPABILITY)
    entries = [node.entry(path.name, state(mode=0o755)) for path in files]
    assert node.fix(*entries) == [None, None]
    assert [node.changes(one) for one in entries] == [[], []]
    assert [os.getxattr(path, "security.capability") for path in files] == [_CAPABILITY, _CAPABILITY]


def test_a_trigger_does_not_run_where_a_link_leads(node: DiskNode) -> None:
    """Its directory is entered as that of a change is."""
    script = node.trigger("overlay/d/f.post", f"#!/bin/sh\npwd >{node.top}/log\n")
    one = node.entry("d/f", EXPECTED["file"], trigger=script)
    elsewhere = node.top / "elsewhere"
    elsewhere.mkdir()
    todo = plan([(one, ABSENT)], {one.destination: one}, os.fsencode(node.master))
    (node.files / "d").symlink_to(elsewhere)
    owed = replace(todo, actions=(), triggers=(replace(todo.triggers[0], owed=True),))
    (result,) = node.carry_out(owed)
    assert result is not None
    assert result.failure is not None
    assert f"leads to {elsewhere}" in result.failure
    assert not (node.top / "log").exists()


def test_locks_of_killed_repairs_go_away(node: DiskNode) -> None:
    (node.top / "state").mkdir()
    for name in ("lock.4194304", "lock.4194304.stale"):
        (node.top / "state" / name).write_text("4194304 5 somebody\n")
    assert node.fix(node.entry("f", EXPECTED["file"])) == [None]
    assert [path.name for path in (node.top / "state").iterdir() if path.name.startswith("lock")] == []


def leave_behind(node: DiskNode, name: str, at: str) -> None:
    """Make what a repair leaves that is killed after it has moved a directory away and before that has a place."""
    stage = node.top / "state/stage" / f"{os.uname().nodename}.4194304.abcdef"
    for each in ("7.old", "7.kept"):
        (stage / each).mkdir(parents=True)
    (stage / at).mkdir()
    (stage / at / "inside").write_text("kept")
    (stage / "7.to").write_text(f"{node.files}\n{name}\n{name}.saved\n")


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("where", ["7.old/d", "7.kept/d.saved"])
def test_a_type_change_that_was_killed(node: DiskNode, replaced: bool, where: str) -> None:
    """The old version comes back before anybody looks, or is kept if the new one is there."""
    leave_behind(node, "d", where)
    if replaced:
        (node.files / "d").write_text("new")
    context = Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))
    answer = node.shell.run(whole(tidy(context) + b"echo looked"))
    assert answer.stdout == b"looked\n", answer
    at = "d.saved" if replaced else "d"
    assert (node.files / at / "inside").read_text() == "kept"
    assert list((node.top / "state/stage").iterdir()) == []


def test_nothing_to_tidy(node: DiskNode) -> None:
    context = Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))
    answer = node.shell.run(whole(tidy(context) + b"echo looked"))
    assert (answer.stdout, answer.stderr) == (b"looked\n", b"")
    assert not (node.top / "state").exists()
    assert node.carry_out(Plan((), ())) == []


def test_many_directories_of_all_kinds(node: DiskNode) -> None:
    """Together, with odd extensions and one source that is missing, which the others do not suffer from."""
    entries = []
    for number in range(4):
        entries.append(node.entry(f"d{number}", state(Kind.DIRECTORY, mode=0o755)))
        entries += [node.entry(f"d{number}/{name}", EXPECTED["file"]) for name in ("a._b", "c.old", "e")]
        entries.append(node.entry(f"d{number}/l", EXPECTED["link"]))
    assert set(node.fix(*entries)) == {None}
    assert [node.changes(one) for one in entries] == [[]] * len(entries)


@pytest.mark.parametrize("number", [1, 5], ids=["alone", "among others"])
@pytest.mark.parametrize("knows", [True, False], ids=["known", "unknown"])
def test_large_files_ask_for_shared_blocks(node: DiskNode, tmp_path: Path, number: int, knows: bool) -> None:
    """By a program of their own, for tar would copy them; a cp that does not know this copies."""
    path = node.shell.env["PATH"]
    refuse = "" if knows else 'case "$1" in --reflink*) exit 1 ;; esac;'
    (tmp_path / "cp").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n{refuse}\nPATH={path} exec cp "$@"\n')
    (tmp_path / "cp").chmod(0o755)
    node.shell = replace(node.shell, env={**node.shell.env, "PATH": f"{tmp_path}:{path}"})
    large = b"x" * 1_100_000
    expected = replace(EXPECTED["file"], size=len(large), md5=hashlib.md5(large).hexdigest())
    entries = [node.entry(f"file{each}", expected, large) for each in range(number)]
    assert node.fix(*entries) == [None] * number
    assert (node.files / "file0").read_bytes() == large
    if node.shell.name == "busybox":  # it prefers its own cp
        return
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sum(call.startswith("--reflink=auto -- ") for call in calls) == number
    assert len(calls) == number * (1 if knows else 2)
