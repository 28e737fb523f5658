"""Names of nodes: folding and unfolding of ranges, and natural order."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

from pytest_synctool.errors import SelectionError

_RANGE = re.compile(r"(\d+)-(\d+)")
_LONGEST_RANGE = 1_000_000  # unfold() holds all names in memory
_NUMBER = re.compile(r"(\d+)")


def fold(names: Iterable[str]) -> str:
    """Return node names as a node set, `node[1-3],web1`."""
    return str(NodeSet.fromlist(list(names)))


def unfold(text: str, *, origin: str) -> list[str]:
    """Return the names in a node set. No configuration is needed.

    Raises SelectionError if the text is not a node set; the message begins with `origin`.
    """
    if (problem := range_problem(text)) is not None:
        raise SelectionError(f"{origin}: {problem}")
    try:
        return list(NodeSet(text, resolver=RESOLVER_NOGROUP))
    except NodeSetException as error:
        raise SelectionError(f"{origin}: {text!r} is not a node set: {error}") from error


def range_problem(term: str) -> str | None:
    """Return a message if a range has too many nodes, else None."""
    if any(int(last) - int(first) > _LONGEST_RANGE for first, last in _RANGE.findall(term)):
        return f"{term!r}: a range of more than {_LONGEST_RANGE:,} nodes"
    return None


def natural(name: str) -> list[str | int]:
    """Return a sort key that puts node2 before node10."""
    return [int(part) if part.isdigit() else part for part in _NUMBER.split(name)]
