"""ClusterShell's tree: nodes behind gateways, and the nodes that become unreachable when a gateway fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ClusterShell.NodeSet import NodeSet
from ClusterShell.Propagation import RouteResolvingError
from ClusterShell.Task import Task
from ClusterShell.Topology import TopologyError
from ClusterShell.Worker.Tree import TreeWorker

from pytest_synctool.connection.ssh import failure_reason
from pytest_synctool.dsh.clients import Worker
from pytest_synctool.errors import ConfigError


class UnreachableHandler(Protocol):
    """An event handler that also takes the nodes that a gateway no longer reaches."""

    def end_unreachable(self, nodes: Sequence[str], reason: str) -> None:
        """Note that these nodes are unreachable."""


class GatewayWorker(TreeWorker):  # type: ignore[misc]  # ClusterShell's classes are untyped here
    """A worker for nodes behind gateways that reports the nodes of a failed gateway. ClusterShell does not."""

    eh: UnreachableHandler

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._last_lines: dict[str, bytes] = {}  # of gateways

    def _on_remote_node_msgline(self, node: str, msg: bytes, sname: str, gateway: str) -> None:
        if str(node) == str(gateway):  # a line of the gateway itself: it reaches no nodes
            self._last_lines[str(gateway)] = msg
        else:
            super()._on_remote_node_msgline(node, msg, sname, gateway)

    def _gateway_abort(self, gateway: str) -> None:
        self.eh.end_unreachable(list(self.gwtargets.get(gateway, ())), f"the connection to its gateway {gateway} ended")
        super()._gateway_abort(gateway)

    def _relaunch(self, previous_gateway: str) -> None:
        targets = list(self.gwtargets[previous_gateway])
        try:
            super()._relaunch(previous_gateway)
        except RouteResolvingError:
            reason = failure_reason(self._last_lines.get(previous_gateway, b""))
            self.eh.end_unreachable(targets, f"its gateway {previous_gateway} cannot be used: {reason}")
            self._check_fini()


class ChannelWorker(Worker):
    """A worker for the connection to a gateway, whose messages begin after the line `token` of standard output.

    What came before is printed by the login, and would not be XML.
    """

    may_write = False
    token = ""

    def handle_lines(self, node: str, stream: str, lines: Sequence[bytes]) -> None:
        """Pass on the lines that come from ClusterShell."""
        if stream == self.SNAME_STDOUT and not self.may_write:
            token = self.token.encode()
            if token not in lines:
                return
            lines = lines[lines.index(token) + 1 :]
            self.begin()
        super().handle_lines(node, stream, lines)

    @classmethod
    def announcing(cls, argv_of: Callable[[str, str], Sequence[str]]) -> type[ChannelWorker]:
        """Return a class of workers whose lines print a random token first."""
        token = f"synctool-{os.urandom(8).hex()}"

        def announced(node: str, line: str) -> Sequence[str]:
            return argv_of(node, f"echo; echo {token}; {line}")

        return type(cls.__name__, (cls,), {"argv_of": staticmethod(announced), "token": token})


def topology(task: Task) -> str | None:
    """Load ClusterShell's topology file, which defines the nodes behind gateways. Return its name.

    Return None if there is no such file, or if ClusterShell's own settings turn it off. Raise ConfigError if the file
    is invalid.
    """
    file = next((path for path in reversed(Task.TOPOLOGY_CONFIGS) if os.path.exists(path)), None)
    if file is None or not task.default("auto_tree"):
        return None
    try:
        task.load_topology(file)
    except TopologyError as error:
        raise ConfigError(f"{file}: {error} (--no-tree ignores it)") from error
    return str(file)


def routed(task: Task, nodes: Sequence[str]) -> set[str]:
    """Return the nodes that the loaded topology puts behind a gateway."""
    root = task.topology.root
    behind = NodeSet()
    for group in task.topology.groups:
        if group is not root and group.parent is not root:
            behind.update(group.nodeset)
    return {node for node in nodes if node in behind}
