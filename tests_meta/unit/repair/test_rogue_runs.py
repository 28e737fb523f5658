"""What is in no entry of an exclusive directory: real shells move it away, keep it, and bring it back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pytest_synctool.common.shell import whole
from pytest_synctool.model import ABSENT, Kind, OldVersions
from pytest_synctool.repair.kept_versions import parse_recalled, recall
from pytest_synctool.repair.plan import Plan, plan, restore
from pytest_synctool.repair.script import Context, tidy
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry, ExclusiveContents
from pytest_synctool.repository.exclusive import exclusive_contents

from tests_meta.unit.disk_node import DiskNode
from tests_meta.unit.helpers import IS_ROOT, ODD_NAMES, Shell, state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


def exclusive(node: DiskNode) -> ExclusiveContents:
    """Make the node's exclusive tree."""
    (node.files / "d").mkdir(exist_ok=True)
    top = node.entry("d", state(Kind.DIRECTORY, mode=0o755))
    return exclusive_contents([Entry(top.source, attributes=Attributes(exclusive="tree"))])[0]


def removal(node: DiskNode, *names: bytes, kind: Kind = Kind.FILE) -> Plan:
    """Plan the removal of names in the exclusive directory, as paths of this kind."""
    contents = exclusive(node)
    rogue = [contents.rogue(contents.destination + name, kind) for name in names]
    return plan([], {}, os.fsencode(node.master), rogue=rogue, exclusive={contents.destination[:-1]})


def failures(node: DiskNode, todo: Plan, saved: bytes | OldVersions = OldVersions.BESIDE) -> list[str | None]:
    """Carry out a plan; return how each step failed."""
    return [result.failure if result else "did not run" for result in node.carry_out(todo, saved=saved)]


def put_back(node: DiskNode) -> list[str | None]:
    """Bring back what the last repair has kept."""
    context = Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))
    recalled = parse_recalled(node.shell.run(whole(recall(context))).stdout)
    contents = exclusive(node)
    return failures(node, restore([(contents.rogue(path, Kind.OTHER), old) for path, old in recalled.items()], {}))


def names_in(directory: Path) -> list[bytes]:
    """Return the names in a directory."""
    return sorted(os.fsencode(path.name) for path in directory.iterdir())


def looks(directory: Path) -> dict[str, tuple[int, int, int, str]]:
    """Return mode, owner, group, and content or target of all that is below a directory."""
    found = {}
    for path in directory.rglob("*"):
        seen = path.lstat()
        text = str(path.readlink()) if path.is_symlink() else path.read_bytes().hex() if path.is_file() else ""
        found[str(path)] = seen.st_mode, seen.st_uid, seen.st_gid, text
    return found


def test_removed_and_brought_back(node: DiskNode) -> None:
    """Whatever a name is, it goes to the node's own place, closed to others, and comes back as it was."""
    exclusive(node)
    here = node.files / "d"
    names = sorted({*ODD_NAMES, b"*", b"-rf", b"x.saved", b"l" * 255})
    for name in names:
        path = here / os.fsdecode(name)
        path.write_bytes(b"old " + name)
        os.chown(path, 7, 8)
        path.chmod(0o4755)
    (here / "link").symlink_to("/etc/passwd")
    os.mkfifo(here / "pipe")
    inner = here / "tree" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("deep")
    (inner / "setuid").touch()
    (inner / "setuid").chmod(0o4755)
    before = looks(here)
    assert set(failures(node, removal(node, *names, b"link", b"pipe", b"gone"))) == {None}
    assert failures(node, removal(node, b"tree", kind=Kind.DIRECTORY)) == [None]
    assert names_in(here) == []
    kept = Path(f"{node.top}/state/kept{here}")
    assert names_in(kept) == sorted([*names, b"link", b"pipe", b"tree"])
    for path in kept.iterdir():
        if not path.is_symlink():
            seen = path.lstat()
            mode = 0o700 if path.is_dir() else 0o600 if path.is_file() else seen.st_mode & 0o7700
            assert (seen.st_uid, seen.st_gid, seen.st_mode & 0o7777) == (0, 0, mode), path
    assert (node.top / "state/kept").stat().st_mode & 0o7777 == 0o700
    assert set(put_back(node)) == {None}
    assert looks(here) == before
    assert names_in(kept) == []
    assert set(failures(node, removal(node, *names))) == {None}
    (kept / "tree").mkdir()
    assert failures(node, removal(node, b"tree", kind=Kind.DIRECTORY)) == [f"{kept}/tree is in the way"]
    (here / "*").write_text("newer")
    assert failures(node, removal(node, b"*")) == [None]
    assert (kept / "*").read_text() == "newer"  # of a file, only the last one is kept
    assert names_in(here) == [b"link", b"pipe", b"tree"]


