"""What the masterdir asks for of each test of a run, as the history keeps it."""

from __future__ import annotations

from collections.abc import Callable

from pytest_synctool.nodeids import decode
from pytest_synctool.plugin.cluster import Cluster
from pytest_synctool.report.record import EntryName
from pytest_synctool.report.signature import signature
from pytest_synctool.source import Tree

Signatures = Callable[[str, EntryName], str]


def signatures_of(cluster: Cluster) -> Signatures:
    """The signature of a node's entry; empty for commands, of which no state is asked for."""
    nodes = {node.name: node for node in cluster.nodes}
    tables: dict[int, dict[tuple[Tree, bytes], str]] = {}

    def of(node: str, name: EntryName) -> str:
        entries = cluster.repository.entries(nodes[node])  # nodes alike have the same
        if id(entries) not in tables:
            tables[id(entries)] = {}
        table = tables[id(entries)]
        path = decode(name.name)
        tree = Tree.DELETE if name.kind == Tree.DELETE.value else Tree.OVERLAY
        if (tree, path) not in table:
            if name.kind in ("post", "task", "always"):
                return ""
            table.update({(e.tree, e.destination): signature(e) for e in entries if e.tree is tree})
        return table.get((tree, path), "")

    return of
