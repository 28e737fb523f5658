"""What of a masterdir is for which node, and the tar stream of it."""

from __future__ import annotations

import os
import socket
import subprocess
import tarfile
from io import BufferedReader
from pathlib import Path

import pytest
from pytest_synctool.common import shell
from pytest_synctool.connection import tarball
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.route import route_to
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.connection.transport import connect
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node
from pytest_synctool.repair.mirror import Mirror
from pytest_synctool.repair.mirror_contents import Extract
from pytest_synctool.repair.mirror_script import MARK, NodeSide

from tests_meta.unit.helpers import BUSYBOX, IS_ROOT, NOBODY, ODD_NAMES, Shell

NODE = Node("node1", ("node1", "all"), "node1")


def test_scripts_are_files_directories_and_links(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    (scripts / "lib" / "empty").mkdir(parents=True)
    for name in ODD_NAMES:
        Path(os.fsdecode(os.path.join(os.fsencode(scripts), name))).touch()
    (scripts / "loop").symlink_to(".")
    (scripts / "gone").symlink_to("/nonexistent")
    os.mkfifo(scripts / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(scripts / "socket"))
    found = set(Mirror.of(tmp_path, ["rsync"], 1).scripts)
    names = (b"lib", b"lib/empty", b"loop", b"gone", *ODD_NAMES)
    assert found == {b"scripts", *(b"scripts/" + name for name in names)}


def test_scripts_may_be_missing_or_a_link(tmp_path: Path) -> None:
    assert Mirror.of(tmp_path, ["rsync"], 1).scripts == ()
    (tmp_path / "scripts").symlink_to("/nonexistent")
    assert Mirror.of(tmp_path, ["rsync"], 1).scripts == (b"scripts",)


def test_a_nodes_copy_is_never_taken_for_the_masters(tmp_path: Path) -> None:
    """Nodes that share it would have a mark, and lose what they may not see: all that the others need."""
    (tmp_path / MARK).touch()
    mirror = Mirror.of(tmp_path, ["rsync"], 1)
    with pytest.raises(TransportError, match="is marked as a node's copy"):
        mirror.bring(connect(NODE, SshSettings(), Processes()), Extract((b"overlay/a",), {}))


def test_a_masterdir_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    mirror = Mirror.of(tmp_path / "gone", ["rsync"], 1)
    with pytest.raises(TransportError, match=r"cannot read \.: No such file"):
        mirror.bring(connect(NODE, SshSettings(), Processes()), Extract((b"overlay/a",), {}))


@pytest.mark.parametrize("made", [{}, {b"attributes.yaml": b"text"}], ids=["sources", "made"])
def test_rsync_gets_short_names_where_it_can(tmp_path: Path, made: dict[bytes, bytes]) -> None:
    """It reads each byte of its list by a call of its own."""
    rsync = tmp_path / "rsync"
    rsync.write_text(
        f'#!/bin/sh\ncat >{tmp_path}/list\nfor a do shift; [ "$a" != -- ] || echo "$1" >{tmp_path}/top; done\n'
    )
    rsync.chmod(0o755)
    master = tmp_path / "masterdir"
    with pytest.raises(TransportError, match="rsync failed"):
        Mirror(master, [str(rsync)], 60).bring(
            connect(NODE, SshSettings(), Processes()), Extract((b"overlay/a", b"tasks/b"), made)
        )
    names = (tmp_path / "list").read_bytes().split(b"\0")[:-1]
    if made:
        above = os.fsencode(master) + b"/./"
        assert names[:2] == [above + b"overlay/a", above + b"tasks/b"]
        assert names[2].endswith(b"/attributes.yaml")
    else:
        assert names == [b"overlay/a", b"tasks/b"]
    assert (tmp_path / "top").read_text() == ("/\n" if made else f"{master}\n")


def test_what_passes_words_on_to_rsync_waits_until_it_reads(tmp_path: Path) -> None:
    """It is cat, which would fail with many files: rsync makes its standard output one that does not block."""
    rsync = tmp_path / "rsync"
    rsync.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/words\n')
    rsync.chmod(0o755)
    with pytest.raises(TransportError, match="rsync failed"):
        Mirror(tmp_path, [str(rsync)], 60).bring(connect(NODE, SshSettings(), Processes()), Extract((), {}))
    assert "--blocking-io" in (tmp_path / "words").read_text().splitlines()


@pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")
def test_a_directory_that_is_exchanged_after_a_push_has_gone_there(userland: Shell, open_directory: Path) -> None:
    """mksh would look at what its name leads to by now."""
    theirs, safe = open_directory / "theirs", open_directory / "safe"
    for directory in (theirs, theirs / "d", safe):
        directory.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    side = NodeSide("synctool-0", os.fsencode(theirs / "d/masterdir"), "0.tar", "cat", 120, in_one=True)
    text = side.line(route_to(NODE, SshSettings())).split("'")[1]
    swap = f"[ -L {theirs}/d ] || {{ mv {theirs}/d {theirs}/away && ln -s {safe} {theirs}/d; }}"
    second = f"if [ -e {theirs}/tried ]; then {swap}; else : >{theirs}/tried; fi"
    run = userland.run(f'cd() {{ command cd "$@" && {second}; }}\n{text}'.encode())
    assert b"synctool-0: failed others than root may write in " in run.stdout
    assert list(safe.iterdir()) == []


def packed(top: Path, names: list[bytes]) -> Path:
    """A tar file of these names."""
    path = top.parent / "packed.tar"
    path.write_bytes(b"".join(tarball.files(os.fsencode(top), names)))
    return path


@pytest.mark.parametrize("tar", [["tar"], [BUSYBOX, "tar"]], ids=["gnu", "busybox"])
def test_tar_brings_names_modes_times_and_links(tmp_path: Path, tar: list[str]) -> None:
    """Odd and long names, unusual modes; and nothing that was not asked for."""
    top, out = tmp_path / "top", tmp_path / "out"
    (top / "d" / "deep").mkdir(parents=True)
    out.mkdir()
    (top / "d").chmod(0o2750)
    names = [b"d/" + name for name in ODD_NAMES] + [b"d/deep/" + b"long" * 50]
    for name in names:
        path = Path(os.fsdecode(os.path.join(os.fsencode(top), name)))
        path.write_bytes(name)
        path.chmod(0o4710)
    (top / "d" / "unasked").write_text("secret")
    (top / "d" / "link").symlink_to("/etc/../etc/" + "x" * 120)
    os.utime(top / "d" / "~tilde", (1_000_000_000, 1_000_000_000))
    stream = packed(top, [*names, b"d/link", b"d/gone", b"d/~tilde/below"])
    with stream.open("rb") as content:
        subprocess.run(
            [*tar, "xpf", "-"], stdin=content, cwd=out, check=True, env={**os.environ, "EXTRACT_UNSAFE_SYMLINKS": "1"}
        )
    found = {os.path.relpath(os.path.join(where, name), os.fsencode(out)) for where, d, f in os.walk(os.fsencode(out))
             for name in (*d, *f)}  # fmt: skip
    assert found == {b"d", b"d/deep", b"d/link", *names, shell.COMPLETE.encode()}
    for name in names:
        path = Path(os.fsdecode(os.path.join(os.fsencode(out), name)))
        assert path.read_bytes() == name
        assert path.stat().st_mode & 0o7777 == 0o4710
    assert (out / "d").stat().st_mode & 0o7777 == 0o2750
    assert (out / "d" / "link").readlink() == Path("/etc/../etc/" + "x" * 120)
    assert (out / "d" / "~tilde").stat().st_mtime == 1_000_000_000


@pytest.mark.parametrize("tar", [["tar"], [BUSYBOX, "tar"]], ids=["gnu", "busybox"])
def test_tar_brings_what_is_made_for_the_node(tmp_path: Path, tar: list[str]) -> None:
    """Below directories that nothing else has made, with every name."""
    made = {b"new/deep/" + name: name for name in ODD_NAMES} | {b"empty": b"", b"long" * 40: b"x"}
    (tmp_path / "out").mkdir()
    pieces = (*tarball.made_files(made, b""), *tarball.files(os.fsencode(tmp_path), []))
    content = BufferedReader(tarball.Stream(pieces), 1000).read()
    subprocess.run([*tar, "xpf", "-"], input=content, cwd=tmp_path / "out", check=True)
    out = os.fsencode(tmp_path / "out")
    for name, content_ in made.items():
        there = Path(os.fsdecode(os.path.join(out, name)))
        assert there.read_bytes() == content_
        assert there.stat().st_mode & 0o7777 == 0o600


def test_tar_has_owners_by_number_only(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / "file").write_text("x")
    if os.geteuid() == 0:
        os.chown(top / "file", 3_000_000_000, 12)
    with tarfile.open(packed(top, [b"file"])) as tar:
        member = tar.getmember("file")
    assert (member.uid, member.gid) == ((top / "file").stat().st_uid, (top / "file").stat().st_gid)
    assert (member.uname, member.gname) == ("", "")


def test_tar_makes_a_directory_of_a_link_above_names(tmp_path: Path) -> None:
    """A masterdir whose overlay/ is a link to the working tree of a repository."""
    top = tmp_path / "top"
    (tmp_path / "work" / "etc").mkdir(parents=True)
    (tmp_path / "work" / "etc" / "file").write_text("x")
    top.mkdir()
    (top / "overlay").symlink_to("../work")
    with tarfile.open(packed(top, [b"overlay/etc/file"])) as tar:
        kinds = {member.name: member.isdir() for member in tar}
    assert kinds == {"overlay": True, "overlay/etc": True, "overlay/etc/file": False, shell.COMPLETE: False}
