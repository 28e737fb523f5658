"""The extent of a run: all entries of its nodes, or some of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import Node
from pytest_synctool.report.record import SUITE, EntryName, NodeRecord
from pytest_synctool.repository.entry import EntryList
from pytest_synctool.repository.entry_commands import commands_of, owners
from pytest_synctool.repository.resolution import Repository, is_idle
from pytest_synctool.repository.source import Tree


def has_all_entries(repository: Repository, nodes: Sequence[Node], records: Iterable[NodeRecord]) -> bool:
    """Return True if the tests of each node with a result are all that the built-in checks have for it.

    Tasks and `always_run` may be missing. Tests are counted: no test of a run occurs twice.
    """
    by_name = {node.name: node for node in nodes}
    known: dict[tuple[SharedList[EntryName], EntryList], bool] = {}  # nodes alike share both
    for record in records:
        node = by_name.get(record.node)
        if node is None:
            continue
        pair = record.entries, repository.entries(node)
        if pair not in known:
            known[pair] = _counted(pair[0]) == _expected(pair[1])
        if not known[pair]:
            return False
    return True


def _counted(tests: Iterable[EntryName]) -> tuple[int, ...]:
    counts = Counter(test.check for test in tests)
    return tuple(counts[f"{SUITE}{kind}.py"] for kind in ("overlay", "delete", "exclusive", "post"))


def _expected(entries: EntryList) -> tuple[int, ...]:
    trees = Counter(entry.tree for entry in entries)
    commands = sum(len(commands_of(entry)) for entry in owners(entries))
    return trees[Tree.OVERLAY] + is_idle(entries), trees[Tree.DELETE], len(entries.exclusive), commands
