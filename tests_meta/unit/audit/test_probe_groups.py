"""A group of files of which some are not as expected: the node looks closely at those only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.audit.probe import Request, parse, script
from pytest_synctool.common.shell import whole
from pytest_synctool.model import FileState, Touched

from tests_meta.unit.helpers import IS_ROOT, Shell, file_names, lstat_state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="the files of a group belong to root")

_CHANGES = ("nothing", "mode", "content", "size", "owner", "removed", "directory", "link", "pipe", "open")


def change(path: Path, how: str) -> None:
    """Make a file differ from what it was."""
    match how:
        case "mode":
            path.chmod(0o600)
        case "content":
            path.write_bytes(b"new")
        case "size":
            path.write_bytes(b"longer than before")
        case "owner":
            os.chown(path, 4242, 4242)
        case "open":
            path.chmod(0o666)
        case "removed" | "directory" | "link" | "pipe":
            path.unlink()
    match how:
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("/etc/hostname")
        case "pipe":
            os.mkfifo(path)


def as_expected(path: bytes) -> Request:
    """A request for a file of three bytes that expects its state now."""
    state = lstat_state(path, size=3)
    assert isinstance(state, FileState)
    return Request(path, 3, expected=state)


@given(changes=st.dictionaries(file_names, st.sampled_from(_CHANGES), min_size=1, max_size=30))
@settings(max_examples=25)
def test_some_files_of_a_group_changed(shell: Shell, changes: dict[bytes, str]) -> None:
    with tempfile.TemporaryDirectory() as top:
        paths = {Path(top, os.fsdecode(name)): how for name, how in changes.items()}
        for path in paths:
            path.write_bytes(b"old")
        requests = [as_expected(os.fsencode(path)) for path in paths]
        for path, how in paths.items():
            change(path, how)
        answer = parse(requests, shell.run(whole(script(requests))).stdout)
        assert answer == {request.path: lstat_state(request.path, size=3) for request in requests}


@pytest.mark.parametrize("how", ["mode", "content", "size", "link"])
def test_only_the_file_that_differs_is_looked_at_twice(tmp_path: Path, how: str) -> None:
    """The shell compares what it has; its programs get the other 29 files once."""
    for number in range(30):
        (tmp_path / f"f{number}").write_text("old")
    requests = [as_expected(os.fsencode(tmp_path / f"f{number}")) for number in range(30)]
    change(tmp_path / "f7", how)
    (tmp_path / "bin").mkdir()
    for tool in ("stat", "md5sum"):
        (tmp_path / "bin" / tool).write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/{tool}\nexec /usr/bin/{tool} "$@"\n'
        )
        (tmp_path / "bin" / tool).chmod(0o755)
    dash = Shell("dash", ("/bin/dash",), {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    answer = parse(requests, dash.run(whole(script(requests))).stdout)
    assert answer == {request.path: lstat_state(request.path, size=3) for request in requests}
    touched = [state.touched for state in answer.values() if isinstance(state, FileState)]
    assert [isinstance(each, Touched) for each in touched] == [how != "content" and n == 7 for n in range(30)]
    asked = {tool: (tmp_path / tool).read_text().splitlines() for tool in ("stat", "md5sum")}
    others = [str(tmp_path / f"f{number}") for number in range(30) if number != 7]
    assert [asked["stat"].count(path) for path in others] == [1] * 29
    assert [asked["md5sum"].count(path) for path in others] == [1] * 29
