"""How often a node is talked to, counted in the log of its sshd."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from tests_meta.site import Site
from tests_meta.terminal import run as run_command


def counted(live: Site, node: str, *options: str) -> tuple[int, int]:
    """Logins and commands that a run costs a node."""
    assert live.cluster is not None
    log = live.cluster.directory / "log" / node
    before = log.stat().st_size
    run = live.pytest(*options, f"--hosts={node}")
    assert run.status in (0, 1), run.output
    said = log.read_bytes()[before:]
    return said.count(b"Accepted publickey for "), said.count(b"Starting session: command")


@pytest.mark.parametrize("persist", [True, False])
def test_round_trips(live: Site, persist: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit: one login, one command. A repair: one login; look, bring, repair, look again.

    The login is one for all where connections stay open.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as sockets:
        monkeypatch.setenv("XDG_RUNTIME_DIR", sockets)
        _round_trips(live, persist)


def _round_trips(live: Site, persist: bool) -> None:
    options = [] if persist else ["--ssh-persist=0"]
    again = 0 if persist else 1
    for number in range(30):
        live.put(f"d{number % 3}/file{number}._all", f"content {number}\n")
    live.script("d0/file0.post", "#!/bin/sh\n")
    assert counted(live, "node1", *options) == (1, 1)
    assert counted(live, "node1", "--fix", *options) == (again, 4)
    assert counted(live, "node1", "--fix", *options) == (again, 1)
    live.sh("node1", "chmod 600 @/d0/file3")
    assert counted(live, "node1", "--fix", *options) == (again, 3)  # nothing has to be brought
    assert counted(live, "node1", "--restore", "--fix", *options) == (again, 1)


@pytest.mark.parametrize("persist", [True, False])
@pytest.mark.parametrize("command", ["pytest", "synctool"])
def test_a_large_node_is_asked_ahead(
    live: Site, command: str, persist: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an audit reads the masterdir it asks what the last one has asked. If that was wrong it asks again.

    A connection that stays open serves both.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    option = "--ssh-persist=60" if persist else "--ssh-persist=0"
    conf = live.configure()
    for number in range(700):
        live.put(f"{'long name ' * 15}{number}._all")
    name = f"{live.top}/{'long name ' * 15}7"
    log = live.cluster.directory / "log/node1" if live.cluster is not None else Path()

    def connections(before: int) -> int:
        return log.read_bytes()[before:].count(b"Connection from ")

    def audit(expected: int) -> bool:
        """Whether an audit finds the name missing, with so many connections if none stays open."""
        before = log.stat().st_size
        if command == "pytest":
            run = live.pytest("--hosts=node1", option)
            found, output = run.word("node1", name) == "failure", run.output
        else:
            ended = run_command(live.directory, "synctool", "-n", "node1", option)
            found, output = f"{name} created (missing)" in ended.out.decode(), ended.out.decode()
        assert connections(before) == (0 if persist and not is_first else expected), output
        return found

    with tempfile.TemporaryDirectory(dir="/tmp") as sockets:
        monkeypatch.setenv("XDG_RUNTIME_DIR", sockets)
        is_first = True
        assert audit(1)
        is_first = False
        live.sh("node1", f"mkdir -p '{live.top}'; echo content >'{name}'; chmod 644 '{name}'")
        assert not audit(1)
        (live.masterdir / f"overlay{name}._all").write_text("other\n")
        live.sh("node1", f"echo other >'{name}'; chmod 644 '{name}'")
        assert not audit(2)
        assert not audit(1)
        live.sh("node1", f"rm '{name}'")
        assert audit(1)
        # Tests of somebody's own need no probe.
        (live.directory / "test_own.py").write_text("def test_own():\n    pass\n")
        before, options = log.stat().st_size, (f"--synctool-conf={conf}", "--hosts=node1", option)
        own = run_command(live.directory, sys.executable, "-m", "pytest", "-q", "test_own.py", *options)
        assert b"1 passed" in own.out
        assert connections(before) == 0
