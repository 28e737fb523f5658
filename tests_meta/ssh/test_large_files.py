"""Large files on real nodes: a repair sends what differs from any version on the node, and waits for progress."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from tests_meta.site import Site

SIZE = 17 << 20  # bytes: just above those for which what is on the node is used
LITTLE = 1 << 20
NODES = pytest.mark.parametrize("node", ["node1", "node5"])  # GNU, BusyBox


@pytest.fixture
def large(live: Site) -> Site:
    """Return a site with a large file, whose rsync logs what it has sent."""
    live.nodes = {"node1": "batch"}
    live.lines.append(f"rsync_cmd rsync --log-file={live.directory / 'rsync.log'}")
    live.put("it's large._all", os.urandom(SIZE))
    return live


def sent(live: Site, *arguments: str) -> int:
    """Run a repair, which must succeed; return the number of bytes that rsync has sent."""
    log = live.directory / "rsync.log"
    log.unlink(missing_ok=True)
    run = live.pytest("--fix", *arguments)
    assert run.status == 0, run.output
    return sum(int(number.replace(",", "")) for number in re.findall(r"sent ([\d,]+) bytes", log.read_text()))


def change(live: Site, node: str) -> None:
    """Change one byte of the file on the node, and remove its mirror."""
    live.sh(node, 'printf z | dd of="@/it\'s large" bs=1 seek=5000000 conv=notrunc 2>&1')
    live.sh(node, f"rm -rf {live.masterdir}")


def source(live: Site) -> Path:
    """Return the source of the file."""
    return live.masterdir / "overlay" / live.top[1:] / "it's large._all"


def is_right(live: Site, node: str) -> bool:
    """Return True if the node has the file, and a mirror with another copy of it and nothing else."""
    files = f'"{live.masterdir}/overlay@/it\'s large._all" "@/it\'s large"'
    digests = {line.split()[0] for line in live.sh(node, f"md5sum {files}").splitlines()}
    links = live.sh(node, f"stat -c %h {files}").split()
    rest = live.sh(node, f"ls -A {live.masterdir}").split()
    right = hashlib.md5(source(live).read_bytes()).hexdigest()
    return digests == {right} and links == ["1", "1"] and rest == [".synctool-mirror", "overlay"]


@NODES
def test_a_changed_byte_is_sent_without_the_rest(large: Site, node: str) -> None:
    """The node had the file before it had a mirror; then the mirror has an old version; then it has the right one."""
    large.nodes = {node: "batch"}
    assert sent(large) > SIZE
    change(large, node)
    assert sent(large) < LITTLE
    assert is_right(large, node)
    with source(large).open("r+b") as file:
        file.write(b"another")
    assert sent(large) < LITTLE
    assert is_right(large, node)
    large.sh(node, 'printf z >>"@/it\'s large"')
    assert sent(large) < 1000
    assert is_right(large, node)


@NODES
def test_the_mirror_shares_no_file_with_the_node(large: Site, node: str) -> None:
    """The file on the node is right, another one is not: what is taken from there for the mirror is a copy."""
    large.nodes = {node: "batch"}
    sent(large)
    large.put("other._all")
    large.sh(node, f'rm -rf {large.masterdir}; touch -r / "@/it\'s large"')
    os.utime(source(large), (int(large.sh(node, "stat -c %Y /")),) * 2)
    assert sent(large) < LITTLE
    assert is_right(large, node)


@pytest.mark.parametrize(
    "theirs",
    [
        "chown 1000 @",
        "chmod 777 @",
        'mv "@/it\'s large" @/there; ln -s there "@/it\'s large"',
        'rm "@/it\'s large"; mkfifo "@/it\'s large"',
    ],
)
def test_nothing_is_read_where_others_can_exchange_names(large: Site, theirs: str) -> None:
    sent(large)
    change(large, "node1")
    large.sh("node1", theirs)
    assert sent(large) > SIZE
    large.sh("node1", "chown 0 @; chmod 755 @")
    assert is_right(large, "node1")


@NODES
def test_what_has_become_far_larger_is_not_copied(large: Site, node: str) -> None:
    """The owner of a file could keep a repair busy for ever: a sparse file may have the size of many disks."""
    large.nodes = {node: "batch"}
    sent(large)
    change(large, node)
    large.sh(node, 'dd if=/dev/zero of="@/it\'s large" bs=1M count=1 seek=40 conv=notrunc 2>&1')
    assert sent(large) > SIZE
    assert is_right(large, node)


@NODES
def test_nothing_is_copied_where_the_new_version_would_have_no_room(large: Site, node: str) -> None:
    large.nodes = {node: "batch"}
    sent(large)
    change(large, node)
    large.sh(node, f"mkdir {large.masterdir}; mount -t tmpfs -o size={SIZE * 3 // 2},mode=755 none {large.masterdir}")
    try:
        assert sent(large) > SIZE
        assert is_right(large, node)
    finally:
        large.sh(node, f"umount -l {large.masterdir}")


def test_a_push_that_reads_for_long_is_not_silent(large: Site) -> None:
    """An rsync on the node that reads for longer than a node may be silent, before it says a word."""
    reading = "n=0; while [ $((n = n + 1)) -le 90 ]; do read -r x </etc/passwd; sleep 0.1; done"
    assert large.cluster is not None
    lines = f"'#!/bin/sh' '{reading}' 'exec rsync \"$@\"'"
    large.cluster.run("node1", f"printf '%s\\n' {lines} >/run/slow; chmod 755 /run/slow")
    large.lines[-1] += " --rsync-path=/run/slow"
    assert sent(large, "--node-timeout=6") > SIZE


def test_an_audit_that_reads_for_long_is_not_silent(large: Site) -> None:
    """An md5sum on the node that reads for longer than a node may be silent."""
    sent(large)
    reading = "n=0; while [ $((n = n + 1)) -le 90 ]; do read -r x </etc/passwd; sleep 0.1; done"
    assert large.cluster is not None
    lines = f"'#!/bin/sh' '{reading}' 'exec /usr/bin/md5sum \"$@\"'"
    large.cluster.run("node1", f"printf '%s\\n' {lines} >/usr/local/bin/md5sum; chmod 755 /usr/local/bin/md5sum")
    try:
        run = large.pytest("--node-timeout=6")
    finally:
        large.sh("node1", "rm /usr/local/bin/md5sum")
    assert run.status == 0, run.output
