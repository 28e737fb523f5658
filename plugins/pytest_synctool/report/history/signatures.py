"""Signatures of the expected states of a run, for the history: it tells by them whether the masterdir has changed."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_synctool.model import Node
from pytest_synctool.report.expected_digest import signature
from pytest_synctool.report.history.lifetimes import Signatures
from pytest_synctool.report.nodeids import encode
from pytest_synctool.report.record import EntryName
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree


def signatures_of(repository: Repository, nodes: Iterable[Node]) -> Signatures:
    """Return a function from node and entry to the signature of the expected state; empty for commands."""
    by_name = {node.name: node for node in nodes}
    signatures: dict[Entry, str] = {}  # different nodes share most entries
    tables: dict[tuple[EntryList, Tree], dict[str, str]] = {}  # nodes alike share one list

    def of(node: str, name: EntryName) -> str:
        if name.is_command:
            return ""
        tree = Tree.DELETE if name.kind == Tree.DELETE.value else Tree.OVERLAY
        entries = repository.entries(by_name[node])
        table = tables.get((entries, tree))
        if table is None:
            table = tables[entries, tree] = {}
            for entry in entries:
                if entry.tree is tree:
                    if entry not in signatures:
                        signatures[entry] = signature(entry)
                    table[encode(entry.destination)] = signatures[entry]
        return table.get(name.name, "")

    return of
