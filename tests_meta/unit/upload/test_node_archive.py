"""Archives of node files from real shells and tars, and the refusal of malicious answers."""

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
from pytest_synctool.audit import probe
from pytest_synctool.common.shell import whole
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, FileState, Kind, Unknown
from pytest_synctool.upload.node_archive import NodeArchive, NodeFile, check_unchanged, read, script, second_look

from tests_meta.unit.helpers import ODD_NAMES, Shell, file_names, lstat_state

BEGUN = b"synctool-probe\ni:0\n41ed:0:1:0:root:root\nsynctool-probe-end\n"
END = b"\nsynctool-tar-end\n"


def take(shell: Shell, path: Path) -> NodeArchive:
    """Run the script for a path in a shell and read its answer."""
    with tempfile.TemporaryFile() as stream:
        stream.write(shell.run(whole(script(os.fsencode(path)))).stdout)
        archive = read(os.fsencode(path), stream)
        contents = {each.path: archive.open(each).read() for each in archive.files if each.state.kind is Kind.FILE}
        look = second_look(archive)
        check_unchanged(archive, probe.parse(look, shell.run(whole(probe.script(look))).stdout))
        assert contents == {path: Path(os.fsdecode(path)).read_bytes() for path in contents}
        return archive


@given(tree=st.dictionaries(file_names, st.binary(max_size=30) | st.none(), max_size=8))
@settings(max_examples=10)
def test_any_tree_arrives_complete(
    shell: Shell, tmp_path_factory: pytest.TempPathFactory, tree: dict[bytes, bytes | None]
) -> None:
    """None stands for a directory with a link whose target has a newline."""
    top = tmp_path_factory.mktemp("tree")
    for name, content in tree.items():
        path = top / os.fsdecode(name)
        if content is None:
            path.mkdir()
            (path / "link").symlink_to("target\n")
        else:
            path.write_bytes(content)
    states = {each.path: each.state for each in take(shell, top).files}
    names = {os.fsencode(path) for path in (top, *top.rglob("*"))}
    assert set(states) == names
    for name in names:
        seen = lstat_state(name, size=Path(os.fsdecode(name)).lstat().st_size)
        assert isinstance(seen, FileState)
        assert states[name] == (seen if seen.kind is Kind.FILE else replace(seen, size=states[name].size))


def test_a_file_that_changed_behind_the_tar_is_refused(shell: Shell, tmp_path: Path) -> None:
    for change in ("other", "longer than it was", None):
        (tmp_path / "file").write_text("first")
        archive = take(shell, tmp_path)
        (tmp_path / "file").unlink()
        if change is None:
            (tmp_path / "file").symlink_to("elsewhere")
        else:
            (tmp_path / "file").write_text(change)
        look = second_look(archive)
        states = probe.parse(look, shell.run(whole(probe.script(look))).stdout)
        with pytest.raises(RemoteError, match="/file changed while the node sent it"):
            check_unchanged(archive, states)
        with pytest.raises(RemoteError, match="cannot be looked at once more: the node has no program md5sum"):
            check_unchanged(archive, {each.path: Unknown("the node has no program md5sum") for each in archive.files})


def test_odd_names_arrive_as_they_are(shell: Shell, tmp_path: Path) -> None:
    for name in ODD_NAMES:
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(name)
        (only,) = take(shell, path).files
        assert only.path == os.fsencode(path)