def test_what_stays(node: DiskNode) -> None:
    """What has become a directory, what has a newline in its name, and what has a mount below it is as it was."""
    exclusive(node)
    here = node.files / "d"
    (here / "changed" / "inner").mkdir(parents=True)
    (here / "a\nb").touch()
    mounted = here / "tree" / "mounted"
    mounted.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=True)
    try:
        (mounted / "mine").touch()
        before = looks(here)
        assert failures(node, removal(node, b"a\nb", b"changed")) == [
            "no record holds a name with a newline: remove it by hand",
            "it has become a directory",
        ]
        assert failures(node, removal(node, b"tree", kind=Kind.DIRECTORY)) == ["something is mounted below it"]
        assert (mounted / "mine").exists()
        assert looks(here) == before
    finally:
        subprocess.run(["umount", mounted], check=True)
    assert failures(node, removal(node, b"tree", kind=Kind.DIRECTORY), OldVersions.NOWHERE) == [
        "a directory is removed only where it can be kept: not with --no-saved"
    ]
    assert failures(node, removal(node, b"changed", kind=Kind.DIRECTORY), os.fsencode(node.top / "saved")) == [None]
    assert Path(f"{node.top}/saved{here}/changed/inner").is_dir()
    (here / "file").touch()
    assert failures(node, removal(node, b"file"), OldVersions.NOWHERE) == [None]
    assert names_in(here) == [b"a\nb", b"tree"]
    assert list((node.top / "state").glob("kept")) == []


def test_an_old_version_of_an_entry(node: DiskNode) -> None:
    """A file that is replaced in an exclusive directory leaves nothing beside it; it comes back from where it is."""
    contents = exclusive(node)
    old = node.files / "d" / "f"
    old.write_text("old")
    entry = node.entry("d/f", state())
    directory = contents.destination[:-1]
    todo = plan(
        [(entry, node.actual(entry))], {entry.destination: entry}, os.fsencode(node.master), exclusive={directory}
    )
    assert failures(node, todo) == [None]
    assert (names_in(node.files / "d"), old.read_text()) == ([b"f"], "new")
    assert Path(f"{node.top}/state/kept{old}").read_text() == "old"
    assert put_back(node) == [None]
    assert old.read_text() == "old"
    assert node.actual(entry) is not ABSENT


def test_a_repair_that_was_killed(node: DiskNode) -> None:
    """The next repair brings back what was on its way, unless its place is taken: then it waits in the stage."""
    exclusive(node)
    here = node.files / "d"
    stage = node.top / "state/stage" / f"{os.uname().nodename}.4194304.abcdef"
    for name in ("free", "taken"):
        number = 1 if name == "free" else 2
        for place in (stage / f"{number}.old", stage / f"{number}.kept"):
            place.mkdir(parents=True)
        (stage / f"{number}.old" / name).write_text("old")
        (stage / f"{number}.to").write_text(f"{here}\n{name}\n{name}\n")
    (here / "taken").write_text("new")
    context = Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))
    (node.top / "state" / "stage").chmod(0o700)
    assert node.shell.run(whole(tidy(context))).stdout == b""
    assert ((here / "free").read_text(), (here / "taken").read_text()) == ("old", "new")
    assert (stage / "2.old" / "taken").read_text() == "old"
