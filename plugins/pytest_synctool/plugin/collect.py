"""Collection: one cheap test per (node, entry) for every `check_*` function of a test file. It contacts no node.

With --granularity=node there is one test per node instead. If nothing can select single tests, one item stands for all
tests of a node from the start: separate items would only be folded again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature, unwrap
from pathlib import Path
from types import FunctionType
from typing import Any, Final, Self, cast

import pytest

from pytest_synctool.audit.built_in_checks import answers
from pytest_synctool.audit.check import Check, CheckFunction
from pytest_synctool.engine.settings import Mode
from pytest_synctool.errors import SynctoolError
from pytest_synctool.model import Node, Outcome, Status
from pytest_synctool.plugin.check_files import files_of
from pytest_synctool.plugin.cluster import Cluster, cluster_of, mode_of
from pytest_synctool.plugin.invocation import BY_NODE, SUITE, selects_tests
from pytest_synctool.plugin.marks import guarded
from pytest_synctool.plugin.other_plugins import others_listen
from pytest_synctool.plugin.site_hooks import in_words, setup_fixtures, wants_single_tests
from pytest_synctool.report.nodeids import encode
from pytest_synctool.repository import entry_commands
from pytest_synctool.repository.entry import EntryList
from pytest_synctool.repository.resolution import emptiness, is_idle
from pytest_synctool.repository.source import Tree

_PARAMETERS = ("entry", "actual")
_POST, _TASK, _ALWAYS = "post", "task", "always"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector:
    """Collect the check functions of a test file that has some. pytest collects its ordinary tests as usual."""
    return CheckModule.from_file(parent, file_path)


class CheckModule(pytest.Collector):
    """The check functions of one test file.

    It is no pytest.File: --lf skips files without failures, and compares paths, which differ for an installed suite.
    """

    module: pytest.Module
    hooks_of: Path  # the directory or file whose conftest files apply
    unused_fixtures = ""  # autouse fixtures and setup functions, which checks do without

    @classmethod
    def from_file(cls, parent: pytest.Collector, path: Path) -> Self:
        """Return the collector of a test file. An installed suite gets the same node ids as a checkout."""
        module = pytest.Module.from_parent(parent, path=path)
        here, is_suite = parent.config.invocation_params.dir, path.parent.name == SUITE
        nodeid = f"{SUITE}/{path.name}" if is_suite else module.nodeid
        files_of(parent.config).add(nodeid, path)
        collector: Self = cls.from_parent(parent, name=path.name, path=path, nodeid=nodeid)
        # A conftest beside the configuration applies to an installed suite too, as its node ids suggest.
        collector.hooks_of = here if is_suite and not path.is_relative_to(here) else path
        collector.module = module
        return collector

    def collect(self) -> Iterator[pytest.Collector | pytest.Item]:
        """Yield a collector per check function; the nodes directly for a function that is named like its file."""
        try:
            cluster = cluster_of(self.config)
        except SynctoolError as error:
            raise self.CollectError(str(error)) from error
        module = self.module.obj
        self.own_markers.extend(_marks_of(module))
        self.unused_fixtures = in_words(setup_fixtures(self, module, self.hooks_of))
        for name, function in _check_functions(module):
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


def _marks_of(value: object) -> list[pytest.Mark]:
    """Return the marks of a function or a module: `pytestmark` is one mark or several."""
    marks: Any = getattr(value, "pytestmark", [])
    listed = marks if isinstance(marks, list | tuple) else [marks]
    return [mark.mark if isinstance(mark, pytest.MarkDecorator) else mark for mark in listed]


def _marks(function: CheckFunction) -> set[str]:
    return {mark.name for mark in _marks_of(function)}


class _Level(pytest.Class):
    """A level between a file and its tests. Editors show the classes above a test as levels of their tree."""

    def __init__(self, *, function: CheckFunction, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.function = function
        self.obj = unwrap(function)  # editors read the line of the definition from it


class CheckCollector(_Level):
    """One check function of a file that may have several."""

    def __init__(self, *, cluster: Cluster, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.cluster = cluster

    def collect(self) -> Iterator[pytest.Collector | pytest.Item]:
        """Return the collectors or items of the selected nodes."""
        return nodes_of(self, self.function, self.cluster)


@dataclass(frozen=True, slots=True)
class NodeChecks:
    """The checks of a node. Each has a name, which is the last part of its node id."""

    names: tuple[str, ...]
    checks: tuple[Check, ...]


@dataclass
class CheckBuilder:
    """A builder of nodes' checks for one check function. Nodes with the same entries share their checks."""

    function: CheckFunction
    config: pytest.Config
    cluster: Cluster
    _built: dict[EntryList, NodeChecks] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.function = guarded(self.function)

    def of(self, node: Node) -> NodeChecks:
        """Return the checks of a node: one per entry of the function's tree, or one per command of an entry."""
        entries = self.cluster.repository.entries(node)
        if entries not in self._built:
            pairs = [(encode(name), check) for name, check in self._each(entries)]
            self._built[entries] = NodeChecks(tuple(name for name, _ in pairs), tuple(check for _, check in pairs))
        return self._built[entries]

    def _of_idle_node(self) -> tuple[bytes, Check]:
        cluster = self.cluster
        check = answers(os.fsencode(cluster.config.masterdir))
        if (reason := emptiness(cluster.config, cluster.repository)) is not None:
            check = replace(check, settled=Outcome(Status.ERROR, reason))
        return check.entry.destination, check

    def _each(self, entries: EntryList) -> Iterator[tuple[bytes, Check]]:
        marks = _marks(self.function)
        if _POST in marks:
            for entry in entry_commands.owners(entries):
                for command in entry_commands.commands_of(entry):
                    yield f"{command.kind}:".encode() + entry.destination, Check(entry, self.function, command)
            return
        if _TASK in marks:
            for entry in entries if self.config.option.synctool_tasks else ():
                if entry.tree is Tree.TASKS:
                    yield entry.destination, Check(entry, self.function, entry_commands.task(entry))
            return
        if _ALWAYS in marks:
            if mode_of(self.config) is Mode.FIX:
                config = self.cluster.config
                for text in config.always_run:
                    owned = entry_commands.always(text, os.fsencode(config.masterdir))
                    yield owned.owner.destination, Check(owned.owner, self.function, owned.command)
            return
        if Tree.EXCLUSIVE.value in marks:
            for contents in entries.exclusive:
                yield contents.destination, Check(contents, self.function)
            return
        tree = Tree.DELETE if Tree.DELETE.value in marks else Tree.OVERLAY
        if Tree.OVERLAY.value in marks and is_idle(entries):
            yield self._of_idle_node()
        for entry in entries:
            if entry.tree is tree:
                yield entry.destination, Check(entry, self.function)


