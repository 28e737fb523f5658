"""The connections of a run: those that outlive it, and those that do not."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_synctool.connection.connections import Connections
from pytest_synctool.connection.control_sockets import Sockets
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.route import Route, route_to
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.connection.ssh_backend import SynctoolSshBackend
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

SSH = SshSettings(("ssh", "-F/none"))


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's runtime directory, with a name that is short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        yield Path(directory)


def node(name: str) -> Node:
    """Return a node with an ssh route."""
    return Node(name, (name, "all"), name)


def route_of(transport: HostTransport) -> Route:
    """Return the route of a connection that has one."""
    assert transport.route is not None
    return transport.route


def test_connections_that_outlive_the_run(runtime: Path) -> None:
    transport = Connections(SSH, Processes(), persist=7).to(node("n1"))
    assert transport.lasting
    route = route_of(transport)
    assert route.socket is not None
    assert route.socket.startswith(str(runtime))
    assert "ControlPersist=7" in route.program


@pytest.mark.parametrize("shared", [False, True])
def test_connections_that_end_with_the_run(runtime: Path, shared: bool) -> None:
    for persist, words in ((0, ()), (7, ("-S", "none"))):
        ssh = SshSettings(("ssh", "-F/none", *words))
        connections = Connections(ssh, Processes(), persist=persist, shared=shared)
        transport = connections.to(node("n1"))
        assert not transport.lasting
        path = route_of(transport).socket
        assert (path is None) is (not shared or bool(words))
        connections.close()
        assert list(runtime.iterdir()) == []
        assert path is None or not Path(path).parent.exists()


def test_the_number_of_lasting_connections_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_synctool.connection.connections._MOST_LASTING", 2)
    connections = Connections(SSH, Processes(), persist=7)
    assert [connections.to(node(name)).lasting for name in ("a", "b", "c", "a")] == [True, True, False, True]
    socket_of_c = Sockets.of_user(os.environ).path(route_to(node("c"), SSH))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(socket_of_c))
        server.listen()
        assert connections.to(node("c")).lasting  # another run has opened it


def test_a_directory_that_is_not_private_is_not_used(runtime: Path) -> None:
    (runtime / "synctool-ssh").mkdir(0o755)
    assert not Connections(SSH, Processes(), persist=7).to(node("n1")).lasting


def test_a_directory_that_takes_no_socket_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full directory would make ssh fail. In this test the name is too long."""
    deep = Sockets(tmp_path / ("x" * 100))
    with pytest.raises(TransportError, match="takes no socket"):
        deep.prepare()
    monkeypatch.setattr(Sockets, "of_user", lambda _: deep)
    assert not Connections(SSH, Processes(), persist=7).to(node("n1")).lasting


def test_only_ssh_connections_are_shared() -> None:
    connections = Connections(SSH, Processes(), persist=7)
    transport = connections.to(Node("n", ("n",), "n", connection="docker://n"))
    assert not transport.lasting
    assert route_of(transport).socket is None


def test_commands_of_testinfra() -> None:
    """They use connections that outlive the run, and no connection that ends with a session."""
    backend = SynctoolSshBackend("n1")
    lasting = Connections(SSH, Processes(), persist=7)
    assert lasting.route_for_testinfra(backend) == lasting.to(node("n1")).route
    passing = Connections(SSH, Processes(), shared=True)
    assert passing.route_for_testinfra(backend) == route_to(node("n1"), SSH)
    passing.close()
