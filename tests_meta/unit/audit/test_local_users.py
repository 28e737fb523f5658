"""A probe and a fetch of contents in the directory of a local user, who exchanges names there meanwhile."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from pytest_synctool.audit import fetch, probe
from pytest_synctool.audit.probe_script import LONGEST_READ
from pytest_synctool.common.shell import whole
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import Actual, FileState, Kind, Unknown
from pytest_synctool.upload import node_archive

from tests_meta.local_user import USER, exchanging
from tests_meta.unit.helpers import IS_ROOT, Shell

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

TRIES: Final = 8
NAMES: Final = ("one", "two", "three", "four", "five", "six", "seven")
MINE: Final = b"public"
SECRET: Final = b"secret"
NONCE: Final = b"0123456789abcdef"


@pytest.fixture
def home(open_directory: Path) -> Path:
    """Return the home of a user, with files in it and in its `app`."""
    home = open_directory / "home"
    for directory in (home, home / "app"):
        directory.mkdir()
        for name in NAMES:
            (directory / name).write_bytes(MINE)
            os.chown(directory / name, USER, USER)
        os.chown(directory, USER, USER)
    return home


@pytest.fixture
def victim(open_directory: Path) -> Path:
    """Return a directory of root's with files of the same names and sizes, which nobody else may read."""
    victim = open_directory / "victim"
    victim.mkdir(mode=0o700)
    for name in NAMES:
        (victim / name).write_bytes(SECRET)
        (victim / name).chmod(0o600)
    return victim


def quickly(script: bytes) -> bytes:
    """Return a script that gives each reader one second."""
    return whole(script.replace(b"+ %d))" % LONGEST_READ, b"+ 1))").replace(b"clock %d " % LONGEST_READ, b"clock 1 "))


def probed(shell: Shell, paths: Sequence[Path], through: bytes = b"") -> list[Actual]:
    """Return what a probe says of files with the size of MINE."""
    requests = [probe.Request(os.fsencode(path), len(MINE), through) for path in paths]
    return [*probe.parse(requests, shell.run(quickly(probe.script(requests))).stdout).values()]


def fetched(shell: Shell, paths: Sequence[Path]) -> list[bytes | None]:
    """Return the contents of files, secrets too."""
    requests = [fetch.FetchRequest(os.fsencode(path), secrets=True) for path in paths]
    answer = shell.run(quickly(fetch.script(requests, NONCE)), timeout=60).stdout
    return [copy.content for copy in fetch.parse(requests, NONCE, answer).values()]


@pytest.mark.parametrize(("strategy", "place"), [("links", "."), ("above", "app")])
def test_contents_of_root_are_never_sent(shell: Shell, home: Path, victim: Path, strategy: str, place: str) -> None:
    paths = [home / place / name for name in NAMES]
    contents: list[bytes | None] = []
    with exchanging(strategy, home, victim):
        for _ in range(TRIES):
            contents += fetched(shell, paths)
    assert SECRET not in contents
    assert set(contents) <= {MINE, b"", None}
    assert fetched(shell, [home / "app/one"]) == [MINE] or (home / "app").is_symlink()


@pytest.mark.parametrize(("strategy", "place"), [("links", "."), ("above", "app")])
def test_digests_of_root_are_never_told(shell: Shell, home: Path, victim: Path, strategy: str, place: str) -> None:
    paths = [home / place / name for name in NAMES]
    states: list[Actual] = []
    with exchanging(strategy, home, victim):
        for _ in range(TRIES):
            states += probed(shell, paths)
    digests = {state.md5 for state in states if isinstance(state, FileState) and state.md5}
    assert digests <= {hashlib.md5(MINE).hexdigest()}


@pytest.mark.parametrize("thing", ["/dev/zero", "pipe"])
def test_what_never_ends_is_not_read_for_ever(shell: Shell, home: Path, victim: Path, thing: str) -> None:
    """Other files are looked at as ever. A pipe that keeps the shell waiting costs the user's own files at most."""
    for name in NAMES:
        (victim / name).unlink()
        if thing == "pipe":
            os.mkfifo(victim / name)
        else:
            (victim / name).symlink_to(thing)
    other = home.parent / "other"
    other.write_bytes(MINE)
    other.chmod(0o644)
    victim.chmod(0o755)
    started = time.monotonic()
    with exchanging("links", home, victim):
        for _ in range(3):
            *states, last = probed(shell, [*(home / name for name in NAMES), other])
            assert all(isinstance(state, Unknown) or state.kind in (Kind.FILE, Kind.LINK) for state in states)  # type: ignore[union-attr]
            assert isinstance(last, FileState)
            assert last.md5 == hashlib.md5(MINE).hexdigest()
            fetched(shell, [home / name for name in NAMES[:2]])
    assert time.monotonic() - started < 40


def test_a_file_that_grows_for_ever_is_unknown(shell: Shell, home: Path, tmp_path: Path) -> None:
    """It has the right size when it is looked at, and has no end when it is read."""
    if shell.name == "busybox":
        pytest.skip("this shell prefers its own md5sum, which cannot be told to wait")
    (tmp_path / "md5sum").write_text(f'#!/bin/sh\ntruncate -s 1T "{home}/one"\nexec {shutil.which("md5sum")} "$@"\n')
    (tmp_path / "md5sum").chmod(0o755)
    slow = Shell(shell.name, shell.argv, {**shell.env, "PATH": f"{tmp_path}:{shell.env['PATH']}"})
    (state,) = probed(slow, [home / "one"])
    assert isinstance(state, Unknown)


@pytest.mark.parametrize(("strategy", "place"), [("links", "."), ("above", "app")])
def test_an_upload_brings_nothing_of_root(shell: Shell, home: Path, victim: Path, strategy: str, place: str) -> None:
    path = os.fsencode(home / place / "one")
    contents = set()
    with exchanging(strategy, home, victim):
        for _ in range(3 * TRIES):
            with io.BytesIO(shell.run(quickly(node_archive.script(path))).stdout) as stream, suppress(RemoteError):
                archive = node_archive.read(path, stream)
                look = node_archive.second_look(archive)
                answer = shell.run(quickly(probe.script(look))).stdout
                node_archive.check_unchanged(archive, probe.parse(look, answer))
                contents |= {archive.open(each).read() for each in archive.files if each.state.kind is Kind.FILE}
    assert contents <= {MINE}
