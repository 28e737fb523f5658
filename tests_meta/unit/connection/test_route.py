"""Routes: the argument lists that reach nodes, and the lines that run and stop commands."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import testinfra.host
from pytest_synctool.connection.connections import Connections
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.route import SCHEMES, Route, Sudo, route_to
from pytest_synctool.connection.ssh import ALIVE, ISOLATION, NO_FORWARDINGS, SshSettings
from pytest_synctool.connection.ssh_backend import SynctoolSshBackend
from pytest_synctool.connection.transport import connect
from pytest_synctool.dsh.calls import Call
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

from tests_meta.unit.helpers import Shell

TOKEN = "synctool-0123"
SETTINGS = SshSettings(("ssh", "-F", "file with blank"), connect_timeout=7)
OPTIONS = ("BatchMode=yes", "ConnectTimeout=7", ALIVE, *ISOLATION, NO_FORWARDINGS)
SSH = ["ssh", "-F", "file with blank", *(word for option in OPTIONS for word in ("-o", option))]
SUDO = ["sudo", "-n", "--"]

# A connection of every kind that has a route.
CONNECTIONS = (
    "ssh://me@web1:2222",
    "docker://web1",
    "podman://1000:1000@web1",
    "kubectl://pod1?namespace=ns",
    "chroot:///srv/image",
    "local://",
)


def node(connection: str | None = None, address: str = "192.168.1.20") -> Node:
    """Return a node with this connection."""
    return Node("node1", ("node1", "all"), address, connection=connection)


@pytest.mark.parametrize(
    ("connection", "argv"),
    [
        (None, [*SSH, "-T", "--", "192.168.1.20", "LINE"]),
        ("ssh://web1", [*SSH, "-T", "--", "web1", "LINE"]),
        ("ssh://me@web1:2222", [*SSH, "-l", "me", "-p", "2222", "-T", "--", "web1", "LINE"]),
        ("ssh://me:password@web1", [*SSH, "-l", "me", "-T", "--", "web1", "LINE"]),
        ("ssh://[fe80::1]:22", [*SSH, "-p", "22", "-T", "--", "fe80::1", "LINE"]),
        ("docker://web1", ["docker", "exec", "-i", "web1", "/bin/sh", "-c", "LINE"]),
        ("podman://me@web1", ["podman", "exec", "-i", "-u", "me", "web1", "/bin/sh", "-c", "LINE"]),
        ("docker://1000:50@web1", ["docker", "exec", "-i", "-u", "1000:50", "web1", "/bin/sh", "-c", "LINE"]),
        (
            "kubectl://pod1?namespace=ns&container=c",
            ["kubectl", "--namespace=ns", "--container=c", "exec", "-i", "pod1", "--", "/bin/sh", "-c", "LINE"],
        ),
        ("chroot:///srv/image", ["chroot", "/srv/image", "/bin/sh", "-c", "LINE"]),
        ("chroot:///srv/image?sudo=true", [*SUDO, "chroot", "/srv/image", "/bin/sh", "-c", "LINE"]),
        ("local://", ["/bin/sh", "-c", "LINE"]),
    ],
)
def test_argument_lists(connection: str | None, argv: Sequence[str]) -> None:
    assert route_to(node(connection), SETTINGS).argv("LINE") == argv


@pytest.mark.parametrize(
    ("connection", "argv"),
    [
        (None, [*SSH, "-T", "--", "192.168.1.20", "/bin/sh -s"]),
        ("ssh://web1?sudo=true", [*SSH, "-T", "--", "web1", "sudo -n -- /bin/sh -s"]),
        ("docker://web1", None),
        ("podman://web1", None),
        ("kubectl://web1", None),
        ("chroot:///srv/image", ["chroot", "/srv/image", "/bin/sh", "-s"]),
        ("chroot:///srv/image?sudo=true", [*SUDO, "chroot", "/srv/image", "/bin/sh", "-s"]),
        ("local://", ["/bin/sh", "-s"]),
        ("local://?sudo=true&sudo_user=app", ["sudo", "-n", "-u", "app", "--", "/bin/sh", "-s"]),
    ],
)
def test_argument_lists_for_scripts_on_standard_input(connection: str | None, argv: Sequence[str] | None) -> None:
    assert route_to(node(connection), SETTINGS).script_argv() == argv


@pytest.mark.parametrize(
    "connection",
    [
        *("ssh://-oProxyCommand=x", "docker://-v", "ssh://-l@web1", "ssh://", "docker://", "chroot://", "chroot://-x"),
        *("ssh://a]b", "winrm://web1", "x://y"),
    ],
)
def test_connections_without_a_route(connection: str) -> None:
    with pytest.raises(TransportError):
        route_to(node(connection), SETTINGS)


def test_an_address_that_would_be_an_option() -> None:
    with pytest.raises(TransportError, match="is no host"):
        route_to(node(address="-oProxyCommand=x"), SETTINGS)


@pytest.mark.parametrize(
    ("options", "sudo", "words"),
    [
        ("", None, ()),
        ("?sudo=no", None, ()),
        ("?sudo_user=app", None, ()),
        ("?sudo=true", None, ("sudo", "-n", "--")),
        ("?sudo=yes", None, ("sudo", "-n", "--")),
        ("?sudo=true&sudo_user=app", None, ("sudo", "-n", "-u", "app", "--")),
        ("", Sudo(), ("sudo", "-n", "--")),
        ("", Sudo("app"), ("sudo", "-n", "-u", "app", "--")),
        ("?sudo_user=other", Sudo("app"), ("sudo", "-n", "-u", "other", "--")),
        ("?sudo=true", Sudo("app"), ("sudo", "-n", "-u", "app", "--")),
    ],
)
@pytest.mark.parametrize("place", ["ssh://web1", "docker://web1", "kubectl://pod1", "chroot:///srv/image", "local://"])
def test_sudo(place: str, options: str, sudo: Sudo | None, words: Sequence[str]) -> None:
    """The options of a node's connection and those of the run request sudo; the node's options win."""
    assert route_to(node(place + options), SETTINGS, sudo).sudo == words


def test_sudo_runs_the_command_line() -> None:
    route = route_to(node("ssh://me@web1?sudo=true&sudo_user=app"), SETTINGS)
    assert route.line("it's") == shlex.join(["sudo", "-n", "-u", "app", "--", "/bin/sh", "-c", "it's"])


def test_sudo_of_a_chroot_runs_chroot_itself() -> None:
    """Only root may call chroot, so sudo inside would be too late."""
    route = route_to(node("chroot:///srv/image?sudo=true"), SETTINGS)
    assert route.line("id") == "id"
    assert route.from_outside().script_argv() == [*SUDO, "/bin/sh", "-s"]
    assert route.from_outside().node_sudo == tuple(SUDO)


class TestOneSpellingForAllUsers:
    """dsh, audits, repairs and testinfra's own commands reach a node by the same words."""

    @pytest.mark.parametrize("connection", [*CONNECTIONS, None])
    def test_of_dsh_and_audits(self, connection: str | None) -> None:
        assert connect(node(connection), SETTINGS, Processes()).route == route_to(node(connection), SETTINGS)

    def test_every_scheme_is_tried(self) -> None:
        assert {connection.partition("://")[0] for connection in CONNECTIONS} == set(SCHEMES)

    def test_of_audits_and_commands_of_testinfra(self) -> None:
        connections = Connections(SETTINGS, Processes())
        backend = SynctoolSshBackend("me@web1:2222")
        assert connections.route_for_testinfra(backend) == connections.to(node("ssh://me@web1:2222")).route

    def test_testinfra_knows_the_same_container_user_and_directory(self) -> None:
        host = connect(node("podman://1000:1000@web1?sudo=yes"), SETTINGS, Processes()).host
        assert isinstance(host, testinfra.host.Host)
        assert (host.backend.user, host.backend.name, host.backend.sudo) == ("1000:1000", "web1", True)
        assert connect(node("chroot:///srv/image?sudo=true"), SETTINGS, Processes()).host.backend.name == "/srv/image"

    @pytest.mark.parametrize("connection", ["lxc://web1", "safe-ssh://web1"])
    def test_other_connections_of_testinfra_have_no_route_for_files(self, connection: str) -> None:
        transport = connect(node(connection), SETTINGS, Processes())
        assert transport.route is None
        assert transport.script_limit is not None
        with pytest.raises(TransportError, match=f"over a {connection.partition(':')[0]} connection"):
            transport.route_for_files()

    def test_a_host_that_urllib_refuses(self) -> None:
        with pytest.raises(TransportError, match="connection ssh://a]b: "):
            connect(node("ssh://a]b"), SETTINGS, Processes())


