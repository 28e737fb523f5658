"""`dsh -M`: routes over ssh connections that stay open."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_synctool.connection.control_sockets import Sockets, is_open
from pytest_synctool.connection.route import Route


@dataclass(frozen=True, slots=True)
class OpenConnections:
    """The ssh connections with these sockets. Audits and repairs use them, too."""

    sockets: Sockets

    def socket(self, route: Route) -> str:
        """Return the path of the socket for the connection of a route."""
        return str(self.sockets.path(route))

    def is_open(self, route: Route) -> bool:
        """Return True if the route has an open connection that no other user can have made."""
        return route.is_ssh and self.sockets.is_private() and is_open(self.socket(route))

    def use(self, route: Route) -> Route:
        """Return the route over its open connection, or the route itself if there is none."""
        return route.over(self.socket(route)) if self.is_open(route) else route

    def opening(self, route: Route, persist: str) -> Route:
        """Return the route that leaves a connection open for `persist` after its last use."""
        return route.sharing(self.socket(route), persist)

    def control(self, route: Route, word: str) -> list[str]:
        """Return the argument list that sends `check`, `stop` or `exit` to the connection of a route."""
        return route.over(self.socket(route)).control_argv(word)
