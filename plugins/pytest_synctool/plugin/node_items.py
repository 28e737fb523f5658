"""Node items: after selection, one item per node replaces all tests of the node. pytest runs them, xdist deals them."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import pytest

from pytest_synctool.audit.check import Check
from pytest_synctool.model import Node
from pytest_synctool.plugin.cluster import cluster_of, waivers_of
from pytest_synctool.plugin.collect import EntryItem, NodeChecks, WholeNode, may_select
from pytest_synctool.plugin.invocation import BY_NODE, changes_nodes, is_worker, repair_option
from pytest_synctool.plugin.marks import Mark, mark_of, setup_mark
from pytest_synctool.plugin.other_plugins import others_listen
from pytest_synctool.plugin.site_hooks import has_setup, set_up
from pytest_synctool.plugin.terminal_reporter import terminal_reporter
from pytest_synctool.report.node_test_ids import NodeTests, Whole

# The key under which a worker tells the controller why it refuses to run.
REFUSAL: Final = "synctool_refusal"

_STEPWISE: Final = ("stepwise", "stepwise_skip", "stepwise_reset")


class NodeItem(pytest.Item):
    """All selected tests of one node, run as one. It keeps checks and ids instead of the items, to save memory.

    With `is_set_up` it keeps the items too, since setup hooks of other plugins want to see them.
    """

    def __init__(self, *, node: Node, by_node: bool, is_set_up: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.node = node
        self.left_out: frozenset[str] = frozenset()
        self._by_node = by_node
        self._checks: list[Check] = []
        self._ids: list[str] = []
        self._whole: list[tuple[str, NodeChecks]] = []
        self._marks: dict[int, Mark] = {}  # by the position of the test
        self._items: list[EntryItem | WholeNode] | None = [] if is_set_up else None

    def add(self, item: EntryItem | WholeNode, mark: Mark | None) -> None:
        """Add a test of the node. All tests of one run are of the same class."""
        if mark is not None:
            self._marks[len(self._whole or self._ids)] = mark
        if self._items is not None:
            self._items.append(item)
        if isinstance(item, WholeNode):
            self._whole.append((item.nodeid, item.checks))
        else:
            self._checks.append(item.check)
            self._ids.append(item.nodeid)

    def set_up(self) -> None:
        """Run the setup hooks of other plugins for each test, before the node is contacted.

        A mark that a plugin has added to the node's own item holds for all tests.
        """
        if self.own_markers and (mark := mark_of(self, together=self._by_node)) is not None:
            self._marks = dict.fromkeys(range(len(self._whole or self._ids)), mark)
        for number, item in enumerate(self._items or ()):
            mark = self._marks.get(number)
            if mark is not None and mark.settled is not None:
                continue
            if (
                mark := setup_mark(partial(set_up, item, item.hooks_of)) or mark_of(item, together=self._by_node)
            ) is not None:
                self._marks[number] = mark
        self._items = None

    def iter_markers_with_node(self, name: str | None = None) -> Iterator[tuple[pytest.Item, pytest.Mark]]:
        """Yield the marks of the item itself: those of its parents are of one check only."""
        return ((self, mark) for mark in self.own_markers if name is None or mark.name == name)

    @property
    def checks(self) -> Sequence[Check]:
        """Return the checks of all tests, in order, with their marks."""
        if not self._marks:
            return [check for _, checks in self._whole for check in checks.checks] if self._whole else self._checks
        tests = [checks.checks for _, checks in self._whole] if self._whole else [(check,) for check in self._checks]
        marked = ((self._marks.get(number), checks) for number, checks in enumerate(tests))
        return [check if mark is None else mark.on(check) for mark, checks in marked for check in checks]

    @property
    def tests(self) -> NodeTests:
        """Return the node ids of the tests."""
        if not self._whole:
            return NodeTests(self.node.name, self.nodeid, self._ids, left_out=self.left_out)
        ids = [f"{nodeid}::{name}" for nodeid, checks in self._whole for name in checks.names]
        if not self._by_node:
            return NodeTests(self.node.name, self.nodeid, ids, left_out=self.left_out)
        whole = tuple(Whole(nodeid, len(checks.names)) for nodeid, checks in self._whole)
        return NodeTests(self.node.name, self.nodeid, ids, whole, self.left_out)

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
    """A plugin that folds the tests of each node, after all other plugins have changed the items."""

    def __init__(self) -> None:
        self._is_registering = False
        self._collected: list[EntryItem | WholeNode] = []  # if there are waivers: none is stale if a test is left out

    def register(self, manager: pytest.PytestPluginManager) -> None:
        """Register the plugin, or register it anew."""
        self._is_registering = True  # pytest tells a new plugin of all others
        if manager.is_registered(self):
            manager.unregister(self)
        manager.register(self, "synctool-folding")
        self._is_registering = False

    def pytest_plugin_registered(self, plugin: object, manager: pytest.PytestPluginManager) -> None:
        """Stay the outermost wrapper: a conftest that is loaded while collecting may bring one too."""
        if not self._is_registering and hasattr(plugin, "pytest_collection_modifyitems"):
            self.register(manager)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
        """Replace the tests of each node by one item, in the place of the first of them."""
        try:
            self._before_selection(config, items)
            yield
            if not (config.option.collectonly or others_listen(config)):
                self._fold(config, items)
        except pytest.UsageError as error:
            if is_worker(config):
                config.workeroutput[REFUSAL] = str(error)  # type: ignore[attr-defined]  # xdist's
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Generator[None]:
        """Fold after other plugins have seen and counted the tests of which they get reports."""
        yield
        if not session.config.option.collectonly and others_listen(session.config):
            self._fold(session.config, session.items)
            gc.collect()  # the folded items refer to themselves

    def _before_selection(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if config.option.synctool_granularity != BY_NODE:
            items[:] = single_tests(config, items)
        ours = [item for item in items if isinstance(item, EntryItem | WholeNode)]
        if ours and any(getattr(config.option, name, None) for name in _STEPWISE):
            raise pytest.UsageError(
                "--stepwise does not go with the tests of nodes: those of a node run together, and nodes in any order, "
                "so it would count tests as passed that never ran; use -x, and then --lf"
            )
        if ours and waivers_of(config, cluster_of(config)).waivers.waivers:
            self._collected = ours

    def _fold(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        by_node = config.option.synctool_granularity == BY_NODE
        _check_setup(config, items)
        folded = fold_items(items, by_node=by_node, is_set_up=has_setup(config))
        _set_left_out(self._collected, items, folded)
        self._collected = []
        if not by_node and (reporter := terminal_reporter(config)) is not None:
            # pytest counts a WholeNode as one item; "collected N items" is to show the number of tests.
            reporter._numcollected += sum(len(i.checks.names) - 1 for i in items if isinstance(i, WholeNode))
        items[:] = folded


def single_tests(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the items with a test per entry in the place of whole nodes, if a plugin that has come late wants them."""
    whole = sum(isinstance(item, WholeNode) for item in items)
    if not whole or not (may_select(config) or any(isinstance(item, EntryItem) for item in items)):
        return items
    expanded: list[pytest.Item] = []
    for item in items:
        expanded += item.expanded() if isinstance(item, WholeNode) else [item]
    if (reporter := terminal_reporter(config)) is not None:
        reporter._numcollected += len(expanded) - len(items)
    return expanded


