"""Node items: after selection, one item per node replaces all tests of the node. pytest runs them, xdist deals them."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterable, Sequence
from typing import Any

import pytest

from pytest_synctool.audit.check import Check
from pytest_synctool.model import Node
from pytest_synctool.plugin.cluster import BY_NODE
from pytest_synctool.plugin.collect import EntryItem, NodeChecks, WholeNode
from pytest_synctool.plugin.other_plugins import others_listen
from pytest_synctool.report.node_test_ids import NodeTests, Whole


class NodeItem(pytest.Item):
    """All selected tests of one node, run as one. It keeps checks and ids instead of the items, to save memory."""

    def __init__(self, *, node: Node, by_node: bool, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.node = node
        self._by_node = by_node
        self._checks: list[Check] = []
        self._ids: list[str] = []
        self._whole: list[tuple[str, NodeChecks]] = []

    def add(self, item: EntryItem | WholeNode) -> None:
        """Add a test of the node. All tests of one run are of the same class."""
        if isinstance(item, WholeNode):
            self._whole.append((item.nodeid, item.checks))
        else:
            self._checks.append(item.check)
            self._ids.append(item.nodeid)

    @property
    def checks(self) -> Sequence[Check]:
        """Return the checks of all tests, in order."""
        return [check for _, checks in self._whole for check in checks.checks] if self._whole else self._checks

    @property
    def tests(self) -> NodeTests:
        """Return the node ids of the tests."""
        if not self._whole:
            return NodeTests(self.node.name, self.nodeid, self._ids)
        ids = [f"{nodeid}::{name}" for nodeid, checks in self._whole for name in checks.names]
        if not self._by_node:
            return NodeTests(self.node.name, self.nodeid, ids)
        whole = tuple(Whole(nodeid, len(checks.names)) for nodeid, checks in self._whole)
        return NodeTests(self.node.name, self.nodeid, ids, whole)

    @property
    def number(self) -> int:
        """Return the number of tests that the item stands for."""
        if self._whole and not self._by_node:
            return sum(len(checks.names) for _, checks in self._whole)
        return len(self._whole or self._ids)

    def runtest(self) -> None:
        """Raise AssertionError: pytest_runtest_protocol runs a node."""
        raise AssertionError("a node is run by the plugin's own protocol")


def tests_of(item: pytest.Item) -> NodeTests | None:
    """Return the tests of a NodeItem, None for any other item."""
    return item.tests if isinstance(item, NodeItem) else None


class NodeFolding:
    """A plugin that folds the tests of each node. It is registered late, so that it runs after all other plugins."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
        """Replace the tests of each node by one item, in the place of the first of them."""
        yield
        if not (config.option.collectonly or others_listen(config)):
            self._fold(config, items)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Generator[None]:
        """Fold after other plugins have seen and counted the tests of which they get reports."""
        yield
        if not session.config.option.collectonly and others_listen(session.config):
            self._fold(session.config, session.items)
            gc.collect()  # the folded items refer to themselves

    def _fold(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        by_node = config.option.synctool_granularity == BY_NODE
        folded = fold_items(items, by_node=by_node)
        if not by_node and (reporter := config.pluginmanager.getplugin("terminalreporter")) is not None:
            # pytest counts a WholeNode as one item; "collected N items" is to show the number of tests.
            reporter._numcollected += sum(len(i.checks.names) - 1 for i in items if isinstance(i, WholeNode))
        items[:] = folded


def fold_items(items: Iterable[pytest.Item], *, by_node: bool) -> list[pytest.Item]:
    """Return the items of a run with one NodeItem in the place of all tests of a node; other items stay."""
    folded: list[pytest.Item] = []
    nodes: dict[str, NodeItem] = {}
    for item in items:
        if not isinstance(item, EntryItem | WholeNode):
            folded.append(item)
            continue
        node = item.node
        if node.name not in nodes:
            # An error of the node is reported under the item's id. The parent makes that the id of the node under the
            # check function, so --lf finds all tests below it.
            parent = item.parent.parent if isinstance(item, EntryItem) else item.parent
            assert parent is not None
            nodes[node.name] = NodeItem.from_parent(parent, name=node.name, node=node, by_node=by_node)
            folded.append(nodes[node.name])
        nodes[node.name].add(item)
    return folded
