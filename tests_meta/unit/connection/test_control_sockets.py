"""Control sockets: their directory and names, and the ssh configurations that share connections themselves."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from pytest_synctool.connection import control_sockets
from pytest_synctool.connection.control_sockets import Sockets, is_open, is_sharing_configured
from pytest_synctool.connection.route import Route, route_to
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.dsh.multiplex import OpenConnections
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

from tests_meta.unit.helpers import IS_ROOT, NOBODY


def route(connection: str | None = None, address: str = "node1", command: str = "ssh -v", timeout: int = 10) -> Route:
    """Return a route over ssh."""
    node = Node("node1", ("node1", "all"), address, connection=connection)
    return route_to(node, SshSettings(tuple(command.split()), connect_timeout=timeout))


class TestSharingIsConfigured:
    @pytest.fixture(autouse=True)
    def _no_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let neither the user nor the machine have an ssh configuration."""
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
    def test_in_a_command_line(self, command: str, expected: bool) -> None:
        assert is_sharing_configured(command.split()) is expected

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
    def test_in_a_configuration(self, tmp_path: Path, place: str, text: str, expected: bool) -> None:
        path = tmp_path / place
        path.write_text(text)
        (path.parent / "more").mkdir()
        (path.parent / "more" / "control").write_text("ControlPersist 1h\n")
        assert is_sharing_configured(["ssh"]) is expected

    @pytest.mark.parametrize("form", ["-F {}", "-F{}", None])
    def test_a_configuration_on_the_command_line_is_the_only_one(self, tmp_path: Path, form: str | None) -> None:
        (tmp_path / "home" / "config").write_text("ControlMaster auto\n")
        named = tmp_path / "named"
        named.write_text("Host *\n")
        assert is_sharing_configured(["ssh"])

        def is_configured() -> bool:
            command = ["ssh", *(form or "").format(named).split()]
            return is_sharing_configured(command, None if form else str(named))

        assert not is_configured()
        named.write_text("ControlMaster auto\n")
        assert is_configured()


@pytest.mark.parametrize("known", [True, False])
def test_the_user_directory(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """A user number without a name, as in a container, has no ssh configuration."""
    monkeypatch.setattr(os, "geteuid", lambda: 0 if known else 4_000_000_000)
    assert control_sockets.user_directory().name == (".ssh" if known else "nonexistent")


def test_open_sockets(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert not is_open(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert is_open(path)
    assert not is_open(path)  # nobody listens any more
    assert not path.exists()


class TestDirectory:
    """The directory of the sockets that outlive a run."""

    def test_in_the_runtime_directory_of_the_user(self, tmp_path: Path) -> None:
        place = Path(tmp_path.anchor, "tmp", f"s{os.getpid()}")  # short enough for a socket
        place.mkdir(0o700)
        try:
            sockets = Sockets.of_user({"XDG_RUNTIME_DIR": str(place)})
            assert sockets.directory == place / "synctool-ssh"
            place.chmod(0o777)
            assert Sockets.of_user({"XDG_RUNTIME_DIR": str(place)}).directory != sockets.directory
        finally:
            place.rmdir()

    @pytest.mark.parametrize("place", ["", "relative", "/no/such/place", "/tmp/with blank", "/tmp/50%", "/" + "x" * 90])
    def test_unusable_places(self, place: str) -> None:
        directory = Sockets.of_user({"XDG_RUNTIME_DIR": place}).directory
        assert not place or not str(directory).startswith(place)
        assert directory.name in ("synctool-ssh", f"synctool-ssh-{os.geteuid()}")

    @pytest.mark.skipif(not IS_ROOT, reason="only root can give a directory away")
    @pytest.mark.parametrize("form", ["link", "foreign", "open"])
    def test_a_directory_that_others_can_change_is_refused(self, tmp_path: Path, form: str) -> None:
        directory = tmp_path / "sockets"
        if form == "link":
            directory.symlink_to(tmp_path)
        else:
            directory.mkdir(0o700 if form == "foreign" else 0o750)
        if form == "foreign":
            os.chown(directory, NOBODY, NOBODY)
        sockets = Sockets(directory)
        with pytest.raises(TransportError, match="is not a directory of this user alone"):
            sockets.prepare()
        assert OpenConnections(sockets).use(route()) == route()


def test_names_of_sockets(tmp_path: Path) -> None:
    """A socket belongs to one ssh command line and address. The time limit for connecting does not matter."""
    path = Sockets(tmp_path).path
    assert path(route()) == path(route(timeout=99))
    others = {path(route(address="other")), path(route("ssh://me@node1")), path(route(command="ssh"))}
    assert len(others | {path(route())}) == 4
