"""Selection of nodes: names, ranges, groups and set algebra, on ClusterShell's NodeSet."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from ClusterShell.NodeSet import NodeSet, NodeSetException
from ClusterShell.NodeUtils import GroupResolver, GroupSource

from pytest_synctool.config import Config
from pytest_synctool.errors import SelectionError
from pytest_synctool.model import Node

# One operand of the set algebra: everything up to an operator, with bracketed ranges kept whole.
_OPERAND = re.compile(r"(?:\[[^\]]*\]|[^,&!^\[])+")
_UNION = re.compile(r",(?![^\[]*\])")
_RANGE = re.compile(r"(\d+)-(\d+)")
_LONGEST_RANGE = 1_000_000  # ranges are unfolded in memory
_GROUP_PREFIX = "group:"


def select(config: Config, expression: str | None) -> list[Node]:
    """The nodes that an expression names, in the order of the configuration.

    Terms are joined by commas; a term is a node, a range (`node[1-3]`), a wildcard (`node*`), a group (`group:batch`,
    `@batch` or `batch`), `all`, or terms combined with ClusterShell's operators `!` (but not), `&` (and) and `^`
    (xor). Without an expression it is every node that is not ignored; ignored nodes take part only where they are
    named themselves. Raises SelectionError, naming the term, for what does not exist and for what matches nothing.
    """
    active = [node for node in config.nodes.values() if not node.ignored]
    if expression is None:
        if not active:
            raise SelectionError(f"{config.path}: every node is ignored, nothing to do")
        return active
    chosen: set[str] = set()
    for term in terms(expression):
        chosen |= _term(config, term, {node.name for node in active})
    return [node for name, node in config.nodes.items() if name in chosen]


def terms(expression: str) -> list[str]:
    """The parts of an expression between commas; a comma in a bracketed range is part of its term."""
    return [term.strip() for term in _UNION.split(expression)]


def _term(config: Config, term: str, active: set[str]) -> set[str]:
    term = "".join(term.split())
    if any(int(last) - int(first) > _LONGEST_RANGE for first, last in _RANGE.findall(term)):
        raise SelectionError(f"--hosts: {term!r}: a range of more than {_LONGEST_RANGE:,} nodes")
    if not term:
        raise SelectionError("--hosts: an empty term; expected a node, a range or a group between the commas")
    by_name = not term.startswith("!") and all(_names_nodes(config, operand) for operand in _OPERAND.findall(term))
    text = _OPERAND.sub(lambda match: _group_syntax(config, match[0]), term)
    if text.startswith("!"):
        text = "@all" + text
    groups = {name: ",".join(nodes) for name, nodes in config.groups.items()}
    source = GroupSource("synctool", groups, ",".join(config.nodes))
    try:
        resolver = GroupResolver(default_source=source)
        found = set(NodeSet(text, resolver=resolver))
        for operand in _OPERAND.findall(text):  # also what is taken away must be there
            unknown = sorted(set(NodeSet(operand, resolver=resolver)) - set(config.nodes))
            if unknown:
                where = "" if unknown[0] == term else f" in {term!r}"
                raise SelectionError(
                    f"--hosts: no such node or group {unknown[0]!r}{where}{_nearest(config, unknown[0])}"
                )
    except NodeSetException as error:
        raise SelectionError(f"--hosts: {term!r} is not a node selection: {error}") from error
    chosen = found if by_name else found & active
    if not chosen:
        reason = "only ignored nodes" if found else "no node"
        raise SelectionError(f"--hosts: {term!r} matches {reason} of {config.path}")
    return chosen


def _names_nodes(config: Config, operand: str) -> bool:
    """Whether an operand names nodes one by one, rather than a group or a pattern."""
    return (
        not operand.startswith(("@", _GROUP_PREFIX))
        and not re.search(r"[*?]", operand)
        and operand not in config.groups
    )


def _group_syntax(config: Config, operand: str) -> str:
    """An operand in ClusterShell's syntax. Raises SelectionError for a group that is not there."""
    group = operand.removeprefix(_GROUP_PREFIX).removeprefix("@")
    if group in config.groups:
        return f"@{group}"
    if group == operand:
        return operand
    if group in config.nodes:  # a node's name is a group of its own
        return group
    raise SelectionError(f"--hosts: no such group {group!r}{_nearest(config, group)}")


def _nearest(config: Config, word: str) -> str:
    close = difflib.get_close_matches(word, [*config.groups, *config.nodes], 1)
    return f" (did you mean {close[0]!r}?)" if close else f", see {config.path}"


def fold(names: Iterable[str]) -> str:
    """Node names in short form, `node[1-3],web1`."""
    return str(NodeSet.fromlist(list(names)))
