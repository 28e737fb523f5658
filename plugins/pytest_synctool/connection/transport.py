"""Connections: a shell script goes to a node, its output comes back, or a TransportError says why not.

Every connection is a testinfra host. Over ssh, and locally, scripts travel on standard input, so that their length
is not bounded and no word of them passes through another shell; other testinfra connections (docker, podman,
kubectl, ...) take them as an argument, in parts.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import testinfra.host
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.backend.chroot import ChrootBackend
from testinfra.backend.local import LocalBackend
from testinfra.backend.ssh import SshBackend

from pytest_synctool.common.shell import ascii_command, whole
from pytest_synctool.connection.control_sockets import is_open
from pytest_synctool.connection.processes import Answer, Processes
from pytest_synctool.connection.ssh import SSH_FAILED, SshSettings, failure_reason
from pytest_synctool.connection.ssh_backend import SynctoolSshBackend
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

# A Linux argument is at most 128 KiB, and quoting may make a script up to five times as long.
_ARGUMENT_LIMIT: Final = 20_000
_CLOSE: Final = 5.0  # seconds, for what happens on this machine alone


class ConnectionLost(TransportError):
    """ssh itself has failed, rather than what it was to run."""


class Transport(Protocol):
    """A connection to one node, used by one thread at a time."""

    @property
    def script_limit(self) -> int | None:
        """The longest script in bytes that it takes, or None where there is no bound."""

    def run(self, script: bytes, deadline: float) -> Answer:
        """Run a shell script; at most `deadline` seconds. Raises TransportError if there is no answer.

        The first one may be run twice, so it has to be one that can be.
        """


@dataclass(frozen=True)
class Sudo:
    """Commands run as another user on the node, as testinfra's --sudo asks for; without `user` as root."""

    user: str | None = None


@dataclass
class HostTransport:
    """A Transport over a testinfra host. With `lasting` a shared connection is left open for others."""

    host: testinfra.host.Host
    processes: Processes
    ssh: SshSettings
    lasting: bool = False
    _is_new: bool = True

    @property
    def script_limit(self) -> int | None:
        """None over ssh, in a chroot and locally; bounded where the script is an argument."""
        return None if self._stdin_argv() else _ARGUMENT_LIMIT

    @property
    def is_local(self) -> bool:
        """Whether the node is this machine itself."""
        return isinstance(self.host.backend, LocalBackend)

    @property
    def sudo(self) -> list[str]:
        """What stands before a command on the node; empty without sudo. It never asks for a password."""
        backend = self.host.backend
        if not backend.sudo:
            return []
        return ["sudo", "-n", *(["-u", backend.sudo_user] if backend.sudo_user else []), "--"]

    def _stdin_argv(self) -> list[str] | None:
        backend = self.host.backend
        shell = [*self.sudo, "/bin/sh", "-s"]
        if isinstance(backend, SynctoolSshBackend):
            return backend.argv(shlex.join(shell), self.ssh)
        if isinstance(backend, ChrootBackend):
            return [*self.sudo, "chroot", backend.name, "/bin/sh", "-s"]
        return shell if isinstance(backend, LocalBackend) else None

    def close(self) -> None:
        """End a shared connection that is not to last."""
        if not self.lasting:
            self.give_up()

    def give_up(self) -> None:
        """Have the next use open another connection. What runs through this one ends, unless others may use it too."""
        backend = self.host.backend
        if self.ssh.socket is None or not isinstance(backend, SynctoolSshBackend) or not Path(self.ssh.socket).exists():
            return
        word = "stop" if self.lasting else "exit"
        argv = [*backend.before_host(self.ssh), "-O", word, "--", backend.host.name]
        with suppress(TransportError):
            self.processes.run(argv, b"", _CLOSE)
        Path(self.ssh.socket).unlink(missing_ok=True)

    def run(self, script: bytes, deadline: float, output: BinaryIO | None = None) -> Answer:
        """Run a shell script on the node; what it says goes to the file `output`, if there is one.

        Raises TransportError, with the connection's own last word. Where an earlier run has left a connection open,
        which turns out to be dead, the script is run over a new one.
        """
        left_open = self._is_new and self.lasting and self.ssh.socket and is_open(self.ssh.socket)
        self._is_new = False
        try:
            return self._run(script, deadline, output)
        except TransportError as error:
            self.give_up()
            if not (left_open and isinstance(error, ConnectionLost)):
                raise
        if output is not None:
            output.seek(0)
            output.truncate()
        return self.run(script, deadline, output)

    def _run(self, script: bytes, deadline: float, output: BinaryIO | None) -> Answer:
        argv = self._stdin_argv()
        if argv is None:
            return self._run_as_argument(script, deadline, output)
        answer = self.processes.run(argv, whole(script), deadline, output)
        if answer.status == SSH_FAILED and isinstance(self.host.backend, SshBackend):
            raise ConnectionLost(failure_reason(answer.stderr))
        if self.sudo and answer.status and not _spoke(answer.stdout, output):  # no script of ours is without a word
            raise TransportError(failure_reason(answer.stderr))
        return answer

    def _run_as_argument(self, script: bytes, deadline: float, output: BinaryIO | None) -> Answer:
        """Through the backend's own run(), whose command lines testinfra knows; its child gets the deadline."""
        backend = self.host.backend

        def take(command: str, *args: str) -> CommandResult:
            line = BaseBackend.quote(command, *args)
            answer = self.processes.run(["/bin/sh", "-c", line], b"", deadline, output)
            return backend.result(answer.status, line.encode(), answer.stdout, answer.stderr)

        backend.run_local = take
        result = backend.run(ascii_command(script))
        if result.rc and not _spoke(result.stdout_bytes, output):
            raise TransportError(failure_reason(result.stderr_bytes))
        return Answer(result.rc, result.stdout_bytes, result.stderr_bytes)


def _spoke(stdout: bytes, output: BinaryIO | None) -> bool:
    return bool(stdout) or (output is not None and os.fstat(output.fileno()).st_size > 0)


def connect(node: Node, ssh: SshSettings, processes: Processes, sudo: Sudo | None = None) -> HostTransport:
    """A connection to a node; nothing is contacted yet. Raises TransportError for an unknown kind of connection."""
    name, arguments = testinfra.backend.parse_hostspec(node.host_spec)
    if sudo is not None:  # `?sudo=true` in a node's own specification says the same
        arguments = {"sudo": True, "sudo_user": sudo.user, **arguments}
    kind = arguments.pop("connection")
    if name.rpartition("@")[2].startswith("-"):
        raise TransportError(f"connection {node.host_spec}: a host name cannot start with '-'")
    try:
        backend_class = SynctoolSshBackend if kind == "ssh" else testinfra.backend.get_backend_class(kind)
        backend = backend_class(**arguments) if kind == "local" else backend_class(_host_part(node, name), **arguments)
    except (RuntimeError, ImportError) as error:
        raise TransportError(f"connection {node.host_spec}: {error}") from error
    return HostTransport(testinfra.host.Host(backend), processes, ssh)


def _host_part(node: Node, name: str) -> str:
    # chroot:///srv/image: testinfra's parser takes only what stands before the path.
    spec = node.host_spec
    return spec.partition("://")[2] if spec.startswith("chroot://") else name