def _check_setup(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Refuse to repair where ordinary tests would run fixtures first: one may skip, and checks run without fixtures."""
    modules = {item.check_module: None for item in items if isinstance(item, EntryItem | WholeNode)}
    for module in modules:
        if not module.unused_fixtures:
            continue
        reason = f"{module.nodeid}: checks run without these fixtures and setup functions: {module.unused_fixtures}"
        if changes_nodes(config):
            raise pytest.UsageError(
                f"{repair_option(config)}: {reason}. One of them might skip tests. Skip checks by a mark or a hook "
                "pytest_runtest_setup, and keep the fixtures in another directory"
            )
        module.warn(pytest.PytestWarning(reason))


def fold_items(items: Sequence[pytest.Item], *, by_node: bool, is_set_up: bool = False) -> list[pytest.Item]:
    """Return the items of a run with one NodeItem in the place of all tests of a node; other items stay."""
    folded: list[pytest.Item] = []
    nodes: dict[str, NodeItem] = {}
    marks = _Marks(together=by_node)
    parents = _first_parents(items)
    for item in items:
        if not isinstance(item, EntryItem | WholeNode):
            folded.append(item)
            continue
        node = item.node
        if node.name not in nodes:
            nodes[node.name] = NodeItem.from_parent(
                parents[node.name], name=node.name, node=node, by_node=by_node, is_set_up=is_set_up
            )
            folded.append(nodes[node.name])
        nodes[node.name].add(item, marks.of(item))
    return folded


def _set_left_out(
    collected: Iterable[EntryItem | WholeNode], selected: Iterable[pytest.Item], folded: Iterable[pytest.Item]
) -> None:
    """Set in the item of each node what was collected and not selected."""
    kept = set(selected)
    names: dict[str, set[str]] = {}
    for item in collected:
        if item not in kept:
            own = item.checks.names if isinstance(item, WholeNode) else (item.name,)
            names.setdefault(item.node.name, set()).update(own)
    shared: dict[frozenset[str], frozenset[str]] = {}
    for node in folded:
        if isinstance(node, NodeItem) and node.node.name in names:
            left_out = frozenset(names[node.node.name])
            node.left_out = shared.setdefault(left_out, left_out)


def _first_parents(items: Sequence[pytest.Item]) -> dict[str, pytest.Collector]:
    """Return the parent of the item of each node: whichever comes first by its id, in whatever order tests run.

    An error of the node is reported under the item's id. The parent makes that the id of the node under the check
    function, so --lf finds all tests below it.
    """
    parents: dict[str, pytest.Collector] = {}
    last: pytest.Collector | None = None  # all items below it are of one node
    for item in items:
        if isinstance(item, EntryItem) and item.parent is not last:
            last = item.parent
            parent = last.parent
        elif isinstance(item, WholeNode):
            parent = item.parent
        else:
            continue
        assert isinstance(parent, pytest.Collector)
        known = parents.setdefault(item.node.name, parent)
        if parent.nodeid < known.nodeid:
            parents[item.node.name] = parent
    return parents


class _Marks:
    """The marks of tests. Tests of one parent without marks of their own share its marks."""

    def __init__(self, *, together: bool) -> None:
        self._together = together
        self._of_parents: dict[pytest.Collector, Mark | None] = {}

    def of(self, item: EntryItem | WholeNode) -> Mark | None:
        """Return the mark of a test."""
        if item.own_markers:
            return mark_of(item, together=self._together)
        if item.parent not in self._of_parents:
            self._of_parents[item.parent] = mark_of(item, together=self._together)
        return self._of_parents[item.parent]
