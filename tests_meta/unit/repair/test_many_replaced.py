"""Many files of a directory that are replaced together are kept as each of them alone is, with few programs."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool.model import OldVersions
from pytest_synctool.repository.source import Tree

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import IS_ROOT, NOBODY, ODD_NAMES, Shell, state

with_programs = pytest.mark.parametrize("shell", ["dash", "bash"], indirect=True)  # BusyBox prefers its own
pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

NAMES = ("open", "setuid", "theirs", "link", "again", "missing", "n" * 250, *map(os.fsdecode, ODD_NAMES))
NEW = state(mode=0o600)

Kept = dict[bytes, tuple[int, int, int, bytes]]


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


def fill(directory: Path) -> None:
    """Make old versions of all names but one, with the old version of one of them."""
    directory.mkdir()
    for name in NAMES:
        if name not in ("link", "missing"):
            (directory / name).write_bytes(b"old " + os.fsencode(name))
    (directory / "open").chmod(0o666)
    (directory / "setuid").chmod(0o4755)
    os.chown(directory / "theirs", NOBODY, NOBODY)
    (directory / "link").symlink_to("nowhere")
    (directory / "again.saved").write_text("older")


def found(directory: Path) -> Kept:
    """Return mode, owner, group and contents of all that is there, by name."""
    here: Kept = {}
    for each in os.scandir(os.fsencode(directory)):
        status = each.stat(follow_symlinks=False)
        content = os.readlink(each.path) if each.is_symlink() else Path(os.fsdecode(each.path)).read_bytes()
        here[each.name] = status.st_mode, status.st_uid, status.st_gid, content
    return here


def recorded(node: DiskNode, directory: Path) -> dict[bytes, bytes]:
    """Return owner, group and mode in the journal, with which each name comes back."""
    (journal,) = (node.top / "state").glob("*/kept")
    lines = journal.read_bytes().removesuffix(b"\n").split(b"\n")[1:]
    records = {}
    for path, saved, record in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        if os.path.dirname(path) == os.fsencode(directory):
            *was, device, inode, size = record.split(b":")
            status = os.lstat(saved)
            assert (int(device), int(inode), int(size)) == (status.st_dev, status.st_ino, status.st_size)
            records[os.path.basename(path)] = b":".join(was)
    return records


@pytest.mark.parametrize("saved", ["beside", "elsewhere"])
@pytest.mark.parametrize("owner", [0, NOBODY])
def test_they_are_kept_as_each_alone(node: DiskNode, saved: str, owner: int) -> None:
    """Also in a directory of somebody else."""
    where = OldVersions.BESIDE if saved == "beside" else os.fsencode(node.top / "saved")
    directories = [node.files / name for name in ("together", "alone")]
    for directory in directories:
        fill(directory)
        os.chown(directory, owner, owner)
    together, alone = (
        [node.entry(f"{directory.name}/{name}", NEW, b"new %d" % n) for n, name in enumerate(NAMES)]
        for directory in directories
    )
    assert set(node.fix(*together, saved=where)) == {None}
    assert [node.fix(entry, saved=where) for entry in alone] == [[None]] * len(alone)
    assert found(directories[0]) == found(directories[1])
    records = [recorded(node, directory) for directory in directories]
    assert records[0] == records[1]
    assert records[0][b"open"] == b"0:0:666"
    assert records[0][b"theirs"] == b"%d:%d:644" % (NOBODY, NOBODY)
    if saved == "elsewhere":
        first, second = (node.top / "saved" / str(directory)[1:] for directory in directories)
        assert found(first) == found(second)
        assert len(found(first)) == len(NAMES) - 1
    else:
        assert len(found(directories[0])) == 2 * len(NAMES) - 1
    assert [node.changes(entry) for entry in together] == [[]] * len(together)


@pytest.mark.parametrize("tree", [Tree.OVERLAY, Tree.DELETE])
@pytest.mark.parametrize("count", [1, 5])
def test_what_an_entry_has_is_no_place_for_an_old_version(node: DiskNode, count: int, tree: Tree) -> None:
    """A repair leaves no drift behind."""
    names = [str(number) for number in range(count)]
    entries = []
    for name in names:
        (node.files / name).write_text(f"old {name}")
        entries.append(node.entry(name, NEW))
        entries.append(node.delete(f"{name}.saved") if tree is Tree.DELETE else node.entry(f"{name}.saved", NEW))
        if tree is Tree.OVERLAY:
            (node.files / f"{name}.saved").write_text("new")
            (node.files / f"{name}.saved").chmod(0o600)
    assert set(node.fix(*entries)) == {None}
    assert [node.changes(entry) for entry in entries] == [[]] * len(entries)
    kept = node.top / f"state/kept{node.files}"
    assert {path.name: path.read_text() for path in kept.iterdir()} == {name: f"old {name}" for name in names}


def test_a_name_that_is_the_old_version_of_another(node: DiskNode) -> None:
    """What was there under each name is kept."""
    names = [f"{name}{end}" for name in "abcde" for end in ("", ".saved", ".saved.saved")]
    for name in names:
        (node.files / name).write_text(f"old {name}")
    assert set(node.fix(*(node.entry(name, NEW) for name in names))) == {None}
    assert {(node.files / name).read_text() for name in names} == {"new"}
    kept = node.top / f"state/kept{node.files}"
    for name in "abcde":
        assert (node.files / f"{name}.saved.saved.saved").read_text() == f"old {name}.saved.saved"
        for first in (name, f"{name}.saved"):
            assert (kept / first).read_text() == f"old {first}"


def test_of_a_type_that_has_changed(node: DiskNode) -> None:
    """Links that become files, and files that become links."""
    for number in range(5):
        (node.files / f"f{number}").symlink_to(f"nowhere{number}")
        (node.files / f"l{number}").write_text(f"old {number}")
    entries = [node.entry(f"{kind}{n}", NEW if kind == "f" else EXPECTED["link"]) for n in range(5) for kind in "fl"]
    assert set(node.fix(*entries)) == {None}
    assert [node.changes(entry) for entry in entries] == [[]] * len(entries)
    for number in range(5):
        assert os.readlink(node.files / f"f{number}.saved") == f"nowhere{number}"
        assert (node.files / f"l{number}.saved").read_text() == f"old {number}"


@with_programs
@pytest.mark.parametrize("saved", ["beside", "elsewhere"])
@pytest.mark.parametrize("is_open", [False, True])
def test_few_programs_keep_them(node: DiskNode, tmp_path: Path, saved: str, is_open: bool) -> None:
    """Ten times as many files take no more of them, also where the old versions are more open than the new ones."""
    where = OldVersions.BESIDE if saved == "beside" else os.fsencode(node.top / "saved")
    (node.top / "saved").mkdir(mode=0o700)
    node.fix(node.entry("first", NEW))  # it makes the directories of the node's state
    path = node.shell.env["PATH"]
    for name in ("chmod", "chown", "cp", "ln", "mkdir", "mv", "rm", "stat"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} >>{tmp_path}/calls\nPATH={path} exec {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    node.shell = replace(node.shell, env={**node.shell.env, "PATH": f"{tmp_path}:{path}"})
    calls: list[Counter[str]] = []
    for directory, count in (("few", 10), ("many", 100)):
        (node.files / directory).mkdir()
        for number in range(count):
            (node.files / directory / f"{number}").write_text("old")
            (node.files / directory / f"{number}").chmod(0o666 if is_open else 0o600)
            (node.files / directory / f"{number}.saved").write_text("older")
        entries = [node.entry(f"{directory}/{number}", NEW) for number in range(count)]
        assert set(node.fix(*entries, saved=where)) == {None}
        assert (node.files / directory / "9.saved").read_text() == ("old" if saved == "beside" else "older")
        kept = (
            node.files / directory / "9.saved" if saved == "beside" else node.top / f"saved{node.files}/{directory}/9"
        )
        assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("old", 0o600)
        called = Counter((tmp_path / "calls").read_text().split())
        calls.append(called - Counter(cp=count))  # the new versions, whose sources have no simple names
        (tmp_path / "calls").unlink()
    assert calls[0] == calls[1]


@with_programs
def test_what_goes_away_meanwhile_is_not_kept(node: DiskNode, tmp_path: Path) -> None:
    """Its old version, which was linked already, might be more open than the new one."""
    path = node.shell.env["PATH"]
    (tmp_path / "ln").write_text(f'#!/bin/sh\nPATH={path}\nln "$@"\ncase $2 in ./0) rm -f ./3 ;; esac\n')
    (tmp_path / "ln").chmod(0o755)
    node.shell = replace(node.shell, env={**node.shell.env, "PATH": f"{tmp_path}:{path}"})
    for number in range(6):
        (node.files / f"{number}").write_text("old")
        (node.files / f"{number}").chmod(0o4755)
    assert set(node.fix(*(node.entry(f"{number}", NEW) for number in range(6)))) == {None}
    kept = {path.name for path in node.files.iterdir() if path.suffix == ".saved"}
    assert kept == {f"{number}.saved" for number in range(6) if number != 3}
    assert {(node.files / name).stat().st_mode & 0o7777 for name in kept} == {0o600}
