"""Collection: one cheap test per (node, entry) for every `check_*` function of a test file. Contacts no node."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from inspect import signature
from pathlib import Path
from types import FunctionType
from typing import Any, Self

import pytest

from pytest_synctool import plan
from pytest_synctool.errors import SynctoolError
from pytest_synctool.model import Node
from pytest_synctool.nodeids import encode
from pytest_synctool.plugin.cluster import SUITE, Cluster, cluster_of
from pytest_synctool.session import Check, CheckFunction
from pytest_synctool.source import Tree

# Other suites have functions named check_* too, which are none of our business.
_CHECK_DEFINITION = re.compile(rb"^def check_\w+\(\s*entry\b", re.MULTILINE)
_PARAMETERS = ("entry", "actual")
_POST, _TASK, _ALWAYS = "post", "task", "always"


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

    def collect(self) -> Iterator[pytest.Collector]:
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

    def collect(self) -> Iterator[pytest.Collector]:
        """The selected nodes."""
        return nodes_of(self, self.function, self.cluster)


def nodes_of(parent: pytest.Collector, function: CheckFunction, cluster: Cluster) -> Iterator[NodeCollector]:
    """One collector for every selected node."""
    for node in cluster.nodes:
        yield NodeCollector.from_parent(parent, name=node.name, node=node, function=function, cluster=cluster)


class NodeCollector(pytest.Collector):
    """One node under one check function; carries the markers of its groups for -m and -k."""

    def __init__(self, *, node: Node, function: CheckFunction, cluster: Cluster, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.node = node
        self.function = function
        self.cluster = cluster
        self.entries = cluster.repository.entries(node)
        self.own_markers.extend(getattr(function, "pytestmark", ()))
        for group in node.groups:
            if not group.startswith("_"):  # not a name that pytest.mark can give
                self.own_markers.append(getattr(pytest.mark, group).mark)

    def collect(self) -> Iterator[EntryItem]:
        """One test for every entry of the check's tree, or for every command of an entry."""
        if _POST in _marks(self.function):
            for entry in self.entries:
                for command in plan.commands_of(entry):
                    name = f"{command.kind}:".encode() + entry.destination
                    yield self._item(name, Check(entry, self.function, command))
            return
        if _TASK in _marks(self.function):
            if self.config.option.synctool_tasks:
                tasks = (entry for entry in self.entries if entry.tree is Tree.TASKS)
                yield from (self._item(e.destination, Check(e, self.function, plan.task(e))) for e in tasks)
            return
        if _ALWAYS in _marks(self.function):
            if self.config.option.synctool_fix:
                config = self.cluster.config
                for entry, command in (plan.always(text, os.fsencode(config.masterdir)) for text in config.always_run):
                    yield self._item(entry.destination, Check(entry, self.function, command))
            return
        tree = Tree.DELETE if Tree.DELETE.value in _marks(self.function) else Tree.OVERLAY
        for entry in self.entries:
            if entry.tree is tree:
                yield self._item(entry.destination, Check(entry, self.function))

    def _item(self, name: bytes, check: Check) -> EntryItem:
        item: EntryItem = EntryItem.from_parent(self, name=encode(name))
        item.check = check
        return item


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
