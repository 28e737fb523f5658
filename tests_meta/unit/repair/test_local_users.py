"""A repair in a directory of a local user, who exchanges names there meanwhile: nothing else of the node changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from pytest_synctool.model import ABSENT, Absent, FileState, Kind
from pytest_synctool.repair.plan import KeptVersion, plan, restore
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Source, Tree

from tests_meta.local_user import USER, exchanging
from tests_meta.unit.disk_node import DiskNode
from tests_meta.unit.helpers import IS_ROOT, Shell, state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

TRIES: Final = 4
NAMES: Final = ("content", "mode", "link", "changed", "directory", "type", "made", "kept", "tree", "rogue", "rogues")


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """A node with each of the shells; its files are the home of a local user."""
    made = DiskNode.make(shell, open_directory)
    os.chown(made.files, USER, USER)
    return made


def make_home(node: DiskNode, directory: Path) -> None:
    """Make the user's files anew: one of each kind of drift."""
    for path in node.files.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    directory.mkdir(exist_ok=True)
    for name in ("content", "mode", "changed", "type", "kept.saved", "rogue"):
        (directory / name).write_text("old" if name != "mode" else "new")
    (directory / "link").symlink_to("elsewhere")
    (directory / "directory").mkdir()
    (directory / "rogues").mkdir()
    for path in [directory, *directory.rglob("*")]:
        os.chown(path, USER, USER, follow_symlinks=False)
    os.chown(directory / "mode", 0, 0)


def make_victim(top: Path) -> Path:
    """Make a directory of root's with the same names, readable by nobody else."""
    victim = top / "victim"
    victim.mkdir(mode=0o700)
    for name in NAMES:
        (victim / name).write_text("secret")
        (victim / name).chmod(0o600)
    (victim / "directory").unlink()
    (victim / "directory").mkdir(mode=0o700)
    return victim


def look(directory: Path) -> Mapping[str, tuple[int, int, int, str]]:
    """Return mode, owner, group and content of all that is in a directory, itself included."""
    paths = [directory, *directory.rglob("*")]
    return {
        str(path): (
            path.lstat().st_mode,
            path.lstat().st_uid,
            path.lstat().st_gid,
            path.read_text() if path.is_file() else "",
        )
        for path in paths
    }


def drift(node: DiskNode, below: str) -> list[tuple[Entry, FileState | Absent]]:
    """Return an entry for each kind of change, with the state that the audit saw."""
    theirs = {"uid": USER, "gid": USER, "owner": None, "group": None}
    at = {name: node.entry(f"{below}{name}", state()) for name in ("content", "mode", "changed", "made")}
    for one in at.values():
        source = node.master / os.fsdecode(one.source.relative)
        os.chown(source, USER, USER)
        source.chmod(0o666)
    at["link"] = node.entry(f"{below}link", replace(state(Kind.LINK, target=b"content", **theirs)))
    at["directory"] = node.entry(f"{below}directory", replace(state(Kind.DIRECTORY, mode=0o777, **theirs)))
    at["type"] = node.entry(f"{below}type", replace(state(Kind.DIRECTORY, mode=0o777, **theirs)))
    at["tree"] = node.entry(f"{below}tree", replace(state(Kind.DIRECTORY, mode=0o777, **theirs)))
    at["in tree"] = node.entry(f"{below}tree/content", state(mode=0o666))
    expected = {name: one.source.expected for name, one in at.items()}
    return [
        (at["content"], replace(expected["content"], size=9)),
        (at["mode"], replace(expected["mode"], mode=0o600, uid=0, owner="root")),
        (at["changed"], replace(expected["changed"], size=9)),
        (at["made"], ABSENT),
        (at["tree"], ABSENT),
        (at["in tree"], ABSENT),
        (at["link"], replace(expected["link"], target=b"x")),
        (at["directory"], replace(expected["directory"], mode=0o700)),
        (at["type"], state(size=9)),
    ]


def rogue_entry(node: DiskNode, name: str, kind: Kind) -> Entry:
    """Return the entry of a path that is in no entry of an exclusive directory."""
    path = os.fsencode(node.files / name)
    return Entry(Source(Tree.DELETE, os.fsencode(node.master), b"overlay/d", path, state(kind)))


@pytest.mark.parametrize("strategy", ["links", "above", "watch"])
@pytest.mark.parametrize("below", ["", "app/"], ids=["home", "below"])
def test_nothing_else_changes(node: DiskNode, strategy: str, below: str) -> None:
    """Whatever comes of the repair: what is not the user's is as before, and nothing of root's lies in his home."""
    victim = make_victim(node.top)
    before = look(victim)
    passwd = look(Path("/etc/passwd"))
    directory = node.files / below
    for _ in range(TRIES):
        make_home(node, directory)
        pairs = drift(node, below)
        entries = {one.destination: one for one, _ in pairs}
        old = KeptVersion(os.fsencode(directory / "kept.saved"), b"0:0:4755")
        back = node.entry(f"{below}kept", state())
        rogue = [rogue_entry(node, f"{below}rogue", Kind.FILE), rogue_entry(node, f"{below}rogues", Kind.DIRECTORY)]
        with exchanging(strategy, node.files, victim):
            for todo in (
                plan(pairs, entries, os.fsencode(node.master), rogue=rogue),
                restore([(back, old)], {back.destination: back}),
            ):
                assert node.apply(todo).broken is None
        assert look(victim) == before
        assert look(Path("/etc/passwd")) == passwd
        for path in node.files.rglob("*"):
            assert not (path.is_file() and not path.is_symlink() and path.read_text() == "secret"), path
