"""What an administrator's ssh configuration forwards stays away from nodes, whatever runs there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import Site
from tests_meta.terminal import run, terminal

LOOK = 'echo "agent=$SSH_AUTH_SOCK display=$DISPLAY tty=$(tty 2>&1)"; ls /tmp/forwarded 2>&1 || :'


@pytest.fixture
def asking(live: Site, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration file that asks for everything, and an agent. Return the directory of what was left locally."""
    left = live.directory / "left"
    left.mkdir()
    settings = f"""\
Host *
  ForwardAgent yes
  ForwardX11 yes
  RequestTTY force
  RemoteForward /tmp/forwarded /tmp/anything
  LocalForward {left}/forward /tmp/anything
  PermitLocalCommand yes
  LocalCommand touch {left}/command
"""
    path = live.directory / "asking"
    path.write_text(settings + cluster.ssh_config.read_text())
    monkeypatch.setattr(cluster, "ssh_config", path)
    live.nodes = {"node1": "batch"}
    live.configure()
    agent = live.directory / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL) as process:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        monkeypatch.setenv("DISPLAY", ":7")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(live.directory))  # no connection of an earlier test
        live.sh("node1", "rm -f /tmp/forwarded")
        try:
            yield left
        finally:
            run(live.directory, "dsh", "-O", "exit")
            process.terminate()


def test_nothing_is_forwarded(live: Site, asking: Path) -> None:
    """Audit, repair with rsync and tar, dsh, dcp, upload, and testinfra's own commands."""
    live.put("file._all")
    live.script("file.post", f"#!/bin/sh\n{{ {LOOK}; }} >seen\n")
    (live.directory / "test_own.py").write_text(
        "def test_own(host):\n    output = host.check_output('echo agent=$SSH_AUTH_SOCK.; ls /tmp')\n"
        "    assert 'agent=.' in output and 'forwarded' not in output\n"
    )
    (live.directory / "copied").write_text("copied\n")
    own = ("--ssh-persist=0", "test_own.py", "--hosts=node1")
    # The first repair brings files by tar, the second one by rsync.
    for arguments, status in (((), 1), (("--fix",), 0), (own, 0), ((), 1), (("--fix",), 0)):
        ended = live.pytest(*arguments)
        assert ended.status == status, ended.output
        if arguments == own:
            live.put("file._all", "newer\n")
    seen = live.sh("node1", "cat @/seen")
    assert seen.startswith("agent= display= tty=not a tty")
    assert run(live.directory, "dcp", "-d", live.top, "copied").status == 0
    for options in (("-M",), (LOOK,), ("--no-stdin", LOOK)):
        out = run(live.directory, "dsh", *options).out
        assert b"agent=" not in out or b"agent= display= tty=not a tty" in out
    with terminal(live.directory, "dsh", LOOK) as on_terminal:
        on_terminal.end()
    assert b"agent= display= tty=not a tty" in on_terminal.shown
    assert run(live.directory, "synctool", "-u", f"{live.top}/seen").status == 0
    assert live.sh("node1", "ls /tmp/forwarded 2>/dev/null || :") == ""
    assert list(asking.iterdir()) == []


def test_ssh_cmd_may_ask(live: Site, asking: Path) -> None:
    """An option in ssh_cmd counts, and only that one."""
    conf = live.directory / "synctool.conf"
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", "ssh_cmd ssh -A"))
    ended = run(live.directory, "dsh", LOOK)
    assert b"agent=/" in ended.out
    assert b" display= tty=not a tty" in ended.out
    assert live.sh("node1", "ls /tmp/forwarded 2>/dev/null || :") == ""
    assert list(asking.iterdir()) == []
