"""ClusterShell's tree: nodes behind gateways, and what becomes of them when a gateway fails."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

from ClusterShell.NodeSet import NodeSet
from ClusterShell.Propagation import RouteResolvingError
from ClusterShell.Task import Task
from ClusterShell.Topology import TopologyError
from ClusterShell.Worker.Tree import TreeWorker

from pytest_synctool.connection.ssh import failure_reason
from pytest_synctool.errors import ConfigError


class Handler(Protocol):
    """Besides events, it takes what nodes have been lost."""

    def lost(self, nodes: Sequence[str], reason: str) -> None:
        """These nodes cannot be reached, or not any longer."""


class GatewayWorker(TreeWorker):  # type: ignore[misc]  # ClusterShell's classes are untyped here
    """A worker behind gateways. ClusterShell leaves it to exceptions and exit statuses what has been lost with one."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._gateways_said: dict[str, bytes] = {}

    def _on_remote_node_msgline(self, node: str, msg: bytes, sname: str, gateway: str) -> None:
        if str(node) == str(gateway):  # of the gateway itself, by which nobody is reached
            self._gateways_said[str(gateway)] = msg
        else:
            super()._on_remote_node_msgline(node, msg, sname, gateway)

    def _gateway_abort(self, gateway: str) -> None:
        self.eh.lost(list(self.gwtargets.get(gateway, ())), f"its gateway {gateway} was lost")
        super()._gateway_abort(gateway)

    def _relaunch(self, previous_gateway: str) -> None:
        targets = list(self.gwtargets[previous_gateway])
        try:
            super()._relaunch(previous_gateway)
        except RouteResolvingError:
            said = self._gateways_said.get(previous_gateway, b"")
            self.eh.lost(targets, f"its gateway {previous_gateway} does not serve: {failure_reason(said)}")
            self._check_fini()


def topology(task: Task) -> str | None:
    """The file of ClusterShell that says which nodes are behind gateways, now in force; None where there is none.

    Raises ConfigError if it cannot be used.
    """
    found = next((path for path in reversed(Task.TOPOLOGY_CONFIGS) if os.path.exists(path)), None)
    if found is None or not task.default("auto_tree"):
        return None
    try:
        task.load_topology(found)
    except TopologyError as error:
        raise ConfigError(f"{found}: {error} (--no-tree leaves it aside)") from error
    return str(found)


def routed(task: Task, nodes: Sequence[str]) -> set[str]:
    """Those of the nodes that are behind a gateway by the topology in force."""
    root = task.topology.root
    behind = NodeSet()
    for group in task.topology.groups:
        if group is not root and group.parent is not root:
            behind.update(group.nodeset)
    return {node for node in nodes if node in behind}
