"""--fix on file systems that cannot do everything, or do not answer: each cause is told, and all else is repaired."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_synctool.repair.kept_names import kept_name

from tests_meta.gate import settled
from tests_meta.site import Site
from tests_meta.terminal import run as run_program

PROGRAMS = ("mkfs.exfat", "mount.exfat-fuse", "mkfs.btrfs", "btrfs", "losetup")
MOUNT = """
mkdir -p @/exfat @/quota; cd @; exec 2>&1
mknod /dev/fuse c 10 229; mknod /dev/loop-control c 10 237; for n in 0 1 2 3 4 5 6 7; do mknod /dev/loop$n b 7 $n; done
truncate -s 4M exfat.image; truncate -s 109M quota.image
set -e
mkfs.exfat exfat.image; mkfs.btrfs -q quota.image
losetup -f --show exfat.image >devices; mount.exfat-fuse -o umask=022 "$(tail -n1 devices)" exfat
losetup -f --show quota.image >>devices; mount "$(tail -n1 devices)" quota
btrfs quota enable quota; btrfs qgroup limit 1M quota
echo old >exfat/file; echo old >exfat/LONG; echo old >quota/big; chmod 600 quota/big
"""
UMOUNT = """
cd @; for name in exfat quota; do mountpoint -q $name && umount -l $name; done
for device in $(cat devices); do losetup -d $device; done
rm -rf exfat quota *.image devices /dev/fuse /dev/loop*
"""


LONG = "n" * 250  # and .saved would be too long


@pytest.fixture
def odd(live: Site) -> Iterator[Site]:
    """Return a site whose node1 has a file system without owners and modes, and one with a quota."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    live.nodes = {"node1": "batch"}
    try:
        live.sh("node1", MOUNT.replace("LONG", LONG))
        yield live
    finally:
        live.sh("node1", UMOUNT)


def test_what_a_file_system_cannot_do(odd: Site) -> None:
    odd.put("exfat/file._all", "new\n", 0o755)
    odd.put("exfat/closed._all", "new\n", 0o640)
    odd.put("exfat/name._all", "one\n", 0o755)
    odd.put("exfat/NAME._all", "two\n", 0o755)
    odd.link("exfat/link._all", "file")
    odd.put("quota/big._all", b"x" * 3_000_000)
    odd.put("quota/small._all", "new\n")
    odd.put(f"exfat/{LONG}._all", "new\n", 0o755)
    run = odd.pytest("--fix")
    top = odd.top
    failed = [path for (_, path), word in run.results.items() if word == "failure"]
    lines = [run.message("node1", path).partition("\n")[0] for path in failed]
    first_lines = {
        path.removeprefix(top): line.partition(", not fixed: ")[2] for path, line in zip(failed, lines, strict=True)
    }
    assert sorted(first_lines) == ["/exfat/NAME", "/exfat/closed", "/exfat/link", "/quota/big"]
    same = f"where upper and lower case are the same, {top}/exfat/name has the same name"
    assert first_lines["/exfat/NAME"] == same
    assert first_lines["/exfat/closed"].endswith(
        "if the file system cannot keep it, attributes.yaml can accept what is there"
    )
    assert first_lines["/exfat/link"].startswith("ln: ")
    assert first_lines["/quota/big"].endswith("Disk quota exceeded")
    look = "cd @; cat quota/big exfat/file exfat/name quota/small; stat -c %a quota/big; "
    look += "find exfat quota | LC_ALL=C sort"
    assert odd.sh("node1", look).split() == [
        *("old", "new", "one", "new", "600"),
        *("exfat", "exfat/closed", "exfat/file", "exfat/file.saved", "exfat/name", "exfat/name.saved"),
        *(os.fsdecode(b"exfat/" + kept_name(LONG.encode())), f"exfat/{LONG}"),
        *("quota", "quota/big", "quota/small"),
    ]
    (odd.masterdir / "attributes.yaml").write_text(f"- path: {top}/exfat/closed\n  mode: '0755'\n")
    for name in ("exfat/NAME", "exfat/link", "quota/big"):
        (odd.masterdir / f"overlay{top}/{name}._all").unlink()
    settled(odd)


DIE = """
mkdir -p @/dead; [ -c /dev/fuse ] || mknod /dev/fuse c 10 229
mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 dead @/dead 3<>/dev/fuse
"""


def test_links_to_a_file_system_that_does_not_answer(live: Site) -> None:
    """They stay, since they may lead to directories; all behind them is unknown. node5 has BusyBox."""
    if "\tfuse\n" not in Path("/proc/filesystems").read_text():
        pytest.skip("needs a kernel with FUSE")
    live.nodes = {"node1": "batch", "node5": "batch"}
    nodes = tuple(live.nodes)
    for name in ("link", "deep", "nowhere"):
        live.put(f"{name}/directory/file._all")
    try:
        for node in nodes:
            live.sh(node, DIE)
            live.sh(node, "cd @; ln -s dead link; ln -s dead/x deep; ln -s x nowhere")
        run = live.pytest("--fix")
        for node in nodes:
            for name in ("link", "deep"):
                message = run.message(node, f"{live.top}/{name}")
                assert "not fixed: nobody can tell whether it leads to a directory" in message
                for below in ("directory", "directory/file"):
                    assert run.word(node, f"{live.top}/{name}/{below}") == "error"
            for below in ("", "/directory", "/directory/file"):
                assert run.word(node, f"{live.top}/nowhere{below}") == "passed"
            assert live.sh(node, "cd @; readlink link; readlink deep; echo *").split() == [
                *("dead", "dead/x"), *("dead", "deep", "link", "nowhere", "nowhere.saved"),
            ]  # fmt: skip
    finally:
        for node in nodes:
            live.sh(node, "umount -l @/dead; rm -rf @ /dev/fuse")


def test_a_file_system_that_does_not_answer_in_an_exclusive_directory(live: Site) -> None:
    """It is not said to be removed; --upload says that it cannot be looked at."""
    if "\tfuse\n" not in Path("/proc/filesystems").read_text():
        pytest.skip("needs a kernel with FUSE")
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    (live.masterdir / "attributes.yaml").write_text(f"- path: {live.top}\n  exclusive: tree\n")
    try:
        live.sh("node1", DIE)
        run = live.pytest("--fix")
        assert "/ dead is not in the masterdir, not fixed: mv: " in run.message("node1", f"{live.top}/", "exclusive")
        ended = run_program(live.directory, "synctool", "-n", "node1", "-u", f"{live.top}/dead/file")
        (line,) = ended.errors()
        assert f"{live.top}/dead/file cannot be looked at: " in line
    finally:
        live.sh("node1", "umount -l @/dead; rm -rf @ /dev/fuse")
