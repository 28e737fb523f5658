"""What the masterdir asks for of each test of a run, as the history keeps it."""

from __future__ import annotations

from pytest_synctool.plugin.cluster import Cluster
from pytest_synctool.report.history.lifetimes import Signatures
from pytest_synctool.report.nodeids import encode
from pytest_synctool.report.record import EntryName
from pytest_synctool.report.signature import signature
from pytest_synctool.repository.source import Tree


def signatures_of(cluster: Cluster) -> Signatures:
    """The signature of a node's entry; empty for commands, of which no state is asked for."""
    nodes = {node.name: node for node in cluster.nodes}
    made: dict[int, str] = {}  # by entry: nodes that are not alike share most of them
    tables: dict[tuple[int, Tree], dict[str, str]] = {}  # by the entries of nodes alike

    def of(node: str, name: EntryName) -> str:
        if name.is_command:
            return ""
        tree = Tree.DELETE if name.kind == Tree.DELETE.value else Tree.OVERLAY
        entries = cluster.repository.entries(nodes[node])
        table = tables.get((id(entries), tree))
        if table is None:
            table = tables[id(entries), tree] = {}
            for entry in entries:
                if entry.tree is tree:
                    if id(entry) not in made:
                        made[id(entry)] = signature(entry)
                    table[encode(entry.destination)] = made[id(entry)]
        return table.get(name.name, "")

    return of
