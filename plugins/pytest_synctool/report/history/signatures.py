"""Signatures of the expected states of a run, for the history: it tells by them whether the masterdir has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
_FEW: Final = 16  # nodes; the entries of many would fill the memory of a run

_Table = tuple[Mapping[str, Entry], Mapping[str, Entry]]
"""Entries by name: those of overlay/, and those of delete/."""


def signatures_of(repository: Repository, nodes: Sequence[Node], *, at_once: bool = False) -> Signatures:
    """Return a function from node and entry to the signature of the expected state; empty for commands.

    It reads no source of an entry that nobody asks for: a run of a part of the tests leaves the others alone. With
    `at_once` it does the work for all entries now, unless there are many nodes.
    """
    by_name = {node.name: node for node in nodes}
    signatures: dict[Entry, str] = {}  # different nodes share most entries
    tables: dict[EntryList, _Table] = {}  # nodes alike share one list
    of_node: dict[str, _Table] = {}

    def table(node: str) -> _Table:
        entries = repository.entries(by_name[node])
        if entries not in tables:
            tables[entries] = _table(entries)
        return tables[entries]

    def of(node: str, name: EntryName) -> str:
        kind = name.kind
        if kind in COMMANDS:
            return ""
        if node not in of_node:
            of_node[node] = table(node)
        entry = of_node[node][kind == _DELETE].get(name.name)
        if entry is None:
            return ""
        if entry not in signatures:
            signatures[entry] = signature(entry)
        return signatures[entry]

    if at_once and len(nodes) <= _FEW:
        for entries in dict.fromkeys(repository.entries(node) for node in nodes):
            tables[entries] = _table(entries)
            signatures.update((entry, signature(entry)) for named in tables[entries] for entry in named.values())
    return of


def _table(entries: EntryList) -> _Table:
    overlay = [entry for entry in entries if entry.tree is Tree.OVERLAY]
    deleted = [entry for entry in entries if entry.tree is Tree.DELETE]
    return (
        {encode(entry.destination): entry for entry in (*overlay, *entries.exclusive)},
        {encode(entry.destination): entry for entry in deleted},
    )