def test_hard_links_pipes_links_and_missing_paths(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("one\n")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    os.mkfifo(tmp_path / "pipe")
    archive = take(shell, tmp_path)
    assert [each.path.rpartition(b"/")[2] for each in archive.files[1:]] == [b"one", b"two"]
    assert archive.files[1].state == archive.files[2].state
    assert archive.special == [os.fsencode(tmp_path / "pipe")]
    assert {each.kind for each in archive.above.values() if isinstance(each, FileState)} == {Kind.DIRECTORY}
    assert take(shell, tmp_path / "none").state is ABSENT
    (tmp_path / "link").symlink_to("none")
    (only,) = take(shell, tmp_path / "link").files
    assert (only.state.kind, only.state.target) == (Kind.LINK, b"none")


def test_a_node_without_tar_sends_an_incomplete_answer(applets: str, tmp_path: Path) -> None:
    for name in ("sh", "stat", "readlink", "md5sum", "env", "pwd"):
        shutil.copy(f"{applets}/{name}", tmp_path / name, follow_symlinks=False)
    (tmp_path / "file").touch()
    command = whole(script(os.fsencode(tmp_path / "file")).replace(b"PATH=$PATH:/usr/bin:/bin", b":"))
    done = Shell("busybox", ("/bin/dash",), {"PATH": str(tmp_path)}).run(command)
    assert done.returncode == 1
    with tempfile.TemporaryFile() as stream:
        stream.write(done.stdout)
        with pytest.raises(RemoteError, match="incomplete"):
            read(os.fsencode(tmp_path / "file"), stream)


def member(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", target: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """Return one member of a tar stream."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mode = kind, len(content), target, 0o755
    return info, content


def answer(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return the answer of a node that has these members in /d."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return BEGUN + stream.getvalue() + END


TOP = member("./d", tarfile.DIRTYPE)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([TOP, member("./e")], "the node has sent /e, which was not requested"),
        ([TOP, member("./dd")], "the node has sent /dd, which"),
        ([TOP, member("./d/../e")], r"the node has sent /d/\.\./e, which"),
        ([TOP, member("./d/./e")], "which was not requested"),
        ([TOP, member("d/e")], "the node has sent d/e, which"),
        ([TOP, member("/d/e")], None),
        ([TOP, member("./d//e")], "which was not requested"),
        ([TOP, member("")], "a file without a name, which"),
        ([TOP, member("./d/e"), member("./d/e")], "the node has sent /d/e twice"),
        ([TOP, member("./d/e", tarfile.LNKTYPE, target="./d/f")], "as a hard link to a file that it has not sent"),
        ([TOP, member("./d/e", tarfile.LNKTYPE, target="/etc/shadow")], "the node has sent /etc/shadow, which"),
        ([TOP, member("./d/e", tarfile.LNKTYPE, target="./d/e")], "as a hard link to a file that it has not sent"),
        ([member("./d/e")], "has no /d"),
        ([member("./d")], "changed while the node sent it"),
        ([], "has no /d"),
    ],
)
def test_bad_streams_are_refused(members: Sequence[tuple[tarfile.TarInfo, bytes]], message: str | None) -> None:
    stream = io.BytesIO(answer(members))
    if message is None:
        assert [each.path for each in read(b"/d", stream).files] == [b"/d", b"/d/e"]
        return
    with pytest.raises(RemoteError, match=message):
        read(b"/d", stream)


@pytest.mark.parametrize("damage", ["header", "rest", "end"])
def test_a_stream_is_read_to_its_end(damage: str) -> None:
    """tarfile itself takes a damaged header for the end of the stream: /d/f would be missing without a message."""
    stream = bytearray(answer([TOP, member("./d/e"), member("./d/f")]))
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
def test_headers_that_tar_does_not_write_by_itself_are_refused(fields: dict[str, str]) -> None:
    """These extended headers would make the reader use other names, other owners or endless contents."""
    stream = io.BytesIO()
    info, content = member("./d/e", content=b"1\n0\n1\n" + bytes(506))
    info.pax_headers = fields
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(TOP[0])
        tar.addfile(info, io.BytesIO(content))
    with pytest.raises(RemoteError):
        read(b"/d", io.BytesIO(BEGUN + stream.getvalue() + END))


def test_a_link_with_a_null_byte_is_refused() -> None:
    info, _ = member("./d/e", tarfile.SYMTYPE)
    info.pax_headers = {"linkpath": "a\0b"}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(TOP[0])
        tar.addfile(info)
    with pytest.raises(RemoteError):
        read(b"/d", io.BytesIO(BEGUN + stream.getvalue() + END))


def test_devices_are_not_taken() -> None:
    archive = read(
        b"/d", io.BytesIO(answer([TOP, member("./d/e", tarfile.CHRTYPE), member("./d/f", tarfile.FIFOTYPE)]))
    )
    assert [each.path for each in archive.files] == [b"/d"]
    assert archive.special == [b"/d/e", b"/d/f"]


def test_truncated_and_damaged_streams_are_refused() -> None:
    whole_stream = answer([TOP, member("./d/e", content=b"content")])
    assert len(read(b"/d", io.BytesIO(whole_stream)).files) == 2
    for length in range(0, len(whole_stream), 7):
        with pytest.raises(RemoteError):
            read(b"/d", io.BytesIO(whole_stream[:length]))
    damaged = BEGUN + whole_stream[len(BEGUN) : len(BEGUN) + 1100] + END  # ends in the middle of a file
    with pytest.raises(RemoteError):
        read(b"/d", io.BytesIO(damaged))


@given(st.binary(max_size=600))
def test_any_stream_is_refused_or_is_about_the_requested_path(data: bytes) -> None:
    try:
        archive = read(b"/d", io.BytesIO(BEGUN + data + END))
    except RemoteError:
        return
    assert all(each.path == b"/d" or each.path.startswith(b"/d/") for each in archive.files)


def test_busybox_sends_long_owner_numbers_as_names() -> None:
    """BusyBox writes the number as the name of an account without one. Only the name holds a long number."""
    info, _ = member("./d/e")
    info.uid, info.uname, info.gid, info.gname = 7, "3000000000", 5, "daemon"
    archive = read(b"/d", io.BytesIO(answer([TOP, (info, b"")])))
    state = archive.files[1].state
    assert (state.uid, state.owner, state.gid, state.group) == (3000000000, None, 5, "daemon")
    assert isinstance(archive.files[1], NodeFile)
