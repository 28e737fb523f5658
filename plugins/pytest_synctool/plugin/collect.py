"""Collection: one cheap test per (node, entry) for every `check_*` function of a test file. Contacts no node.

With --granularity=node it is one per node instead. And where nothing can select single tests, those of a node are
collected as one thing, since they would only be folded again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from inspect import signature
from pathlib import Path
from types import FunctionType
from typing import Any, Final, Self

import pytest

from pytest_synctool.audit.check import Check, CheckFunction
from pytest_synctool.errors import SynctoolError
from pytest_synctool.model import Node
from pytest_synctool.plugin.cluster import BY_NODE, SUITE, Cluster, cluster_of
from pytest_synctool.report.nodeids import encode
from pytest_synctool.repository import commands
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Tree

# Other suites have functions named check_* too, which are none of our business.
_CHECK_DEFINITION = re.compile(rb"^def check_\w+\(\s*entry\b", re.MULTILINE)
_PARAMETERS = ("entry", "actual")
_POST, _TASK, _ALWAYS = "post", "task", "always"
# Options of pytest that look at single tests.
_SELECTING: Final = (
    *("keyword", "markexpr", "lf", "failedfirst", "newfirst", "stepwise", "deselect", "collectonly"),
    *("setupplan", "setuponly", "setupshow"),
)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the check functions of a test file, beside what pytest itself finds in it."""
    if file_path.suffix != ".py":
        return None
    patterns = parent.config.getini("python_files")
    if not parent.session.isinitpath(file_path) and not any(fnmatch(file_path.name, p) for p in patterns):
        return None
    if not _CHECK_DEFINITION.search(file_path.read_bytes()):
        return None
    return CheckModule.from_file(parent, file_path)


class CheckModule(pytest.Collector):
    """The check functions of one test file.

    Not a pytest.File: --lf passes over files in which it knows no failure, by a path that an installed suite has not.
    """

    module: pytest.Module

    @classmethod
    def from_file(cls, parent: pytest.Collector, path: Path) -> Self:
        """The collector for a test file. The installed suite has the same node ids as the one in a checkout."""
        module = pytest.Module.from_parent(parent, path=path)
        nodeid = f"{SUITE}/{path.name}" if path.parent.name == SUITE else module.nodeid
        collector: Self = cls.from_parent(parent, name=path.name, path=path, nodeid=nodeid)
        collector.module = module
        return collector

    def collect(self) -> Iterator[pytest.Collector | pytest.Item]:
        """The nodes of each check; a check named like its file needs no level of its own."""
        try:
            cluster = cluster_of(self.config)
        except SynctoolError as error:
            raise self.CollectError(str(error)) from error
        for name, function in _check_functions(self.module.obj):
            if name == "check_" + self.path.stem.removeprefix("test_"):
                yield from nodes_of(self, function, cluster)
            else:
                yield CheckCollector.from_parent(self, name=name, function=function, cluster=cluster)


def _check_functions(module: Any) -> list[tuple[str, CheckFunction]]:
    return [
        (name, value)
        for name, value in vars(module).items()
        if name.startswith("check_") and _is_check(value) and value.__module__ == module.__name__
    ]


def _is_check(value: object) -> bool:
    return isinstance(value, FunctionType) and tuple(signature(value).parameters) == _PARAMETERS


def _marks(function: CheckFunction) -> set[str]:
    return {mark.name for mark in getattr(function, "pytestmark", ())}


