"""Connections to nodes: run a shell script on a node and return its output, or raise TransportError with the reason.

Every connection has a testinfra host. Over ssh, in a chroot and on this machine, scripts travel on standard input:
their length has no limit, and no other shell parses them. Other testinfra connections (docker, podman, kubectl, ...)
take scripts as an argument, which has one.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import testinfra.host
from testinfra.backend.base import BaseBackend, CommandResult

from pytest_synctool.common.prologue import beginning, begins, first_line, new_token
from pytest_synctool.common.shell import ascii_command, guarded, whole
from pytest_synctool.connection.ahead import ProbeAhead, Question
from pytest_synctool.connection.control_sockets import is_open
from pytest_synctool.connection.exchange import SHORT_ANSWER, Limits, Phase
from pytest_synctool.connection.failed_login import FailedLogins
from pytest_synctool.connection.processes import Answer, Processes
from pytest_synctool.connection.route import SCHEMES, Route, RouteKind, Sudo, route_to
from pytest_synctool.connection.ssh import SSH_FAILED, SshSettings, failure_reason, not_begun
from pytest_synctool.connection.ssh_backend import SynctoolSshBackend
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

# A Linux argument has at most 128 KiB. The rest is for what every script begins with, and for the words of the backend.
ARGUMENT_LIMIT: Final = 120_000  # by argument_size()
_CLOSE_LIMIT: Final = Limits(5.0)  # closing a connection contacts only a process on this machine


class ConnectionLost(TransportError):
    """A failure of ssh itself, not of the command that it ran."""


class Transport(Protocol):
    """A connection to one node, used by one thread at a time."""

    @property
    def script_limit(self) -> int | None:
        """Return the argument_size() of the longest possible script, or None if there is no limit."""

    def run(self, script: bytes, deadline: float, phase: Phase = Phase.PROBE, ceiling: int | None = None) -> Answer:
        """Run a shell script. Raise TransportError if there is no answer, or none for `deadline` seconds.

        Raise AnswerTooLong for more than `ceiling` bytes; the default grows with the script. Messages name the `phase`.
        The first script may run twice, so a second run must not harm.
        """


@dataclass
class HostTransport:
    """A Transport with a testinfra host. `route` is None for connections that only testinfra knows.

    With `lasting`, the shared connection stays open for later runs. `ahead` may have the answer to the first script.
    """

    host: testinfra.host.Host
    processes: Processes
    route: Route | None
    lasting: bool = False
    failed_logins: FailedLogins | None = None
    ahead: ProbeAhead | None = None
    _is_new: bool = True

    @property
    def script_limit(self) -> int | None:
        """Return None over ssh, in a chroot and on this machine, and a limit where the script is an argument."""
        return None if self._stdin_argv() else ARGUMENT_LIMIT

    @property
    def is_local(self) -> bool:
        """Return True if the node is this machine itself."""
        return self.route is not None and self.route.kind is RouteKind.LOCAL

    def route_for_files(self) -> Route:
        """Return the route of rsync and tar. Raise TransportError if the connection cannot carry files."""
        if self.route is None:
            raise TransportError(f"files cannot be carried over a {self.host.backend.NAME} connection")
        return self.route.from_outside()

    def _stdin_argv(self, *arguments: str) -> list[str] | None:
        return self.route.script_argv(*arguments) if self.route is not None else None

    def close(self) -> None:
        """End the shared connection unless it is to last, and what nobody has asked for."""
        if self.ahead is not None:
            self.ahead.end()
        if not self.lasting:
            self.disconnect()

    def disconnect(self) -> None:
        """End the shared connection; the next script opens another one.

        Commands that still use it end, too. A lasting connection only takes no new commands: other runs may use it.
        """
        if self.route is None or self.route.socket is None or not Path(self.route.socket).exists():
            return
        with suppress(TransportError):
            self.processes.run(self.route.control_argv("stop" if self.lasting else "exit"), b"", _CLOSE_LIMIT)
        if not self.processes.is_closed:  # else the connection was not told: other runs may use it
            Path(self.route.socket).unlink(missing_ok=True)

    def run(
        self,
        script: bytes,
        deadline: float,
        phase: Phase = Phase.PROBE,
        ceiling: int | None = None,
        output: BinaryIO | None = None,
    ) -> Answer:
        """Run a shell script on the node. Its output goes to the file `output` if that is not None.

        Raise TransportError with the reason that the connection states. If an earlier run left a connection open that
        turns out to be dead, run the script again over a new one.
        """
        if ceiling is None:
            ceiling = SHORT_ANSWER + len(script)
        if self.ahead is not None:
            ahead, self.ahead = self.ahead, None
            question = Question(script, deadline, ceiling)
            if (answer := ahead.answer(question)) is None:
                answer = self.run(script, deadline, phase, ceiling, output)
            ahead.keep(question)
            return answer
        limits = self.limits(deadline, phase, ceiling)
        socket = self.route.socket if self.route is not None else None
        left_open = self._is_new and self.lasting and socket and is_open(socket)
        self._is_new = False
        try:
            return self._run(script, limits, output)
        except TransportError as error:
            self.disconnect()
            if not (left_open and isinstance(error, ConnectionLost)):
                raise
        if output is not None:
            output.seek(0)
            output.truncate()
        return self.run(script, deadline, phase, ceiling, output)

    def limits(self, silence: float, phase: Phase, ceiling: int = SHORT_ANSWER) -> Limits:
        """Return the limits of a command of this run, whose messages name the option that sets the silence."""
        return Limits(silence, ceiling, phase, self.processes.silence_option)

    def _run(self, script: bytes, limits: Limits, output: BinaryIO | None) -> Answer:
        token = new_token()
        limits = replace(limits, begins=begins(token))
        argv = self._stdin_argv(token)
        if self.route is None or argv is None:
            return self._run_as_argument(script, token, limits, output)
        if limits.phase is not Phase.REPAIR:  # a repair goes on without us, to its end
            limits = replace(limits, holds_input=True)
            script = guarded(script, limits.longest(limits.ceiling), watches_input=True)
        script = first_line(token) + whole(beginning(token) + script)
        began = time.monotonic()
        answer = self.processes.run(argv, script, limits, output)
        if answer.status == SSH_FAILED and self.route.is_ssh:
            reason = failure_reason(answer.stderr)
            if self.failed_logins is not None and answer.before is not None:  # our first word was not heard
                reason = self.failed_logins.cause(self.route, reason, time.monotonic() - began) or reason
            raise ConnectionLost(reason, answer.stdout)
        return _begun(answer)

    def _run_as_argument(self, script: bytes, token: str, limits: Limits, output: BinaryIO | None) -> Answer:
        """Run a script by the backend's own run(), which knows the command lines of testinfra, with these limits."""
        backend = self.host.backend

        answers: list[Answer] = []

        def run_local(command: str, *args: str) -> CommandResult:
            line = BaseBackend.quote(command, *args)
            answer = self.processes.run(["/bin/sh", "-c", line], b"", limits, output)
            answers.append(answer)
            return backend.result(answer.status, line.encode(), answer.stdout, answer.stderr)

        backend.run_local = run_local
        if limits.phase is not Phase.REPAIR:
            script = guarded(script, limits.longest(limits.ceiling), watches_input=False)
        backend.run(ascii_command(beginning(token) + script))
        return _begun(answers[-1])


