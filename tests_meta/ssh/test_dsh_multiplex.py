"""`dsh -M`: connections that stay open, for nobody else."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import Site
from tests_meta.terminal import Ended, run


@pytest.fixture
def runtime(live: Site) -> Iterator[Path]:
    """A directory for sockets; what is open at the end is closed."""
    live.configure()
    with tempfile.TemporaryDirectory(prefix="dsh-", dir="/tmp") as name:
        yield Path(name)
        run(live.directory, "dsh", "-O", "exit", more={"XDG_RUNTIME_DIR": name})


def dsh(live: Site, runtime: Path, *arguments: str) -> Ended:
    """Run dsh with these sockets."""
    return run(live.directory, "dsh", *arguments, more={"XDG_RUNTIME_DIR": str(runtime)})


def logins(cluster: EmbeddedCluster, name: str) -> int:
    """How often somebody has logged in on a node."""
    return (cluster.directory / "log" / name).read_text().count("Accepted publickey")


def test_open_use_close(live: Site, runtime: Path, cluster: EmbeddedCluster) -> None:
    assert dsh(live, runtime, "-O", "check").lines() == [f"node{n}: not open" for n in (1, 2, 3)]
    before = logins(cluster, "node1")
    opened = dsh(live, runtime, "-M", "-n", "node[1-2]")
    assert (opened.status, opened.lines(), opened.err) == (0, ["node1: open", "node2: open"], b"")
    for expected in ("node1: node1", "node2: node2", "node3: node3"):
        assert expected in dsh(live, runtime, "hostname").lines()
    assert dsh(live, runtime, "-M", "-n", "node1").status == 0  # it is open already
    assert logins(cluster, "node1") == before + 1
    assert logins(cluster, "node3") >= 3
    check = dsh(live, runtime, "-O", "check")
    assert check.status == 1
    assert [line.partition(" (")[0] for line in check.lines()] == [
        "node1: Master running",
        "node2: Master running",
        "node3: not open",
    ]
    assert dsh(live, runtime, "-n", "node[1-2]", "-O", "check").status == 0
    assert dsh(live, runtime, "-O", "exit").status == 0
    assert dsh(live, runtime, "-n", "node1", "-O", "check").lines() == ["node1: not open"]
    assert list((runtime / "synctool-ssh").iterdir()) == []


def test_statuses_over_an_open_connection(live: Site, runtime: Path) -> None:
    assert dsh(live, runtime, "-M").status == 0
    ended = dsh(live, runtime, "echo said >&2; exit 255")
    assert ended.status == 255
    assert "node1: said" in ended.errors()
    ended = dsh(live, runtime, "--timeout=1", "sleep 86399")
    assert (ended.status, ended.errors()) == (124, [f"node{n}: not done within 1 s" for n in (1, 2, 3)])
    assert dsh(live, runtime, "hostname").status == 0


def test_a_node_that_went_away(live: Site, runtime: Path, cluster: EmbeddedCluster) -> None:
    """A connection that has ended is nothing to fall over; a socket that was left behind is removed."""
    assert dsh(live, runtime, "-M").status == 0
    cluster.stop("node2")
    ended = dsh(live, runtime, "hostname")
    assert (ended.status, ended.errors()) == (3, ["node2: unreachable: Connection refused"])
    cluster.start("node2")
    assert dsh(live, runtime, "hostname").status == 0
    sockets = list((runtime / "synctool-ssh").iterdir())
    assert len(sockets) == 2
    for one in sockets:  # as after a crash: nobody listens there any more
        one.rename(f"{one}.away")
        os.mknod(one, stat.S_IFSOCK | 0o600)
    ended = dsh(live, runtime, "hostname")
    assert (ended.status, ended.err) == (0, b"")
    for one in sockets:
        one.with_suffix(".away").rename(one)


def test_another_command_line_is_another_connection(live: Site, runtime: Path, cluster: EmbeddedCluster) -> None:
    """What was opened with one key is not used where the configuration names another one."""
    assert dsh(live, runtime, "-M").status == 0
    conf = live.directory / "synctool.conf"
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", "ssh_cmd ssh -oPubkeyAuthentication=no"))
    assert dsh(live, runtime, "hostname").status == 3
    live.configure()


def test_nobody_else_may_look_into_the_directory(live: Site, runtime: Path) -> None:
    directory = runtime / "synctool-ssh"
    assert dsh(live, runtime, "-M").status == 0
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for one in directory.iterdir():
        assert stat.S_IMODE(one.stat().st_mode) == 0o600
    directory.chmod(0o755)
    try:
        ended = dsh(live, runtime, "-M")
        assert (ended.status, ended.errors()) == (
            2,
            [f"{directory} is not a directory of this user alone: remove it"],
        )
        assert "ControlPath" not in dsh(live, runtime, "--unix", "date").out.decode()
    finally:
        directory.chmod(0o700)
    assert "ControlPath" in dsh(live, runtime, "--unix", "date").out.decode()


def test_mistakes(live: Site, runtime: Path) -> None:
    for arguments, message in (
        (["-M", "date"], "-M takes no command"),
        (["-O", "check", "date"], "-O takes no command"),
        (["-M", "-O", "check"], "-M does not go with -O"),
        (["-M", "--persist", "soon"], "expected a time as ssh writes it"),
        ([], "no command"),
    ):
        ended = dsh(live, runtime, *arguments)
        assert (ended.status, ended.out) == (2, b"")
        assert message in ended.errors()[0]
