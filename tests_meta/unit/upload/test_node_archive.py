"""What a node sends of a file or directory, read from real shells and tars; and what is not taken from a bad one."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.common.shell import whole
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, FileState, Kind
from pytest_synctool.upload.node_archive import Found, Intake, read, script

from tests_meta.unit.helpers import ODD_NAMES, Shell, file_names, lstat_state

BEGUN = b"synctool-probe\ns:41ed:1:0:0:root:root:/d\nsynctool-probe-end\n"
END = b"\nsynctool-tar-end\n"


def take(shell: Shell, path: Path) -> Intake:
    """What comes of a path."""
    with tempfile.TemporaryFile() as stream:
        stream.write(shell.run(whole(script(os.fsencode(path)))).stdout)
        intake = read(os.fsencode(path), stream)
        contents = {each.path: intake.open(each).read() for each in intake.found if each.state.kind is Kind.FILE}
        assert contents == {path: Path(os.fsdecode(path)).read_bytes() for path in contents}
        return intake


@given(tree=st.dictionaries(file_names, st.binary(max_size=30) | st.none(), max_size=8))
@settings(max_examples=10)
def test_any_tree(shell: Shell, tmp_path_factory: pytest.TempPathFactory, tree: dict[bytes, bytes | None]) -> None:
    """None stands for a directory with a link in it, whose target has a newline."""
    top = tmp_path_factory.mktemp("tree")
    for name, content in tree.items():
        path = top / os.fsdecode(name)
        if content is None:
            path.mkdir()
            (path / "link").symlink_to("target\n")
        else:
            path.write_bytes(content)
    found = {each.path: each.state for each in take(shell, top).found}
    names = {os.fsencode(path) for path in (top, *top.rglob("*"))}
    assert set(found) == names
    for name in names:
        seen = lstat_state(name, size=Path(os.fsdecode(name)).lstat().st_size)
        assert isinstance(seen, FileState)
        assert found[name] == (seen if seen.kind is Kind.FILE else replace(seen, size=found[name].size))


def test_odd_names(shell: Shell, tmp_path: Path) -> None:
    for name in ODD_NAMES:
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(name)
        (only,) = take(shell, path).found
        assert only.path == os.fsencode(path)


def test_what_is_there_beside_files(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("one\n")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    os.mkfifo(tmp_path / "pipe")
    intake = take(shell, tmp_path)
    assert [each.path.rpartition(b"/")[2] for each in intake.found[1:]] == [b"one", b"two"]
    assert intake.found[1].state == intake.found[2].state
    assert intake.special == [os.fsencode(tmp_path / "pipe")]
    assert {each.kind for each in intake.above.values() if isinstance(each, FileState)} == {Kind.DIRECTORY}
    assert take(shell, tmp_path / "none").state is ABSENT
    (tmp_path / "link").symlink_to("none")
    (only,) = take(shell, tmp_path / "link").found
    assert (only.state.kind, only.state.target) == (Kind.LINK, b"none")


def test_a_node_without_tar(applets: str, tmp_path: Path) -> None:
    """Its answer is not whole."""
    for name in ("sh", "stat", "readlink", "md5sum", "xargs"):
        shutil.copy(f"{applets}/{name}", tmp_path / name, follow_symlinks=False)
    (tmp_path / "file").touch()
    command = whole(script(os.fsencode(tmp_path / "file"))).replace(b"PATH=$PATH:/usr/bin:/bin", b":")
    done = Shell("busybox", ("/bin/dash",), {"PATH": str(tmp_path)}).run(command)
    assert done.returncode == 1
    with tempfile.TemporaryFile() as stream:
        stream.write(done.stdout)
        with pytest.raises(RemoteError, match="not whole"):
            read(os.fsencode(tmp_path / "file"), stream)


def member(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", target: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """One thing in a stream."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mode = kind, len(content), target, 0o755
    return info, content


