"""Where the sockets of open connections are, and when ssh is left to share connections itself."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_synctool.connection import control_sockets
from pytest_synctool.connection.connections import Connections
from pytest_synctool.connection.control_sockets import Sockets, has_own_ways, is_open
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.connection.ssh_backend import SynctoolSshBackend
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node


class TestOwnWays:
    @pytest.fixture(autouse=True)
    def _no_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A user whose ssh has no configuration, on a machine that has none."""
        monkeypatch.setattr(control_sockets, "user_directory", lambda: tmp_path / "home")
        monkeypatch.setattr(control_sockets, "SYSTEM_DIRECTORY", tmp_path / "system")
        (tmp_path / "home").mkdir()
        (tmp_path / "system").mkdir()

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            ("ssh", False),
            ("ssh -i /root/.ssh/My-Sweet-Machine -p 22 -oControl=1 -l MS", False),
            ("ssh -oControlMaster=no", True),
            ("ssh -o controlpath=none", True),
            ("ssh -M", True),
            ("ssh -xM", True),
            ("ssh -S none", True),
            ("ssh -S/tmp/socket", True),
        ],
    )
    def test_of_command_lines(self, command: str, expected: bool) -> None:
        assert has_own_ways(command.split()) is expected

    @pytest.mark.parametrize("place", ["home/config", "system/ssh_config"])
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", False),
            ("Host *\n  ServerAliveInterval 5\n# ControlMaster auto\n", False),
            ("Host a\n\tcontrolmaster=auto\n", True),
            ("ControlPath none", True),
            ('Include "config.d/*.conf"\n', False),
            ("Include more/*\n", True),
            ("include nowhere  more/control\n", True),
            ("Include config\nInclude ssh_config\n", False),
        ],
    )
    def test_of_configurations(self, tmp_path: Path, place: str, text: str, expected: bool) -> None:
        path = tmp_path / place
        path.write_text(text)
        (path.parent / "more").mkdir()
        (path.parent / "more" / "control").write_text("ControlPersist 1h\n")
        assert has_own_ways(["ssh"]) is expected

    @pytest.mark.parametrize("form", ["-F {}", "-F{}", None])
    def test_a_configuration_that_is_named_is_the_only_one(self, tmp_path: Path, form: str | None) -> None:
        (tmp_path / "home" / "config").write_text("ControlMaster auto\n")
        named = tmp_path / "named"
        named.write_text("Host *\n")
        assert has_own_ways(["ssh"])

        def ways() -> bool:
            return has_own_ways(["ssh", *(form or "").format(named).split()], None if form else str(named))

        assert not ways()
        named.write_text("ControlMaster auto\n")
        assert ways()


@pytest.mark.parametrize("known", [True, False])
def test_the_user_directory(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """A number without a name, as in a container, is no user with a configuration."""
    monkeypatch.setattr(os, "geteuid", lambda: 0 if known else 4_000_000_000)
    assert control_sockets.user_directory().name == (".ssh" if known else "nonexistent")


def test_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert not is_open(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert is_open(path)
    assert not is_open(path)  # nobody listens there any more
    assert not path.exists()


class TestConnections:
    @pytest.fixture(autouse=True)
    def _runtime(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """A short name, as sockets need one."""
        with tempfile.TemporaryDirectory(dir="/tmp") as directory:
            self.runtime = Path(directory)
            monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
            yield

    def test_what_lasts(self) -> None:
        made = Connections(SshSettings(("ssh", "-F/none")), Processes(), persist=7).to(node("n1"))
        assert made.lasting
        assert made.ssh.socket is not None
        assert made.ssh.socket.startswith(str(self.runtime))
        assert made.ssh.idle == 7

    @pytest.mark.parametrize(("shared", "word"), [(False, ""), (True, "own")])
    def test_what_does_not(self, shared: bool, word: str) -> None:
        for persist, words in ((0, ()), (7, ("-S", "none"))):
            ssh = SshSettings(("ssh", "-F/none", *words))
            connections = Connections(ssh, Processes(), persist=persist, shared=shared)
            made = connections.to(node("n1"))
            assert not made.lasting
            assert (made.ssh.socket is None) is (word == "" or bool(words))
            connections.close()
            assert list(self.runtime.iterdir()) == []
            assert made.ssh.socket is None or not Path(made.ssh.socket).parent.exists()

    def test_not_too_many_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pytest_synctool.connection.connections._MOST_LASTING", 2)
        connections = Connections(SshSettings(("ssh", "-F/none")), Processes(), persist=7)
        assert [connections.to(node(name)).lasting for name in ("a", "b", "c", "a")] == [True, True, False, True]
        socket_of_c = Sockets.of_user(os.environ).path(SshSettings(("ssh", "-F/none")).argv(), "c")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(socket_of_c))
            server.listen()
            assert connections.to(node("c")).lasting  # somebody else has opened it

    def test_a_directory_that_is_not_private_is_not_used(self) -> None:
        (self.runtime / "synctool-ssh").mkdir(0o755)
        assert not Connections(SshSettings(("ssh", "-F/none")), Processes(), persist=7).to(node("n1")).lasting

    def test_a_directory_that_takes_no_socket_is_not_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a full one; ssh would end there. Here it is the name that is too long."""
        deep = Sockets(tmp_path / ("x" * 100))
        with pytest.raises(TransportError, match="takes no socket"):
            deep.prepare()
        monkeypatch.setattr(Sockets, "of_user", lambda _: deep)
        assert not Connections(SshSettings(("ssh", "-F/none")), Processes(), persist=7).to(node("n1")).lasting

    def test_other_connections_than_ssh(self) -> None:
        connections = Connections(SshSettings(("ssh", "-F/none")), Processes(), persist=7)
        assert not connections.to(Node("n", ("n",), "n", connection="docker://n")).lasting

    def test_of_testinfra(self) -> None:
        """Its commands use what lasts, and nothing that ends with a session."""
        backend = SynctoolSshBackend("n1")
        ssh = SshSettings(("ssh", "-F/none"))
        lasting = Connections(ssh, Processes(), persist=7)
        assert lasting.of_testinfra(backend).socket == lasting.to(node("n1")).ssh.socket
        passing = Connections(ssh, Processes(), shared=True)
        assert passing.of_testinfra(backend) == ssh
        passing.close()


def node(name: str) -> Node:
    """A node that is reached over ssh."""
    return Node(name, (name, "all"), name)