def _begun(answer: Answer) -> Answer:
    """Return the answer of a script that has begun. Raise TransportError for one that has not."""
    if answer.before is None:
        return answer
    raise TransportError(not_begun(answer.status, answer.stderr, answer.before))


def connect(node: Node, ssh: SshSettings, processes: Processes, sudo: Sudo | None = None) -> HostTransport:
    """Return a connection to a node; nothing is contacted yet. Raise TransportError for an unknown kind."""
    try:
        name, arguments = testinfra.backend.parse_hostspec(node.host_spec)
    except ValueError as error:
        raise TransportError(f"connection {node.host_spec}: {error}") from error
    kind = arguments.pop("connection")
    if name.rpartition("@")[2].startswith("-"):
        raise TransportError(f"connection {node.host_spec}: a host name cannot start with '-'")
    route = route_to(node, ssh, sudo) if kind in SCHEMES else None
    if sudo is not None:  # the options of the node's own specification win
        arguments = {"sudo": True, "sudo_user": sudo.user, **arguments}
    if route is not None and route.sudo:
        arguments["sudo"] = True  # testinfra knows `sudo=true`, but not `sudo=yes`
    try:
        backend_class = SynctoolSshBackend if kind == "ssh" else testinfra.backend.get_backend_class(kind)
        place = route.root if route is not None and route.root else name
        backend = backend_class(**arguments) if kind == "local" else backend_class(place, **arguments)
    except (RuntimeError, ImportError) as error:
        raise TransportError(f"connection {node.host_spec}: {error}") from error
    return HostTransport(testinfra.host.Host(backend), processes, route)
