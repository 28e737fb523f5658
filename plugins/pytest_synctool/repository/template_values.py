"""The values that templates can use: `node`, `cluster` and `vars`. What a template asks about its node is recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from pytest_synctool.common.wording import Hints, printable_text
from pytest_synctool.model import Node
from pytest_synctool.repository.variable_files import GroupVariables

LONGEST: Final = 5.0  # seconds of one rendering
_STEPS: Final = 1000  # rounds of loops and calls of macros from one look at the clock to the next
_MOST_GROUPS: Final = 3
_NODE: Final = ("name", "groups", "address", "hostname", "ipaddress")

Key = tuple[str, str]
"""One question of a template: `("node", "name")`, `("group", "batch")` for membership, or `("vars", "ntp_server")`."""


class LimitError(Exception):
    """A rendering takes too much time or room."""


class NodeValues:
    """The values of one node for templates."""

    def __init__(self, node: Node, variables: GroupVariables) -> None:
        self.node, self.variables = node, variables

    def decisive(self, key: Key) -> object:
        """Return what decides a value: that of the node, or the group whose variable it is."""
        kind, name = key
        if kind == "node":
            return _attribute(self.node, name)
        if kind == "group":
            return name in self.node.groups
        return next((group for group in self.node.groups if name in self.variables.get(group, ())), None)


def _attribute(node: Node, name: str) -> object:
    return node.hostname or node.name if name == "hostname" else getattr(node, name)


class View:
    """An object of templates whose attributes are those that `get` returns. KeyError means that it has none."""

    __slots__ = ()

    def get(self, name: str) -> object:
        raise KeyError(f"'{name}' is not defined")


class NodeView(View):
    """A node in a template. It is printed as its name."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def get(self, name: str) -> object:
        if name not in _NODE:
            raise KeyError(f"a node has no '{name}'{Hints().nearest('attribute', name, _NODE)}: {', '.join(_NODE)}")
        value = self.value(name)
        if value is None:
            raise KeyError(f"'{name}' of a node is not defined: the configuration has no '{name}:' for it")
        return value

    def value(self, name: str) -> object:
        return _attribute(self._node, name)

    def __str__(self) -> str:
        return str(self.value("name"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeView) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class OwnView(NodeView):
    """The node that is rendered for. What a template asks for is recorded."""

    __slots__ = ("_run",)

    def __init__(self, run: RenderingRun) -> None:
        super().__init__(run.values.node)
        self._run = run

    def value(self, name: str) -> object:
        return GroupsView(self._run) if name == "groups" else self._run.ask(("node", name))


class GroupsView(Sequence[str]):
    """The groups of the node that is rendered for. A question for one of them is recorded as that."""

    __slots__ = ("_run",)

    def __init__(self, run: RenderingRun) -> None:
        self._run = run

    @property
    def _names(self) -> tuple[str, ...]:
        self._run.ask(("node", "groups"))
        return self._run.values.node.groups

    def __contains__(self, name: object) -> bool:
        return self._run.ask(("group", str(name))) is True

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: Any) -> Any:
        return self._names[index]


def _elsewhere(name: str, variables: GroupVariables) -> str:
    """Return which groups have a variable, or the variable whose name is the nearest."""
    groups = [group for group, rows in variables.items() if name in rows]
    if groups:
        more = ", ..." if len(groups) > _MOST_GROUPS else ""
        return f": only for {', '.join(groups[:_MOST_GROUPS])}{more}"
    return Hints().nearest("variable", name, {each for rows in variables.values() for each in rows})


class VarsView(View):
    __slots__ = ("_run",)

    def __init__(self, run: RenderingRun) -> None:
        self._run = run

    def get(self, name: str) -> object:
        group, variables = self._run.ask(("vars", name)), self._run.values.variables
        if group is None:
            raise KeyError(f"variable '{printable_text(name)}' is not set{_elsewhere(name, variables)}")
        return variables[str(group)][name].value

    def __contains__(self, name: object) -> bool:
        return self._run.ask(("vars", str(name))) is not None


class ClusterView(View):
    """All nodes and groups of the configuration."""

    __slots__ = ("__dict__",)

    def __init__(self, nodes: Sequence[Node], groups: Mapping[str, Sequence[str]]) -> None:
        self._nodes, self._groups = nodes, groups

    @cached_property
    def _parts(self) -> Mapping[str, object]:
        return {
            "nodes": tuple(map(NodeView, self._nodes)),
            "groups": {name: tuple(members) for name, members in self._groups.items()},
            "addresses": {node.name: node.address for node in self._nodes},
        }

    def get(self, name: str) -> object:
        if name not in self._parts:
            raise KeyError(f"a cluster has no '{printable_text(name)}': {', '.join(self._parts)}")
        return self._parts[name]


@dataclass
class RenderingRun:
    """One rendering under way: what it has asked for, and its limits."""

    values: NodeValues
    asked: dict[Key, object] = field(default_factory=dict)
    _steps: int = 0
    _end: float = field(default_factory=lambda: time.monotonic() + LONGEST)

    def ask(self, key: Key) -> object:
        """Return and record what decides a value."""
        if key not in self.asked:
            self.asked[key] = self.values.decisive(key)
        return self.asked[key]

    def tick(self) -> None:
        """Count a step. Raises LimitError if the time is over."""
        self._steps += 1
        if self._steps % _STEPS == 0 and time.monotonic() > self._end:
            raise LimitError(f"it takes longer than {LONGEST:g} s")


class UsedCluster(View):
    """The cluster, with a note whether a template has used it."""

    __slots__ = ("_cluster", "is_used")

    def __init__(self, cluster: ClusterView) -> None:
        self._cluster, self.is_used = cluster, False

    def get(self, name: str) -> object:
        self.is_used = True
        return self._cluster.get(name)