def nodes_of(
    parent: pytest.Collector, function: CheckFunction, cluster: Cluster
) -> Iterator[pytest.Collector | pytest.Item]:
    """Yield a collector per selected node, or a single item per node if nothing needs one item per test.

    A node without checks gets no single item.
    """
    config = parent.config
    builder = CheckBuilder(function, config, cluster)
    marks = Marks(function)
    is_exclusive = Tree.EXCLUSIVE.value in _marks(function)
    by_entry = config.option.synctool_granularity != BY_NODE and may_select(config)
    for node in cluster.nodes:
        checks = builder.of(node)
        if is_exclusive and not checks.names:  # as on most nodes: a collector without tests would only take time
            continue
        if by_entry:
            arguments = {"function": function, "node": node, "checks": checks, "marks": marks.of(node)}
            yield NodeCollector.from_parent(parent, name=node.name, **arguments)
        elif checks.names:
            yield WholeNode.from_parent(parent, name=node.name, node=node, checks=checks, marks=marks.of(node))


def may_select(config: pytest.Config) -> bool:
    """Return True if an option, an id or another plugin needs one item per entry."""
    return selects_tests(config) or others_listen(config) or wants_single_tests(config)


# Names of groups that are no marks: pytest refuses the others, obeys those, or the suite has them for its own tests.
_OTHER_MARKS: Final = (
    *("skip", "skipif", "xfail", "usefixtures", "parametrize", "filterwarnings"),
    *("overlay", "delete", "exclusive", "post", "task", "always", "lint"),
)