class TestRemoteShell:
    """The words that rsync calls like ssh."""

    def test_of_ssh(self) -> None:
        route = route_to(node("ssh://web1"), SETTINGS)
        assert (list(route.remote_shell()), route.remote_name) == ([*SSH, "-T"], "web1")

    def test_of_a_container(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The words of the command become one line for a shell in the container, as they do over ssh."""
        stand_in = tmp_path / "kubectl"
        stand_in.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
        stand_in.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        route = route_to(node("kubectl://pod1?container=c"), SETTINGS)
        done = subprocess.run([*route.remote_shell(), route.remote_name, "it's", "a  line"], capture_output=True)
        assert done.stdout == b"<--container=c><exec><-i><pod1><--></bin/sh><-c><it's a  line>"

    def test_of_a_chroot_from_outside(self) -> None:
        """rsync runs on this machine, so the chroot needs none."""
        route = route_to(node("chroot:///srv/image"), SETTINGS).from_outside()
        words = [*route.remote_shell(), route.remote_name, "echo", "$((1", "+", "1))"]
        done = subprocess.run(words, capture_output=True)
        assert (done.stdout, route.root) == (b"2\n", "/srv/image")


def test_shared_connections() -> None:
    route = route_to(node("ssh://web1"), SETTINGS)
    over = ["-o", "ControlPath=/run/s"]
    assert route.over("/run/s").argv("LINE") == [*SSH, "-T", *over, "--", "web1", "LINE"]
    assert route.over("/run/s").control_argv("exit") == [*SSH, "-T", *over, "-O", "exit", "--", "web1"]
    master = ["-o", "ControlMaster=auto", "-o", "ControlPersist=1h"]
    shared = route.sharing("/run/s", "1h")
    assert shared.argv("LINE") == [*SSH, "-T", *over, *master, "--", "web1", "LINE"]
    assert (route.socket, shared.socket) == (None, "/run/s")


@pytest.fixture
def local() -> Route:
    """The route to this machine."""
    return route_to(node("local://"), SETTINGS)


def test_a_command_announces_its_process_group(local: Route, shell: Shell) -> None:
    """Every shell prints its process group, then runs the command unchanged and exits with its status."""
    line = local.line('echo "it\'s $0"\nexit 7', TOKEN)
    done = subprocess.run([*shell.argv, "-c", line], env=dict(shell.env), capture_output=True, start_new_session=True)
    assert done.returncode == 7
    assert done.stdout.startswith(b"it's ")
    call = Call("node1", TOKEN)
    assert call.add_stderr(done.stderr.rstrip(b"\n")) == []
    assert call.group is not None


def states(group: int) -> list[str]:
    """Return the states of the processes in a group."""
    done = subprocess.run(["cat", *Path("/proc").glob("[0-9]*/stat")], capture_output=True, text=True, check=False)
    fields = [line.rpartition(") ")[2].split() for line in done.stdout.splitlines()]
    return [each[0] for each in fields if int(each[2]) == group]


@pytest.mark.parametrize("obeys", [True, False])
def test_stopping(local: Route, shell: Shell, obeys: bool) -> None:
    """The stop line ends a whole process group, by force if it ignores SIGTERM. A group that has ended is no error."""
    trap = "" if obeys else "trap '' TERM; "
    line = local.line(f"{trap}sleep 60 & echo begun; sleep 61; sleep 62", TOKEN)
    with subprocess.Popen(
        [*shell.argv, "-c", line],
        env=dict(shell.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"begun\n"
        group = int(process.stderr.readline().split()[1])
        threading.Thread(target=process.wait).start()  # a zombie would still be there
        for _ in range(2):
            line = local.stop_line(group, "token")
            done = subprocess.run([*shell.argv, "-c", line], env=dict(shell.env), stdout=subprocess.PIPE, timeout=30)
            assert (done.returncode, done.stdout) == (0, b"token ended\n")
        assert all(state == "Z" for state in states(group))  # nobody may have reaped them yet
