"""A group of files of which some are not as expected: the node looks closely at those only."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.audit.probe import Request, parse, script
from pytest_synctool.common.shell import whole
from pytest_synctool.model import Actual, FileState, Kind, Touched

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


@pytest.fixture
def tree(open_directory: Path) -> list[Request]:
    """Requests that expect what is there: files, links and a directory of root, and some of root and another group."""
    daemon = open_directory / "daemon"
    daemon.mkdir(mode=0o750)
    os.chown(daemon, 0, 1)
    for directory in (open_directory, daemon):
        for number in range(3):
            (directory / f"f{number}").write_bytes(b"abc")
            (directory / f"l{number}").symlink_to("f0")
        for name in ("f1", "l1"):
            os.chown(directory / name, 0, 1, follow_symlinks=False)
    paths = [daemon, *sorted(open_directory.rglob("[fl]?"))]
    requests = []
    for path in paths:
        state = lstat_state(os.fsencode(path), size=3)
        assert isinstance(state, FileState)
        requests.append(Request(os.fsencode(path), 3 if state.kind is Kind.FILE else None, expected=state))
    return requests


def states(shell: Shell, requests: list[Request]) -> dict[bytes, Actual]:
    """The states that a node with this shell tells, without times."""
    answer = parse(requests, shell.run(whole(script(requests))).stdout)
    return {
        path: replace(state, touched=None) if isinstance(state, FileState) else state for path, state in answer.items()
    }


def test_directories_and_files_of_root_and_of_other_groups(shell: Shell, tree: list[Request]) -> None:
    assert states(shell, tree) == {request.path: lstat_state(request.path, size=3) for request in tree}


def test_names_of_accounts_are_looked_up_once_for_all_files_of_root(tmp_path: Path, tree: list[Request]) -> None:
    """A lookup opens a file or asks a directory service: it costs more than the look at a file."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/stat").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\nexec /usr/bin/stat "$@"\n')
    (tmp_path / "bin/stat").chmod(0o755)
    dash = Shell("dash", ("/bin/dash",), {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    of_root = [request for request in tree if request.is_of_root]
    assert states(dash, of_root) == {request.path: lstat_state(request.path, size=3) for request in of_root}
    names = [line for line in (tmp_path / "asked").read_text().splitlines() if "%U" in line]
    above = tree[0].path.decode()  # a directory of another group
    assert sorted(names) == ["-c %f:%u:%s:%g:%U:%G -- " + above, "-c %u:%U:%g:%G -- /"]


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
@pytest.mark.parametrize(
    ("file", "text", "owner", "group"),
    [
        ("passwd", "toor:x:0:0::/:/bin/sh\ndaemon:x:1:1::/:/bin/sh\n", "toor", "root"),
        ("passwd", "daemon:x:1:1::/:/bin/sh\n", None, "root"),
        ("group", "wheel:x:0:\ndaemon:x:1:\n", "root", "wheel"),
        ("group", "daemon:x:1:\n", "root", None),
    ],
)
def test_0_may_have_another_name_or_none_on_a_node(
    shell: Shell, tree: list[Request], tmp_path: Path, file: str, text: str, owner: str | None, group: str | None
) -> None:
    accounts = tmp_path / file
    accounts.write_text(text)
    services = tmp_path / "nsswitch.conf"
    services.write_text("passwd: files\ngroup: files\n")  # others may know root as well
    inside = f'mount --bind {accounts} /etc/{file} && mount --bind {services} /etc/nsswitch.conf && exec "$@"'
    argv = ("unshare", "--mount", "sh", "-c", inside, "sh", *shell.argv)
    other = Shell(shell.name, argv, {**shell.env, "PATH": f"{shell.env['PATH']}:/usr/bin:/bin"})
    expected: dict[bytes, Actual] = {}
    for request in tree:
        state = lstat_state(request.path, size=3)
        assert isinstance(state, FileState)
        expected[request.path] = replace(state, owner=owner, group=group if state.gid == 0 else state.group)
    assert states(other, tree) == expected
