"""Files that no rename can replace: with `in_place` in attributes.yaml they are written through, by real shells."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from pytest_synctool.model import FileState, OldVersions
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry

from tests_meta.unit.disk_node import DiskNode
from tests_meta.unit.helpers import IS_ROOT, NOBODY, Shell, state
from tests_meta.unit.repair.test_attribute_runs import ACL, CAPABILITY
from tests_meta.unit.repair.test_saved_runs import put_back

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="mounts, needs root")

FILE: Final = state(mode=0o640, uid=0, gid=0, owner="root", group="root")


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


def in_place(node: DiskNode, name: str, expected: FileState = FILE, validate: str | None = None) -> Entry:
    """Return an entry whose file is written through."""
    return replace(node.entry(name, expected), attributes=Attributes(validate=validate, in_place=True))


@contextmanager
def mounted_from(node: DiskNode, name: str, directory: Path) -> Iterator[Path]:
    """Mount a file from elsewhere, as containers do with /etc/hosts."""
    path, outside = node.files / name, directory / "outside"
    path.touch()
    outside.write_text("old and longer than the new one")
    outside.chmod(0o644)
    subprocess.run(["mount", "--bind", "--", outside, path], check=True)
    try:
        yield outside
    finally:
        subprocess.run(["umount", "--", path], check=True)


def test_a_mounted_file(node: DiskNode) -> None:
    """It is named with the attribute that helps; with that its contents change, and the old ones can come back."""
    with mounted_from(node, "f", node.top) as outside:
        (failure,) = node.fix(node.entry("f", FILE))
        assert failure is not None
        assert failure.endswith(
            "(something is mounted on it: say 'in_place: yes' in attributes.yaml, or mount its directory)"
        )
        before = outside.stat().st_ino
        refused = in_place(node, "f", validate="grep -q other %s")
        (failure,) = node.fix(refused)
        assert failure is not None
        assert "refused by its validate command" in failure
        assert outside.read_text() == "old and longer than the new one"
        one = in_place(node, "f")
        assert node.fix(one) == [None]
        assert node.changes(one) == []
        assert (outside.stat().st_ino, outside.read_text()) == (before, "new")
        assert (node.files / "f.saved").read_text() == "old and longer than the new one"
        assert sorted(path.name for path in node.files.iterdir()) == ["f", "f.saved"]


def test_what_is_not_mounted(node: DiskNode) -> None:
    """The same file as before, with its capabilities; the old version is another one, or nowhere."""
    for name in ("f", "g"):
        (node.files / name).write_text("old")
    (node.files / "hard").hardlink_to(node.files / "f")
    os.setxattr(node.files / "f", "security.capability", CAPABILITY)
    one = in_place(node, "f", replace(FILE, mode=0o4755))
    new = in_place(node, "new")
    assert node.fix(one, new) == [None, None]
    assert node.changes(one) == node.changes(new) == []
    assert (node.files / "hard").read_text() == "new"
    assert os.getxattr(node.files / "f", "security.capability") == CAPABILITY
    assert (node.files / "f.saved").read_text() == "old"
    assert "security.capability" not in os.listxattr(node.files / "f.saved")
    (result,) = put_back(node, one)
    assert result is not None
    assert result.failure is None
    assert (node.files / "f").read_text() == "old"
    assert node.fix(in_place(node, "g"), saved=OldVersions.NOWHERE) == [None]
    assert not (node.files / "g.saved").exists()


def test_a_full_disk_brings_the_old_contents_back(node: DiskNode) -> None:
    """With owner and mode; no old version stays beside it that would be the same."""
    disk = node.files / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=64k", "tmpfs", disk], check=True)
    try:
        mounted, outside = disk / "f", node.top / "small"
        mounted.touch()
        outside.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=16k", "tmpfs", outside], check=True)
        try:
            (outside / "f").write_text("old")
            os.chown(outside / "f", NOBODY, 7)
            (outside / "f").chmod(0o604)
            subprocess.run(["mount", "--bind", "--", outside / "f", mounted], check=True)
            one = in_place(node, "disk/f", replace(FILE, size=20_000))
            (node.master / "overlay/disk/f._all").write_bytes(b"x" * 20_000)
            (failure,) = node.fix(one)
            assert failure is not None
            assert "No space left on device" in failure
            after = mounted.stat()
            assert (mounted.read_text(), after.st_uid, after.st_gid, after.st_mode & 0o7777) == (
                "old",
                NOBODY,
                7,
                0o604,
            )
            assert sorted(path.name for path in disk.iterdir()) == ["f"]
        finally:
            subprocess.run(["umount", "--", mounted], check=False)
            subprocess.run(["umount", "--", outside], check=True)
    finally:
        subprocess.run(["umount", "--", disk], check=True)


def test_what_others_may_exchange_or_have_opened_up(node: DiskNode) -> None:
    """Nothing is written through where a user may put a link, nor into a file that he has opened for others."""
    home = node.files / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    victim = node.top / "victim"
    victim.write_text("safe")
    for path in (home / "f", node.files / "g"):
        path.write_text("old")
    os.chown(node.files / "g", NOBODY, NOBODY)
    os.setxattr(node.files / "g", "system.posix_acl_access", ACL)
    todo = [in_place(node, "home/f"), in_place(node, "g")]
    failures = node.fix(*todo)
    assert [failure and failure.split(": ")[1][:12] for failure in failures] == ["its ACL is a", "others than "] or [
        failure and failure.split(": ")[1][:12] for failure in failures
    ] == ["others than ", "its ACL is a"]
    assert (home / "f").read_text() == (node.files / "g").read_text() == "old"
