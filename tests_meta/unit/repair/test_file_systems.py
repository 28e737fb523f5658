"""Repairs on file systems that cannot do everything, with real shells: what is possible is repaired, the rest told."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool.common.shell import whole
from pytest_synctool.model import Kind
from pytest_synctool.repair.kept_versions import parse_recalled, recall
from pytest_synctool.repair.plan import restore
from pytest_synctool.repair.script import Context
from pytest_synctool.repository.entry import Entry

from tests_meta.unit.disk_node import DiskNode
from tests_meta.unit.helpers import IS_ROOT, Shell, state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="mounts file systems, needs root")

FILE = state(mode=0o600)


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


def restored(node: DiskNode, *entries: Entry) -> list[str | None]:
    """Put back the old versions of entries; how that failed, None where it did not."""
    context = Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))
    old = parse_recalled(node.shell.run(whole(recall(context))).stdout)
    pairs = [(one, old[one.destination]) for one in entries]
    results = node.carry_out(restore(pairs, {one.destination: one for one in entries}))
    return ["did not run" if result is None else result.failure for result in results]


@contextmanager
def restricted(path: Path, *options: str) -> Iterator[None]:
    """Mount a directory over itself with restrictions."""
    if shutil.which("bindfs") is None or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("needs bindfs and /dev/fuse")
    subprocess.run(["bindfs", *options, path, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--", path], check=True)


DENY = ("--chown-deny", "--chgrp-deny", "--chmod-deny")


@pytest.mark.parametrize("count", [1, 3])
def test_owners_and_modes_that_cannot_be_set_and_need_not_be(node: DiskNode, count: int) -> None:
    """chown and chmod fail, as over NFS, but what is made there has the right owner and mode at once."""
    for number in range(count):
        (node.files / f"old{number}").write_text("old")
        (node.files / f"old{number}").chmod(0o600)
    (node.files / "way").mkdir(mode=0o700)
    entries = [node.entry(f"{age}{number}", FILE) for number in range(count) for age in ("old", "new")]
    entries += [node.entry("way", FILE), node.entry("link", state(Kind.LINK, target=b"x"))]
    entries += [node.entry("tree", state(Kind.DIRECTORY, mode=0o700)), node.entry("tree/inside", FILE)]
    with restricted(node.files, *DENY):
        assert set(node.fix(*entries)) == {None}
        assert {one.destination: node.changes(one) for one in entries} == {one.destination: [] for one in entries}
    assert [(node.files / f"old{number}.saved").read_text() for number in range(count)] == ["old"] * count


def test_owners_and_modes_that_cannot_be_set(node: DiskNode) -> None:
    """Each is told in one line with what helps, the old file stays, and all else is repaired."""
    (node.files / "mode").write_bytes(b"old")
    (node.files / "owner").write_bytes(b"new")
    (node.files / "owner").chmod(0o600)
    entries = [
        node.entry("good", FILE),
        node.entry("mode", state(mode=0o644)),
        node.entry("owner", replace(FILE, uid=1, owner="daemon")),
        node.entry("directory", state(Kind.DIRECTORY, mode=0o755)),
    ]
    with restricted(node.files, *DENY):
        directory, good, mode, owner = node.fix(*entries)
    assert good is None
    hints = {"directory": directory, "mode": mode, "owner": owner}
    kept = {"directory": 700, "mode": 600, "owner": 600}
    for name, failure in hints.items():
        assert failure is not None
        hint = f": Operation not permitted (there it is root:root {kept[name]}: attributes.yaml can accept that)"
        assert failure.endswith(hint)
    assert sorted(path.name for path in node.files.iterdir()) == ["good", "mode", "owner"]
    assert (node.files / "mode").read_bytes() == b"old"


@contextmanager
def exfat(image: Path, path: Path) -> Iterator[None]:
    """Mount an exFAT file system: no owners, no modes, no links, and upper case is not told from lower case."""
    if not all(map(shutil.which, ("mkfs.exfat", "mount.exfat-fuse"))):
        pytest.skip("needs exfatprogs and exfat-fuse")
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.exfat", image], check=True, stdout=subprocess.DEVNULL)
    loop = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True)
    device = loop.stdout.strip()
    try:
        mount = ["mount.exfat-fuse", "-o", "umask=022", device, str(path)]
        subprocess.run(mount, check=True, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            subprocess.run(["umount", "--", path], check=True)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_a_file_system_without_owners_modes_and_links(node: DiskNode) -> None:
    mode = state(mode=0o755)
    top, below = node.entry("new", state(Kind.DIRECTORY, mode=0o755)), node.entry("new/inside", mode)
    entries = [node.entry("old", mode), node.entry("made", mode), top, below]
    with exfat(node.top / "image", node.files):
        (node.files / "old").write_text("old")
        assert set(node.fix(*entries)) == {None}
        assert not any(map(node.changes, entries))
        assert (node.files / "old.saved").read_text() == "old"
        assert restored(node, entries[0]) == [None]
        assert (node.files / "old").read_text() == "old"
        assert not (node.files / "old.saved").exists()
        link, owner = node.fix(
            node.entry("link", state(Kind.LINK, target=b"x")), node.entry("mine", replace(mode, uid=1, owner="daemon"))
        )
        assert link is not None
        assert link.startswith("ln: ")
        assert owner is not None
        assert owner.endswith("(there it is root:root 755: attributes.yaml can accept that)")
        assert sorted(path.name for path in node.files.iterdir()) == ["made", "new", "old"]
