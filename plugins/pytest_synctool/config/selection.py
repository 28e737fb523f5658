"""Selection of nodes: names, ranges, groups and set algebra, on ClusterShell's NodeSet."""

from __future__ import annotations

import re
from collections.abc import Mapping
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

# One operand of the set algebra: everything up to an operator, with bracketed ranges kept whole.
_OPERAND = re.compile(r"(?:\[[^\]]*\]|[^,&!^\[])+")
_UNION = re.compile(r",(?![^\[]*\])")
_GROUP_PREFIX = "group:"


class Nodes(Protocol):
    """What a selection is made from: a configuration."""

    @property
    def path(self) -> Path:
        """The file that defines them."""

    @property
    def nodes(self) -> Mapping[str, Node]:
        """All nodes, by name."""

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the nodes of each group."""

    @property
    def default_nodeset(self) -> str | None:
        """The selection where none is made, `none` for one that has to be made; None for all nodes."""


def select(config: Nodes, expression: str | None, *, origin: str = "--hosts") -> list[Node]:
    """The nodes that an expression names, in the order of the configuration.

    Terms are joined by commas; a term is a node, a range (`node[1-3]`), a wildcard (`node*`), a group (`group:batch`,
    `@batch` or `batch`), `all`, or terms combined with ClusterShell's operators `!` (but not), `&` (and) and `^`
    (xor). Without an expression it is the default node set, or else every node that is not ignored; ignored nodes take
    part only where they are named themselves. `origin` is where the expression comes from, for messages. Raises
    SelectionError, naming the term, for what does not exist and for what matches nothing.
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


def terms(expression: str) -> list[str]:
    """The parts of an expression between commas; a comma in a bracketed range is part of its term."""
    return [term.strip() for term in _UNION.split(expression)]


@dataclass
class _Selection:
    config: Nodes
    origin: str
    active: set[str]

    def term(self, term: str) -> set[str]:
        """The names of the nodes that one term stands for."""
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
            found = self._found(term, text)
        except NodeSetException as error:
            raise self._error(f"{term!r} is not a node selection: {error}") from error
        chosen = found if by_name else found & self.active
        if not chosen:
            reason = "only ignored nodes" if found else "no node"
            raise self._error(f"'{term.removeprefix(_GROUP_PREFIX)}' matches {reason} of {self.config.path}")
        return chosen

    def _found(self, term: str, text: str) -> set[str]:
        groups = {name: ",".join(nodes) for name, nodes in self.config.groups.items()}
        resolver = GroupResolver(default_source=GroupSource("synctool", groups, ",".join(self.config.nodes)))
        found = set(NodeSet(text, resolver=resolver))
        for operand in _OPERAND.findall(text):  # also what is taken away must be there
            unknown = sorted(set(NodeSet(operand, resolver=resolver)) - set(self.config.nodes))
            if unknown:
                where = "" if unknown[0] == term else f" in {term!r}"
                raise self._error(f"no such node or group '{unknown[0]}'{where}{self._hint(unknown[0])}")
        return found

    def _names_nodes(self, operand: str) -> bool:
        """Whether an operand names nodes one by one, rather than a group or a pattern."""
        return (
            not operand.startswith(("@", _GROUP_PREFIX))
            and not re.search(r"[*?]", operand)
            and operand not in self.config.groups
        )

    def _group_syntax(self, operand: str) -> str:
        """An operand in ClusterShell's syntax. Raises SelectionError for a group that is not there."""
        group = operand.removeprefix(_GROUP_PREFIX).removeprefix("@")
        if group in self.config.groups:
            return f"@{group}"
        if group == NONE:
            raise self._error("group 'none' has no nodes: it is for what no node gets")
        if group == operand:
            return operand
        if group in self.config.nodes:  # a node's name is a group of its own
            return group
        raise self._error(f"no such group '{group}'{self._hint(group)}")

    def _error(self, reason: str) -> SelectionError:
        return SelectionError(f"{self.origin}: {reason}")

    def _hint(self, word: str) -> str:
        return nearest(word, [*self.config.groups, *self.config.nodes]) or f", see {self.config.path}"
