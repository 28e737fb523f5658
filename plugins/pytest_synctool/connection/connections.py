"""The connections of a run: shared by all that is asked of a node, and left open for what comes next."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Final

from pytest_synctool.connection.control_sockets import Sockets, has_own_ways, is_open
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.connection.ssh_backend import SynctoolSshBackend
from pytest_synctool.connection.transport import HostTransport, Sudo, connect
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

# Each is a process on this machine, with 1.4 MB of its own.
_MOST_LASTING: Final = 500


@dataclass
class Connections:
    """Makes connections to nodes, from any thread.

    With `persist` they stay open for so many seconds after their last use, and later runs find them; not more than 500
    of them, and none where ssh's own configuration has a word about that. With `shared` a node has one connection for
    all that a run asks it, even if it does not last.
    """

    ssh: SshSettings
    processes: Processes
    sudo: Sudo | None = None
    persist: int = 0
    shared: bool = False
    _opened: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        left_to_ssh = (self.persist or self.shared) and has_own_ways(self.ssh.command, self.ssh.config_file)
        self._passing = Sockets.of_run() if self.shared and not left_to_ssh else None
        self._lasting = Sockets.of_user(os.environ) if self.persist and not left_to_ssh else None
        try:
            if self._lasting is not None:
                self._lasting.prepare()
        except TransportError:  # somebody else's directory: what is in it is not trusted
            self._lasting = None

    def to(self, node: Node) -> HostTransport:
        """A connection to a node; nothing is contacted yet. Raises TransportError for an unknown kind of connection."""
        made = connect(node, self.ssh, self.processes, self.sudo)
        backend = made.host.backend
        if isinstance(backend, SynctoolSshBackend):
            made.ssh, made.lasting = self.way_of(backend)
        return made

    def way_of(self, backend: SynctoolSshBackend) -> tuple[SshSettings, bool]:
        """How ssh is called for a host, and whether the connection outlives the run."""
        words = backend.before_host(self.ssh)
        if self._lasting is not None:
            socket = str(self._lasting.path(words, backend.host.name))
            if socket in self._opened or len(self._opened) < _MOST_LASTING or is_open(socket):
                self._opened.add(socket)
                return replace(self.ssh, socket=socket, idle=self.persist), True
        if self._passing is not None:
            return replace(self.ssh, socket=str(self._passing.path(words, backend.host.name))), False
        return self.ssh, False

    def of_testinfra(self, backend: SynctoolSshBackend) -> SshSettings:
        """How ssh is called for testinfra's own commands, whose connections nobody ends."""
        settings, lasting = self.way_of(backend)
        return settings if lasting else self.ssh

    def close(self) -> None:
        """Remove what does not last, once nothing is under way any more."""
        if self._passing is not None:
            self._passing.close()
