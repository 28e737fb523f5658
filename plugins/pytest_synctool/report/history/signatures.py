"""Signatures of the expected states of a run, for the history: it tells by them whether the masterdir has changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pytest_synctool.model import Node
from pytest_synctool.report.expected_digest import signature
from pytest_synctool.report.history.lifetimes import Signatures
from pytest_synctool.report.nodeids import encode
from pytest_synctool.report.record import COMMANDS, EntryName
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree

_DELETE: Final = Tree.DELETE.value


def signatures_of(repository: Repository, nodes: Iterable[Node]) -> Signatures:
    """Return a function from node and entry to the signature of the expected state; empty for commands."""
    by_name = {node.name: node for node in nodes}
    signatures: dict[Entry, str] = {}  # different nodes share most entries
    tables: dict[EntryList, tuple[dict[str, str], dict[str, str]]] = {}  # nodes alike share one list
    of_node: dict[str, tuple[dict[str, str], dict[str, str]]] = {}

    def table(entries: EntryList) -> tuple[dict[str, str], dict[str, str]]:
        """Return the signatures by name, of overlay/ and of delete/."""
        if entries not in tables:
            tables[entries] = {}, {}
            for entry in entries:
                if entry.tree is not Tree.TASKS:
                    if entry not in signatures:
                        signatures[entry] = signature(entry)
                    tables[entries][entry.tree is Tree.DELETE][encode(entry.destination)] = signatures[entry]
            for contents in entries.exclusive:
                if contents not in signatures:
                    signatures[contents] = signature(contents)
                tables[entries][0][encode(contents.destination)] = signatures[contents]
        return tables[entries]

    def of(node: str, name: EntryName) -> str:
        kind = name.kind
        if kind in COMMANDS:
            return ""
        if node not in of_node:
            of_node[node] = table(repository.entries(by_name[node]))
        return of_node[node][kind == _DELETE].get(name.name, "")

    return of
