"""Selected tests are folded into one item per node, which is what runs, and what xdist hands out."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

import pytest

from pytest_synctool.audit.check import Check
from pytest_synctool.model import Node
from pytest_synctool.plugin.cluster import BY_NODE
from pytest_synctool.plugin.collect import EntryItem, Named, WholeNode
from pytest_synctool.report.node_tests import NodeTests, Whole


class NodeItem(pytest.Item):
    """All selected tests of one node, run as one. Keeps what they need, not their items: those are large, and many."""

    def __init__(self, *, node: Node, by_node: bool, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.node = node
        self._by_node = by_node
        self._checks: list[Check] = []
        self._ids: list[str] = []
        self._whole: list[tuple[str, Named]] = []

    def add(self, item: EntryItem | WholeNode) -> None:
        """Take up a test; those of one run are all of the same class."""
        if isinstance(item, WholeNode):
            self._whole.append((item.nodeid, item.checks))
        else:
            self._checks.append(item.check)
            self._ids.append(item.nodeid)

    @property
    def checks(self) -> Sequence[Check]:
        """What is to be checked, in order."""
        return [check for _, named in self._whole for check in named.checks] if self._whole else self._checks

    @property
    def tests(self) -> NodeTests:
        """Its tests, as reports name them."""
        if not self._whole:
            return NodeTests(self.node.name, self.nodeid, self._ids)
        ids = [f"{nodeid}::{name}" for nodeid, named in self._whole for name in named.names]
        if not self._by_node:
            return NodeTests(self.node.name, self.nodeid, ids)
        whole = tuple(Whole(nodeid, len(named.names)) for nodeid, named in self._whole)
        return NodeTests(self.node.name, self.nodeid, ids, whole)

    @property
    def number(self) -> int:
        """How many tests it stands for."""
        if self._whole and not self._by_node:
            return sum(len(named.names) for _, named in self._whole)
        return len(self._whole or self._ids)

    def runtest(self) -> None:
        """Never called: pytest_runtest_protocol runs it."""
        raise AssertionError("a node is run by the plugin's own protocol")


def tests_of(item: pytest.Item) -> NodeTests | None:
    """The tests of an item that is a node, None of any other."""
    return item.tests if isinstance(item, NodeItem) else None


class Folding:
    """Folds after every other plugin has had its say; registered late, so that it is outermost."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
        """Replace the tests of a node by one item, where the first of them stood."""
        yield
        if config.option.collectonly:
            return
        by_node = config.option.synctool_granularity == BY_NODE
        folded = fold_items(items, by_node=by_node)
        if not by_node and (reporter := config.pluginmanager.getplugin("terminalreporter")) is not None:
            # What it says was collected is the tests, however they were.
            reporter._numcollected += sum(len(i.checks.names) - 1 for i in items if isinstance(i, WholeNode))
        items[:] = folded


def fold_items(items: Iterable[pytest.Item], *, by_node: bool) -> list[pytest.Item]:
    """The items of a run, with one NodeItem for all the tests of a node; others are left as they are."""
    folded: list[pytest.Item] = []
    found: dict[str, NodeItem] = {}
    for item in items:
        if not isinstance(item, EntryItem | WholeNode):
            folded.append(item)
            continue
        node = item.node
        if node.name not in found:
            # It has the id of the node under the check function: an error of the node is reported under it, and --lf
            # finds the tests below it.
            parent = item.parent.parent if isinstance(item, EntryItem) else item.parent
            assert parent is not None
            found[node.name] = NodeItem.from_parent(parent, name=node.name, node=node, by_node=by_node)
            folded.append(found[node.name])
        found[node.name].add(item)
    return folded
