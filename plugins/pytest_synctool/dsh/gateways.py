"""ClusterShell's tree: nodes behind gateways, and the nodes that become unreachable when a gateway fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ClusterShell.Communication import MessageProcessingError
from ClusterShell.NodeSet import NodeSet
from ClusterShell.Propagation import RouteResolvingError
from ClusterShell.Task import Task
from ClusterShell.Topology import TopologyError
from ClusterShell.Worker.Tree import TreeWorker

from pytest_synctool.common.wording import internal_error
from pytest_synctool.connection.ssh import failure_reason
from pytest_synctool.dsh.clients import Worker
from pytest_synctool.dsh.gateway_payload import take_payloads_apart
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
        self._served: dict[str, set[str]] = {}  # the nodes of gateways
        self._failures: dict[str, str] = {}  # of gateways whose messages are nonsense

    def gateway_failed(self, gateway: str, reason: str) -> None:
        """Note the reason why a gateway, whose connection is ended now, cannot be used."""
        self._failures[gateway] = reason

    def _start(self) -> None:
        try:
            super()._start()
        except RouteResolvingError as error:  # all gateways have failed before
            self.eh.end_unreachable(list(self.nodes), str(error))
            self._check_fini()

    def _execute_remote(self, cmd: str, targets: Any, gateway: Any, timeout: float | None) -> None:
        self._served.setdefault(str(gateway), set()).update(targets)
        super()._execute_remote(cmd, targets, gateway, timeout)

    def _on_remote_node_msgline(self, node: str, msg: bytes, sname: str, gateway: str) -> None:
        if str(node) == str(gateway):  # a line of the gateway itself: it reaches no nodes
            self._last_lines[str(gateway)] = msg
        elif str(node) not in self._served.get(str(gateway), ()):
            raise MessageProcessingError(f"it speaks for {node}, which is not one of its nodes")
        else:
            super()._on_remote_node_msgline(node, msg, sname, gateway)

    def _gateway_abort(self, gateway: str) -> None:
        reason = f"the connection to its gateway {gateway} ended"
        if gateway in self._failures:
            reason = f"its gateway {gateway} has failed: {self._failures[gateway]}"
        self.eh.end_unreachable(list(self.gwtargets.get(gateway, ())), reason)
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
    _has_failed = False

    def handle_lines(self, node: str, stream: str, lines: Sequence[bytes]) -> None:
        """Pass on the lines that come from ClusterShell."""
        if stream == self.SNAME_STDOUT and not self.may_write:
            token = self.token.encode()
            if token not in lines:
                return
            lines = lines[lines.index(token) + 1 :]
            self.begin()
        if self._has_failed:
            return
        try:
            super().handle_lines(node, stream, lines)
        except Exception as error:  # whatever ClusterShell makes of it: only this gateway ends
            self._has_failed = True
            for worker in self.eh.workers.values():
                worker.gateway_failed(node, internal_error(error))
            self.abort()

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
    take_payloads_apart()
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
