"""Connections that stay open from run to run: who uses them, who does not, and when one is dead."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests_meta.site import Site
from tests_meta.terminal import run as run_command


@pytest.fixture(autouse=True)
def sockets(live: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of the sockets, empty at first; what is open at the end is closed."""
    live.configure()
    live.put("file._all")
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as directory:
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        yield Path(directory, "synctool-ssh")
        run_command(live.directory, "dsh", "-O", "exit")


def logins(live: Site, node: str = "node1") -> int:
    """How often somebody has logged in on a node."""
    assert live.cluster is not None
    return (live.cluster.directory / "log" / node).read_text().count("Accepted publickey")


def ssh_of(live: Site, text: str) -> None:
    """Put a script in the place of ssh; `ssh "$@"` in it is ssh."""
    wrapper = live.directory / "wrapper"
    wrapper.write_text(f"#!/bin/sh\n{text}\n")
    wrapper.chmod(0o755)
    conf = live.configure()
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))


def test_one_login_for_all(live: Site) -> None:
    """Audit, repair, the command, dsh, and testinfra's own commands."""
    (live.directory / "test_own.py").write_text(
        "def test_own(host):\n    assert host.check_output('hostname') == host.backend.host.name\n"
    )
    before = logins(live)
    assert live.pytest().status == 1
    assert logins(live) == before + 1
    assert live.pytest("--fix").status == 0
    assert run_command(live.directory, "synctool", "-q").out == b""
    assert run_command(live.directory, "synctool", "-d", f"{live.top}/file").status == 0
    assert "node1: node1" in run_command(live.directory, "dsh", "hostname").lines()
    assert live.pytest("test_own.py", "--hosts=node[1-3]").status == 0
    assert logins(live) == before + 1
    assert live.pytest("--ssh-persist=0").status == 0
    assert run_command(live.directory, "synctool", "-q", "--ssh-persist=0").out == b""
    assert logins(live) == before + 3


@pytest.mark.parametrize("options", ["-oControlMaster=no", "-S none"])
def test_what_ssh_is_told_itself_holds(live: Site, sockets: Path, options: str) -> None:
    """For a repair as well, which logs in for everything it does then."""
    conf = live.configure()
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd ssh {options}"))
    command = [word for word in live.command() if not word.startswith("--synctool-conf")]
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd ssh {options}"))
    before = logins(live)
    run = live.pytest(command=[*command, f"--synctool-conf={conf}", "--fix"])
    assert run.status == 0, run.output
    assert logins(live) > before + 2
    assert not sockets.exists()


def test_a_connection_that_has_died_is_made_anew(live: Site) -> None:
    """A look that fails over what an earlier run has left open is repeated; one that fails by itself is an error."""
    failing = live.directory / "failing"
    ssh_of(live, f'[ ! -e {failing} ] || {{ rm {failing}; echo "Broken pipe" >&2; exit 255; }}; exec ssh "$@"')
    conf = live.directory / "synctool.conf"
    command = ["-c", str(conf), "-n", "node1", "-q"]
    before = logins(live)
    assert run_command(live.directory, "synctool", *command).status == 1
    failing.touch()
    ended = run_command(live.directory, "synctool", *command)
    assert (ended.status, ended.err) == (1, b"DRY RUN, not doing any updates\n")
    assert ended.lines()[-1] == f"node1: {live.top}/file created (missing)"
    assert not failing.exists()
    assert logins(live) == before + 2
    assert run_command(live.directory, "dsh", "-c", str(conf), "-n", "node1", "-O", "exit").status == 0
    failing.touch()
    ended = run_command(live.directory, "synctool", *command)
    assert (ended.status, ended.lines()) == (3, ["node1: unreachable: Broken pipe"])


def test_a_node_that_hangs_behind_an_open_connection(live: Site) -> None:
    """It is unreachable after the time limit, and in order again when it goes on."""
    assert live.cluster is not None
    assert live.pytest("--fix").status == 0
    live.cluster.freeze("node1")
    try:
        run = live.pytest("--node-timeout=2", "--connect-timeout=2")
    finally:
        live.cluster.thaw("node1")
    assert run.status == 1
    assert re.search("ERROR node1: unreachable: no answer within 2 s", run.output)
    assert run.word("node2", f"{live.top}/file") == "passed"
    assert live.pytest().status == 0
