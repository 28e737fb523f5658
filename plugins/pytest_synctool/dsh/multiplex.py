"""`dsh -M`: ways to nodes over connections that stay open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_synctool.connection.control_sockets import Sockets, is_open
from pytest_synctool.connection.route import Route


@dataclass(frozen=True, slots=True)
class OpenConnections:
    """Ways over the connections of these sockets, which audits and repairs use as well."""

    sockets: Sockets

    def path(self, reach: Route) -> Path:
        """The socket of a connection."""
        return self.sockets.path(reach.shell, reach.host)

    def is_open(self, reach: Route) -> bool:
        """Whether there is a connection, and nobody else can have made it."""
        return reach.is_ssh and self.sockets.is_private() and is_open(self.path(reach))

    def through(self, reach: Route, *options: str) -> Route:
        """The same way over the socket, with other options of ssh."""
        words = [word for option in (f"ControlPath={self.path(reach)}", *options) for word in ("-o", option)]
        return replace(reach, shell=(*reach.shell, *words))

    def use(self, reach: Route) -> Route:
        """The way over a connection that is open, or else the way itself."""
        return self.through(reach) if self.is_open(reach) else reach

    def opening(self, reach: Route, persist: str) -> Route:
        """The way that leaves a connection open behind it, for `persist` after its last use, as ssh_config writes it.

        One whose node does not answer any more ends by itself, so that nobody waits for it forever.
        """
        return self.through(reach, "ControlMaster=auto", f"ControlPersist={persist}", "ServerAliveInterval=15")

    def control(self, reach: Route, word: str) -> Sequence[str]:
        """What to run to say `check`, `stop` or `exit` to a connection."""
        return [*self.through(reach).shell, "-O", word, "--", reach.host]
