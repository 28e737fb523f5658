"""The end of a script on a node: with its time, with its standard input, or by itself and without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_synctool.common.shell import guarded, whole

from tests_meta.unit.helpers import Shell

# Nothing of it ends by itself, and it does not listen to anybody.
ENDLESS = b"trap '' PIPE HUP\nsleep 1234 &\nmd5sum /dev/zero &\n(sleep 1235)\n"
LATEST = 20  # seconds


def alive(session: int) -> list[str]:
    """Return the names of the processes of a session."""
    names = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if rest.split()[3] == str(session) and rest.split()[0] != "Z":
            names.append(name)
    return names


def wait_for_end(session: int) -> None:
    """Wait until nothing of a session is left."""
    latest = time.monotonic() + LATEST
    while alive(session):
        assert time.monotonic() < latest, alive(session)
        time.sleep(0.01)


@pytest.fixture
def started(shell: Shell) -> Iterator[subprocess.Popen[bytes]]:
    """Return a shell in a session of its own that reads a script, as sshd starts one."""
    process = subprocess.Popen(
        [*shell.argv, "-s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(shell.env), start_new_session=True
    )
    yield process
    if alive(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def send(process: subprocess.Popen[bytes], script: bytes) -> None:
    """Send a script, and leave standard input open."""
    assert process.stdin is not None
    process.stdin.write(whole(script))
    process.stdin.flush()


def test_it_ends_with_its_time(started: subprocess.Popen[bytes]) -> None:
    send(started, guarded(ENDLESS, 1, watches_input=True))
    wait_for_end(started.pid)


def test_it_ends_with_its_input(started: subprocess.Popen[bytes]) -> None:
    """The connection is gone: nothing is left on the node."""
    send(started, guarded(b"echo begun\n" + ENDLESS, 1000, watches_input=True))
    assert started.stdout is not None
    assert started.stdout.readline() == b"begun\n"
    assert started.stdin is not None
    started.stdin.close()
    wait_for_end(started.pid)
    started.stdin = None


@pytest.mark.parametrize("ending", [b"", b"exit 3", b"cd /nowhere || exit 3"])
def test_it_leaves_nothing_behind(started: subprocess.Popen[bytes], ending: bytes) -> None:
    """Its output ends at once, although its input does not."""
    send(started, guarded(b"echo done\n" + ending, 1000, watches_input=True))
    assert started.stdout is not None
    assert started.stdout.read() == b"done\n"
    assert started.wait(LATEST) == (3 if ending else 0)
    wait_for_end(started.pid)


def test_without_input_it_ends_with_its_time(shell: Shell) -> None:
    process = subprocess.Popen(
        [*shell.argv, "-c", guarded(ENDLESS, 1, watches_input=False)],
        stdin=subprocess.DEVNULL,
        env=dict(shell.env),
        start_new_session=True,
    )
    wait_for_end(process.pid)
    assert process.wait(LATEST) == -signal.SIGKILL


def test_the_process_group_of_others_is_left_alone(shell: Shell) -> None:
    """A shell in the group of a grandparent ends itself only."""
    line = f"{' '.join(shell.argv)} -s; echo survived $?; exit"
    process = subprocess.Popen(
        ["/bin/bash", "-c", f"bash -c '{line}'; exit"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(shell.env) | {"PATH": "/usr/bin:/bin:" + shell.env.get("PATH", "")},
        start_new_session=True,
    )
    send(process, guarded(b"md5sum -- /dev/zero\n", 1, watches_input=True))
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"survived")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
