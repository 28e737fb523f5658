"""Selection of nodes by names, ranges, groups and set algebra, with ClusterShell's NodeSet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ClusterShell.NodeSet import NodeSet, NodeSetException
from ClusterShell.NodeUtils import GroupResolver, GroupSource

from pytest_synctool.common.nodenames import range_problem
from pytest_synctool.common.wording import nearest
from pytest_synctool.errors import SelectionError
from pytest_synctool.model import Node

NONE: Final = "none"

# One operand of the set algebra: everything up to an operator outside of brackets.
_OPERAND = re.compile(r"(?:\[[^\]]*\]|[^,&!^\[])+")
_UNION = re.compile(r",(?![^\[]*\])")
_GROUP_PREFIX = "group:"


class Nodes(Protocol):
    """The parts of a configuration that a selection needs."""

    @property
    def path(self) -> Path:
        """The file that defines the nodes."""

    @property
    def nodes(self) -> Mapping[str, Node]:
        """All nodes, by name."""

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the nodes of each group."""

    @property
    def default_nodeset(self) -> str | None:
        """The selection of a run without an explicit one; `none` requires an explicit one, None means all nodes."""


def select(config: Nodes, expression: str | None, *, origin: str = "--hosts") -> list[Node]:
    """Return the nodes that an expression selects, in the order of the configuration.

    Commas separate terms. A term is a node, a range (`node[1-3]`), a wildcard (`node*`), a group (`group:batch`,
    `@batch` or `batch`), `all`, or several of these with ClusterShell's operators: `!` (but not), `&` (and), `^` (xor).
    Without an expression the default node set is used, else every node that is not ignored. An ignored node is selected
    only by its own name. `origin` is the option of the expression, for messages. Raises SelectionError for a term that
    names an unknown node or group, or that matches no node.
    """
    active = [node for node in config.nodes.values() if not node.ignored]
    if expression is None and config.default_nodeset == NONE:
        raise SelectionError(
            f"no nodes are named, and {config.path} says 'default_nodeset none': name some with {origin}"
        )
    if expression is None and config.default_nodeset is not None:
        expression, origin = config.default_nodeset, f"{config.path}: 'default_nodeset'"
    if expression is None:
        if not active:
            raise SelectionError(f"{config.path}: every node is ignored, nothing to do")
        return active
    selection = _Selection(config, origin, {node.name for node in active})
    chosen: set[str] = set()
    for term in terms(expression):
        chosen |= selection.term(term)
    return [node for name, node in config.nodes.items() if name in chosen]


def are_usual(config: Nodes, nodes: Iterable[Node]) -> bool:
    """Return True if these are at least the nodes that are selected without an expression.

    With `default_nodeset none`, these are all nodes that are not ignored.
    """
    names = {node.name for node in nodes}
    with suppress(SelectionError):
        return all(node.name in names for node in select(config, None))
    return all(node.ignored or node.name in names for node in config.nodes.values())


def terms(expression: str) -> list[str]:
    """Split an expression into terms at its commas, but not at commas in brackets."""
    return [term.strip() for term in _UNION.split(expression)]


@dataclass
class _Selection:
    config: Nodes
    origin: str
    active: set[str]

    def term(self, term: str) -> set[str]:
        """Return the names of the nodes that one term selects."""
        term = "".join(term.split())
        if (problem := range_problem(term)) is not None:
            raise self._error(problem)
        if not term:
            raise self._error("an empty term; expected a node, a range or a group between the commas")
        by_name = not term.startswith("!") and all(self._names_nodes(operand) for operand in _OPERAND.findall(term))
        text = _OPERAND.sub(lambda match: self._group_syntax(match[0]), term)
        if text.startswith("!"):
            text = "@all" + text
        try:
            matches = self._matches(term, text)
        except NodeSetException as error:
            raise self._error(f"{term!r} is not a node selection: {error}") from error
        chosen = matches if by_name else matches & self.active
        if not chosen:
            reason = "only ignored nodes" if matches else "no node"
            raise self._error(f"'{term.removeprefix(_GROUP_PREFIX)}' matches {reason} of {self.config.path}")
        return chosen

    def _matches(self, term: str, text: str) -> set[str]:
        groups = {name: ",".join(nodes) for name, nodes in self.config.groups.items()}
        resolver = GroupResolver(default_source=GroupSource("synctool", groups, ",".join(self.config.nodes)))
        matches = set(NodeSet(text, resolver=resolver))
        for operand in _OPERAND.findall(text):  # an operand behind `!` must exist too
            unknown = sorted(set(NodeSet(operand, resolver=resolver)) - set(self.config.nodes))
            if unknown:
                where = "" if unknown[0] == term else f" in {term!r}"
                raise self._error(f"no such node or group '{unknown[0]}'{where}{self._hint(unknown[0])}")
        return matches

    def _names_nodes(self, operand: str) -> bool:
        """Return True if an operand is a node or a range of nodes, and no group or pattern."""
        return (
            not operand.startswith(("@", _GROUP_PREFIX))
            and not re.search(r"[*?]", operand)
            and operand not in self.config.groups
        )

    def _group_syntax(self, operand: str) -> str:
        """Return an operand in ClusterShell's syntax. Raises SelectionError for an unknown group."""
        group = operand.removeprefix(_GROUP_PREFIX).removeprefix("@")
        if group in self.config.groups:
            return f"@{group}"
        if group == NONE:
            raise self._error("group 'none' has no nodes: it is for files that no node gets")
        if group == operand:
            return operand
        if group in self.config.nodes:  # the name of a node is also a group
            return group
        raise self._error(f"no such group '{group}'{self._hint(group)}")

    def _error(self, reason: str) -> SelectionError:
        return SelectionError(f"{self.origin}: {reason}")

    def _hint(self, word: str) -> str:
        return nearest(word, [*self.config.groups, *self.config.nodes]) or f", see {self.config.path}"