class Marks:
    """The markers of nodes under a check function, for -m and -k: the markers of the function and the node's groups."""

    def __init__(self, function: CheckFunction) -> None:
        self._own = _marks_of(function)
        self._of_groups: dict[str, pytest.Mark] = {}

    def of(self, node: Node) -> list[pytest.Mark]:
        """Return the markers of a node."""
        groups = [group for group in node.groups if not group.startswith("_") and group not in _OTHER_MARKS]
        for group in groups:
            if group not in self._of_groups:
                self._of_groups[group] = getattr(pytest.mark, group).mark
        return [*self._own, *(self._of_groups[group] for group in groups)]


class NodeCollector(_Level):
    """One node under one check function. It carries the markers of the node."""

    def __init__(self, *, node: Node, checks: NodeChecks, marks: Sequence[pytest.Mark], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.node = node
        self.checks = checks
        self.own_markers.extend(marks)

    def collect(self) -> Iterator[EntryItem]:
        """Yield one test per check."""
        for name, check in zip(self.checks.names, self.checks.checks, strict=True):
            item: EntryItem = EntryItem.from_parent(self, name=name)
            item.check = check
            yield item


class _CheckItem(pytest.Item):
    """A test of a check function."""

    @property
    def obj(self) -> CheckFunction:
        """Return the check function: pytest evaluates conditions of marks with the names of its module."""
        raise NotImplementedError

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the check function is, and the name of the test: editors show them."""
        code = getattr(self.obj, "__code__", None)
        line = None if code is None else code.co_firstlineno - 1
        return self.path, line, self.nodeid.partition("::")[2].replace("::", ": ", 1)

    @property
    def ihook(self) -> Any:  # a class of pluggy
        """Return the hooks that apply to the test, without those of conftest files elsewhere."""
        return self.session.gethookproxy(self.hooks_of)

    @property
    def hooks_of(self) -> Path:
        """Return the path whose conftest files apply."""
        return self.check_module.hooks_of

    @property
    def check_module(self) -> CheckModule:
        """Return the collector of the test's file."""
        module = self.getparent(CheckModule)
        assert module is not None
        return module


class EntryItem(_CheckItem):
    """The test of one entry on one node. It is selected like any test; it runs together with the node's other tests."""

    check: Check
    parent: NodeCollector

    @property
    def node(self) -> Node:
        """Return the node of the test."""
        return self.parent.node

    @property
    def obj(self) -> CheckFunction:
        """Return the check function: pytest evaluates conditions of marks with the names of its module."""
        return cast(CheckFunction, unwrap(self.check.function))

    def runtest(self) -> None:
        """Raise AssertionError: a NodeItem must have replaced this item before tests run."""
        raise AssertionError(f"{self.nodeid} was not folded into its node")


class WholeNode(_CheckItem):
    """All entries of one node under one check function.

    With --granularity=node it is one test. Otherwise it stands for one test per entry.
    """

    parent: pytest.Collector

    def __init__(self, *, node: Node, checks: NodeChecks, marks: Sequence[pytest.Mark], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.node = node
        self.checks = checks
        self.own_markers.extend(marks)

    @property
    def obj(self) -> CheckFunction:
        """Return the check function, as that of an EntryItem."""
        return cast(CheckFunction, unwrap(self.checks.checks[0].function))

    def expanded(self) -> Iterator[EntryItem]:
        """Yield one test per check instead."""
        arguments = {"function": self.obj, "node": self.node, "checks": self.checks, "marks": self.own_markers}
        node: NodeCollector = NodeCollector.from_parent(self.parent, name=self.name, **arguments)
        return node.collect()

    def runtest(self) -> None:
        """Raise AssertionError: a NodeItem must have replaced this item before tests run."""
        raise AssertionError(f"{self.nodeid} was not folded into its node")
