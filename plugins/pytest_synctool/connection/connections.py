"""The connections of a run: all scripts for a node share one, and it may stay open for later runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pytest_synctool.connection.ahead import ProbesAhead, Run
from pytest_synctool.connection.control_sockets import Sockets, is_open, is_sharing_configured
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.connection.failed_login import FailedLogins
from pytest_synctool.connection.processes import Answer, Processes
from pytest_synctool.connection.route import Route, Sudo, ssh_route
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.connection.ssh_backend import SynctoolSshBackend
from pytest_synctool.connection.transport import HostTransport, connect
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

_MOST_LASTING: Final = 500  # each is a process on this machine and uses 1.4 MB
_PERSIST_IN_RUN: Final = "30"  # seconds


@dataclass
class Connections:
    """The connections of a run to its nodes. Any thread may use it.

    With `persist`, connections stay open for this many seconds after their last use, for later runs: at most 500. With
    `shared`, all that a run does on a node uses one connection, even if it does not stay open. If ssh's own
    configuration sets options for shared connections, neither happens: ssh then shares as its configuration says.
    """

    ssh: SshSettings
    processes: Processes
    sudo: Sudo | None = None
    persist: int = 0
    shared: bool = False
    _opened: set[str] = field(default_factory=set, init=False)
    _ahead: ProbesAhead | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._failed_logins = FailedLogins(self.processes, self.ssh.connect_timeout)
        is_wanted = self.persist or self.shared
        left_to_ssh = is_wanted and is_sharing_configured(self.ssh.command, self.ssh.config_file)
        self._run_sockets = Sockets.of_run() if self.shared and not left_to_ssh else None
        self._lasting_sockets = Sockets.of_user(os.environ) if self.persist and not left_to_ssh else None
        try:
            if self._lasting_sockets is not None:
                self._lasting_sockets.prepare()
        except TransportError:  # the directory belongs to another user, whose sockets are not trusted
            self._lasting_sockets = None

    def ask_ahead(self, masterdir: Path, nodes: Sequence[Node], kind: str, width: int) -> None:
        """Ask nodes what their last audit has asked, while this one gets ready; see ProbesAhead."""

        def run_on(node: Node) -> Run:
            def run(script: bytes, deadline: float, ceiling: int, processes: Processes) -> Answer:
                failed_logins = FailedLogins(processes, self.ssh.connect_timeout)
                transport = replace(self._transport(node), processes=processes, failed_logins=failed_logins)
                return transport.run(script, deadline, Phase.PROBE, ceiling)

            return run

        self._ahead = ProbesAhead(kind, width)
        self._ahead.begin(masterdir, nodes, run_on, self.processes)

    def to(self, node: Node) -> HostTransport:
        """Return a connection to a node. Raise TransportError for an unknown kind."""
        transport = self._transport(node)
        transport.ahead = None if self._ahead is None else self._ahead.of(node)
        return transport

    def _transport(self, node: Node) -> HostTransport:
        transport = connect(node, self.ssh, self.processes, self.sudo)
        transport.failed_logins = self._failed_logins
        if transport.route is not None and transport.route.is_ssh:
            transport.route, transport.lasting = self._shared_route(transport.route)
        return transport

    def _shared_route(self, route: Route) -> tuple[Route, bool]:
        """Return the route over a shared connection, if there is one, and True if the connection outlives the run."""
        if self._lasting_sockets is not None:
            socket = str(self._lasting_sockets.path(route))
            if socket in self._opened or len(self._opened) < _MOST_LASTING or is_open(socket):
                self._opened.add(socket)
                return route.sharing(socket, str(self.persist)), True
        if self._run_sockets is not None:
            return route.sharing(str(self._run_sockets.path(route)), _PERSIST_IN_RUN), False
        return route, False

    def route_for_testinfra(self, backend: SynctoolSshBackend) -> Route:
        """Return the route of testinfra's own commands.

        They use only connections that outlive the run: nobody would end any other one after them.
        """
        route = ssh_route(backend.host.name, self.ssh, backend.host.user, backend.host.port)
        shared, lasting = self._shared_route(route)
        return shared if lasting else route

    def close(self) -> None:
        """Remove the sockets of this run. Call it when no script is running any more but for those ahead."""
        if self._ahead is not None:
            self._ahead.close()
        if self._run_sockets is not None:
            self._run_sockets.close()