def sent(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """What a node says that has these in /d."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return BEGUN + stream.getvalue() + END


TOP = member("./d", tarfile.DIRTYPE)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([TOP, member("./e")], "the node has sent /e, which nobody has asked for"),
        ([TOP, member("./dd")], "the node has sent /dd, which"),
        ([TOP, member("./d/../e")], r"the node has sent /d/\.\./e, which"),
        ([TOP, member("./d/./e")], "which nobody has asked for"),
        ([TOP, member("d/e")], "the node has sent d/e, which"),
        ([TOP, member("/d/e")], None),
        ([TOP, member("./d//e")], "which nobody has asked for"),
        ([TOP, member("")], "a file without a name, which"),
        ([TOP, member("./d/e"), member("./d/e")], "the node has sent /d/e twice"),
        ([TOP, member("./d/e", tarfile.LNKTYPE, target="./d/f")], "another name of what has not come"),
        ([TOP, member("./d/e", tarfile.LNKTYPE, target="/etc/shadow")], "the node has sent /etc/shadow, which"),
        ([TOP, member("./d/e", tarfile.LNKTYPE, target="./d/e")], "another name of what has not come"),
        ([member("./d/e")], "has no /d"),
        ([member("./d")], "changed while it was looked at"),
        ([], "has no /d"),
    ],
)
def test_bad_streams(members: Sequence[tuple[tarfile.TarInfo, bytes]], message: str | None) -> None:
    stream = io.BytesIO(sent(members))
    if message is None:
        assert [each.path for each in read(b"/d", stream).found] == [b"/d", b"/d/e"]
        return
    with pytest.raises(RemoteError, match=message):
        read(b"/d", stream)


@pytest.mark.parametrize("damage", ["header", "rest", "end"])
def test_a_stream_is_read_to_its_end(damage: str) -> None:
    """tarfile itself takes a damaged header for the end of the stream: /d/f would be missing without a message."""
    stream = bytearray(sent([TOP, member("./d/e"), member("./d/f")]))
    header = len(BEGUN) + 2 * tarfile.BLOCKSIZE
    if damage == "header":
        stream[header] ^= 1
    elif damage == "rest":
        stream[-len(END) - 1] = 1
    else:
        del stream[header + tarfile.BLOCKSIZE : -len(END)]
    with pytest.raises(RemoteError, match="does not end where tar ends one"):
        read(b"/d", io.BytesIO(stream))


@pytest.mark.parametrize(
    "fields",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1000000000000"},
        {"GNU.sparse.map": "0,1,999999999999,1", "GNU.sparse.size": "1000000000000"},
        {"uid": "-1"},
        {"uid": "4294967295"},
        {"gid": "99999999999999"},
        {"gid": "-7"},
        {"path": "./d/e\0f"},
        {"size": "-1"},
    ],
)
def test_what_no_tar_says_by_itself(fields: dict[str, str]) -> None:
    """Extended headers with what would be written as something else, or without end."""
    stream = io.BytesIO()
    info, content = member("./d/e", content=b"1\n0\n1\n" + bytes(506))
    info.pax_headers = fields
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(TOP[0])
        tar.addfile(info, io.BytesIO(content))
    with pytest.raises(RemoteError):
        read(b"/d", io.BytesIO(BEGUN + stream.getvalue() + END))


def test_a_link_that_leads_nowhere() -> None:
    info, _ = member("./d/e", tarfile.SYMTYPE)
    info.pax_headers = {"linkpath": "a\0b"}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(TOP[0])
        tar.addfile(info)
    with pytest.raises(RemoteError):
        read(b"/d", io.BytesIO(BEGUN + stream.getvalue() + END))


def test_devices_are_not_taken() -> None:
    intake = read(b"/d", io.BytesIO(sent([TOP, member("./d/e", tarfile.CHRTYPE), member("./d/f", tarfile.FIFOTYPE)])))
    assert [each.path for each in intake.found] == [b"/d"]
    assert intake.special == [b"/d/e", b"/d/f"]


def test_streams_that_broke_off() -> None:
    whole_stream = sent([TOP, member("./d/e", content=b"content")])
    assert len(read(b"/d", io.BytesIO(whole_stream)).found) == 2
    for length in range(0, len(whole_stream), 7):
        with pytest.raises(RemoteError):
            read(b"/d", io.BytesIO(whole_stream[:length]))
    damaged = BEGUN + whole_stream[len(BEGUN) : len(BEGUN) + 1100] + END  # in the middle of a file
    with pytest.raises(RemoteError):
        read(b"/d", io.BytesIO(damaged))


@given(st.binary(max_size=600))
def test_any_stream(data: bytes) -> None:
    """Whatever comes is an error, or is about /d."""
    try:
        intake = read(b"/d", io.BytesIO(BEGUN + data + END))
    except RemoteError:
        return
    assert all(each.path == b"/d" or each.path.startswith(b"/d/") for each in intake.found)


def test_numbers_of_owners() -> None:
    """BusyBox has a number in the place of a name that is not there, and long ones only there."""
    info, _ = member("./d/e")
    info.uid, info.uname, info.gid, info.gname = 7, "3000000000", 5, "daemon"
    intake = read(b"/d", io.BytesIO(sent([TOP, (info, b"")])))
    state = intake.found[1].state
    assert (state.uid, state.owner, state.gid, state.group) == (3000000000, None, 5, "daemon")
    assert isinstance(intake.found[1], Found)
