"""The options that select nodes, and the nodes that they select."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pytest_synctool.cli.shared_options import add_repeatable
from pytest_synctool.errors import SelectionError

if TYPE_CHECKING:
    from pytest_synctool.config import Config
    from pytest_synctool.model import Node


def add_selection(parser: ArgumentParser) -> None:
    """Add the options that selected_nodes() reads."""
    group = parser.add_argument_group(
        "nodes",
        "LIST is separated by commas and may contain ranges like node[1-3]. The options can be repeated. An exclusion "
        "wins over an inclusion. An ignored node takes part only if -n names it.",
    )
    add_repeatable(
        group,
        ("-n", "--node", "select these nodes"),
        ("-g", "--group", "select the nodes of these groups"),
        ("-x", "--exclude", "exclude these nodes"),
        ("-X", "--exclude-group", "exclude the nodes of these groups"),
    )


def selected_nodes(config: Config, arguments: Namespace, *, default: Iterable[Node] | None = None) -> list[Node]:
    """Return the nodes that a command line selects, in the order of the configuration.

    A command line without inclusions selects `default`, or the nodes that the configuration selects if it is None.
    Raise SelectionError, naming the option, for an unknown name and if no node is left.
    """
    from pytest_synctool.config.selection import select

    included: set[str] = set()
    if arguments.node:
        included |= _names(select(config, ",".join(arguments.node), origin="-n"))
    for group in group_names(arguments.group, "-g"):
        included |= _names(select(config, f"group:{group}", origin="-g"))
    if not arguments.node and not arguments.group:
        included = _names(select(config, None, origin="-n") if default is None else default)
    left = included - _excluded(config, arguments)
    if not left:
        raise SelectionError(f"{'-x' if arguments.exclude else '-X'}: no node is left")
    return [node for name, node in config.nodes.items() if name in left]


def _excluded(config: Config, arguments: Namespace) -> set[str]:
    """Return the names of excluded nodes. Groups and patterns also exclude ignored nodes, which -n may have named."""
    if not arguments.exclude and not arguments.exclude_group:
        return set()
    from dataclasses import replace

    from pytest_synctool.config.selection import NONE, select

    none_ignored = {name: replace(node, ignored=False) for name, node in config.nodes.items()}
    everyone = replace(config, nodes=none_ignored)
    excluded: set[str] = set()
    if arguments.exclude:
        excluded |= _names(select(everyone, ",".join(arguments.exclude), origin="-x"))
    for group in group_names(arguments.exclude_group, "-X"):
        if group != NONE and config.groups.get(group) != ():  # excluding an empty group is no mistake
            excluded |= _names(select(everyone, f"group:{group}", origin="-X"))
    return excluded


def group_names(lists: Sequence[str], origin: str) -> list[str]:
    """Return the names in lists of groups, with ranges expanded. Raise SelectionError, beginning with `origin`."""
    if not lists:
        return []
    from pytest_synctool.config.ranges import RangeError, expand
    from pytest_synctool.config.selection import terms

    names: list[str] = []
    for term in terms(",".join(lists)):
        try:
            names += expand(term) if "[" in term else [term]
        except RangeError as error:
            raise SelectionError(f"{origin}: {error}") from error
    return names


def _names(nodes: Iterable[Node]) -> set[str]:
    return {node.name for node in nodes}
