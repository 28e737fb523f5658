"""A push to the mirror that is cut off again and again: each run sends what has not come, and the last one arrives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests_meta.site import BY_RSYNC, Run, Site
from tests_meta.ssh.test_mirror import listing, reached_by, with_ssh

ways = pytest.mark.parametrize("way", ["both", "rsync", "busybox rsync", "tar", "busybox tar"])
AT_ONCE = 4_000_000  # bytes of a push until its connection ends
MOST_RUNS = 4  # what is on its way when the connection ends is lost
MIRROR = ".synctool-mirror"


@contextmanager
def reached(live: Site, way: str) -> Iterator[str]:
    """The one node, as reached_by() does; or BusyBox's, with rsync."""
    if way == "busybox rsync":
        live.nodes = {"node5": "batch"}
        live.lines.append(BY_RSYNC)
        yield "node5"
        return
    with reached_by(live, way) as node:
        yield node


def cut_off(live: Site) -> Run:
    """A --fix in which the connection of a push ends after so many bytes."""
    cut = f"dd bs=65536 count={AT_ONCE} iflag=count_bytes status=none <&3"
    push = f'exec 3<&0; {{ {cut} & }} | ssh "$@" 3<&-; [ $? = 0 ] || exit 255; exit 0'
    return with_ssh(live, f'case "$*" in *synctool-new*) {push};; esac', "--fix")


@ways
def test_many_files_arrive_after_some_runs(live: Site, way: str) -> None:
    """8 MB with 4 MB a run. Nothing is seen of it before it is complete, and nothing is left of it then."""
    for number in range(40):
        live.put(f"d/file{number:02}._all", os.urandom(200_000))
    with reached(live, way) as node:
        runs = [cut_off(live)]
        while runs[-1].status and len(runs) < MOST_RUNS:
            assert live.sh(node, "ls @ 2>&- || :") == ""
            assert live.sh(node, f"ls {live.masterdir}") == ""
            runs.append(cut_off(live))
        assert runs[-1].status == 0, runs[-1].output
        assert len(runs) > 1
        assert live.sh(node, "ls @/d | wc -l").strip() == "40"
        assert {name for name in listing(live, node) if name.startswith(".")} == {MIRROR}


@pytest.mark.parametrize("way", ["rsync", "busybox rsync"])
def test_a_large_file_arrives_after_some_runs(live: Site, way: str) -> None:
    live.put("file._all", os.urandom(8_000_000))
    with reached(live, way) as node:
        runs = [cut_off(live)]
        while runs[-1].status and len(runs) < MOST_RUNS:
            runs.append(cut_off(live))
        assert runs[-1].status == 0, runs[-1].output
        assert len(runs) > 1
        assert live.sh(node, "wc -c <@/file").strip() == "8000000"


@ways
def test_what_came_of_older_versions_is_not_used(live: Site, way: str) -> None:
    """The sources change, go away and get other modes between the runs."""
    for number in range(25):
        live.put(f"file{number:02}._all", os.urandom(200_000))
    with reached(live, way) as node:
        assert cut_off(live).status == 1
        new = os.urandom(200_000)
        path = live.put("file00._all", new)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        live.put("file01._all", (live.masterdir / "overlay" / live.top[1:] / "file01._all").read_bytes(), 0o600)
        (live.masterdir / "overlay" / live.top[1:] / "file02._all").unlink()
        runs = [cut_off(live)]
        while runs[-1].status and len(runs) < MOST_RUNS:
            runs.append(cut_off(live))
        assert runs[-1].status == 0, runs[-1].output
        assert live.cluster is not None
        assert live.cluster.run(node, f"cat {live.top}/file00").stdout == new
        here = {name: (live.masterdir / name).stat().st_mode & 0o777 for name in names(live)}
        modes = live.sh(node, f"cd {live.masterdir}; find overlay -type f -exec stat -c '%n %a' {{}} +").splitlines()
        assert {name: int(mode, 8) for name, mode in (line.split() for line in modes)} == here


def names(live: Site) -> list[str]:
    """The names of the sources."""
    return [str(path.relative_to(live.masterdir)) for path in live.masterdir.glob("overlay/**/*") if path.is_file()]


@ways
def test_a_later_push_sends_only_what_differs(live: Site, way: str) -> None:
    """The rest is linked from the mirror."""
    live.put("big._all", os.urandom(5_000_000))
    live.put("small._all")
    with reached(live, way) as node:
        assert live.pytest("--fix").status == 0
        inode = f"stat -c %i {live.masterdir}/overlay{live.top}/big._all"
        before = live.sh(node, inode)
        live.put("small._all", "another\n")
        run = cut_off(live)
        assert run.status == 0, run.output
        assert live.sh(node, inode) == before
        assert live.sh(node, "cat @/small") == "another\n"


def test_a_push_that_fills_the_disk_leaves_nothing(live: Site) -> None:
    live.nodes = {"node1": "batch"}
    live.put("file._all", os.urandom(6_000_000))
    live.sh("node1", f"mkdir -p {live.masterdir}; mount -t tmpfs -o size=5m,mode=700 none {live.masterdir}")
    try:
        run = live.pytest("--fix")
        assert run.status == 1
        assert "No space left" in run.message("node1", f"{live.top}/file")
        assert listing(live, "node1") == {MIRROR}
    finally:
        live.sh("node1", f"umount -l {live.masterdir}")


def test_a_hole_in_a_source_stays_a_hole(live: Site) -> None:
    """In the mirror, and in the file."""
    live.nodes = {"node1": "batch"}
    path = live.put("sparse._all", b"begin")
    os.truncate(path, 50_000_000)
    assert live.pytest("--fix").status == 0
    used = live.sh("node1", f"stat -c %b {live.masterdir}/overlay{live.top}/sparse._all @/sparse").split()
    assert max(map(int, used)) < 1000