class CheckCollector(pytest.Collector):
    """One check function of a file that has several."""

    def __init__(self, *, function: CheckFunction, cluster: Cluster, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.function = function
        self.cluster = cluster

    def collect(self) -> Iterator[pytest.Collector | pytest.Item]:
        """The selected nodes."""
        return nodes_of(self, self.function, self.cluster)


@dataclass(frozen=True, slots=True)
class Named:
    """Checks of a node, each with the name that ends its node id."""

    names: tuple[str, ...]
    checks: tuple[Check, ...]


@dataclass
class Checks:
    """What a check function is applied to, made once for all nodes that have the same entries."""

    function: CheckFunction
    config: pytest.Config
    cluster: Cluster
    _made: dict[int, Named] = field(default_factory=dict)

    def of(self, node: Node) -> Named:
        """The checks of a node: of every entry of the function's tree, or of every command of an entry."""
        entries = self.cluster.repository.entries(node)
        if id(entries) not in self._made:  # the repository keeps them
            made = [(encode(name), check) for name, check in self._each(entries)]
            self._made[id(entries)] = Named(tuple(name for name, _ in made), tuple(check for _, check in made))
        return self._made[id(entries)]

    def _each(self, entries: Sequence[Entry]) -> Iterator[tuple[bytes, Check]]:
        marks = _marks(self.function)
        if _POST in marks:
            for entry in entries:
                for command in commands.commands_of(entry):
                    yield f"{command.kind}:".encode() + entry.destination, Check(entry, self.function, command)
            return
        if _TASK in marks:
            for entry in entries if self.config.option.synctool_tasks else ():
                if entry.tree is Tree.TASKS:
                    yield entry.destination, Check(entry, self.function, commands.task(entry))
            return
        if _ALWAYS in marks:
            if self.config.option.synctool_fix:
                config = self.cluster.config
                for entry, command in (
                    commands.always(text, os.fsencode(config.masterdir)) for text in config.always_run
                ):
                    yield entry.destination, Check(entry, self.function, command)
            return
        tree = Tree.DELETE if Tree.DELETE.value in marks else Tree.OVERLAY
        for entry in entries:
            if entry.tree is tree:
                yield entry.destination, Check(entry, self.function)


def nodes_of(
    parent: pytest.Collector, function: CheckFunction, cluster: Cluster
) -> Iterator[pytest.Collector | pytest.Item]:
    """A collector for every selected node; where nothing is selected below it, an item for every one with checks."""
    config = parent.config
    checks = Checks(function, config, cluster)
    marks = Marks(function)
    by_entry = config.option.synctool_granularity != BY_NODE and may_select(config)
    for node in cluster.nodes:
        made = checks.of(node)
        if by_entry:
            yield NodeCollector.from_parent(parent, name=node.name, node=node, checks=made, marks=marks.of(node))
        elif made.names:
            yield WholeNode.from_parent(parent, name=node.name, node=node, checks=made, marks=marks.of(node))


def may_select(config: pytest.Config) -> bool:
    """Whether anybody may want to see single tests before they are run: an option, an id, or somebody else's plugin."""
    option = config.option
    if any(getattr(option, name, None) for name in _SELECTING) or any("::" in str(word) for word in config.args):
        return True
    hooks = config.pluginmanager.hook
    seeing = (hooks.pytest_collection_modifyitems, hooks.pytest_itemcollected, hooks.pytest_deselected)
    return any(_is_foreign(found.function.__module__) for hook in seeing for found in hook.get_hookimpls())


def _is_foreign(module: str) -> bool:
    return module.partition(".")[0] not in ("_pytest", "xdist", "testinfra", "pytest_synctool")


class Marks:
    """The markers of nodes under a check function: its own, and those of their groups, for -m and -k."""

    def __init__(self, function: CheckFunction) -> None:
        self._own = list(getattr(function, "pytestmark", ()))
        self._of_groups: dict[str, pytest.Mark] = {}

    def of(self, node: Node) -> list[pytest.Mark]:
        """The markers of a node."""
        groups = [group for group in node.groups if not group.startswith("_")]  # not a name that pytest.mark can give
        for group in groups:
            if group not in self._of_groups:
                self._of_groups[group] = getattr(pytest.mark, group).mark
        return [*self._own, *(self._of_groups[group] for group in groups)]


class NodeCollector(pytest.Collector):
    """One node under one check function; carries its markers."""

    def __init__(self, *, node: Node, checks: Named, marks: Sequence[pytest.Mark], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.node = node
        self.checks = checks
        self.own_markers.extend(marks)

    def collect(self) -> Iterator[EntryItem]:
        """One test for every check."""
        for name, check in zip(self.checks.names, self.checks.checks, strict=True):
            item: EntryItem = EntryItem.from_parent(self, name=name)
            item.check = check
            yield item


class EntryItem(pytest.Item):
    """The test of one entry on one node. It is selected like any test, and run with its node as a whole."""

    check: Check
    parent: NodeCollector

    @property
    def node(self) -> Node:
        """The node that it is about."""
        return self.parent.node

    def runtest(self) -> None:
        """Never called: the node's tests are folded into one before they run."""
        raise AssertionError(f"{self.nodeid} was not folded into its node")


class WholeNode(pytest.Item):
    """All entries of one node under one check function: with --granularity=node a test, else where their tests are."""

    parent: pytest.Collector

    def __init__(self, *, node: Node, checks: Named, marks: Sequence[pytest.Mark], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.node = node
        self.checks = checks
        self.own_markers.extend(marks)

    def runtest(self) -> None:
        """Never called: the node's tests are folded into one before they run."""
        raise AssertionError(f"{self.nodeid} was not folded into its node")
