"""Names of nodes: ranges folded and unfolded, and their natural order."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

from pytest_synctool.errors import SelectionError

_RANGE = re.compile(r"(\d+)-(\d+)")
_LONGEST_RANGE = 1_000_000  # ranges are unfolded in memory
_NUMBER = re.compile(r"(\d+)")


def fold(names: Iterable[str]) -> str:
    """Node names in short form, `node[1-3],web1`."""
    return str(NodeSet.fromlist(list(names)))


def unfold(text: str, *, origin: str) -> list[str]:
    """The names that a node set in short form stands for, without looking at any configuration.

    Raises SelectionError, beginning with `origin`, for what is none.
    """
    if (problem := range_problem(text)) is not None:
        raise SelectionError(f"{origin}: {problem}")
    try:
        return list(NodeSet(text, resolver=RESOLVER_NOGROUP))
    except NodeSetException as error:
        raise SelectionError(f"{origin}: {text!r} is not a node set: {error}") from error


def range_problem(term: str) -> str | None:
    if any(int(last) - int(first) > _LONGEST_RANGE for first, last in _RANGE.findall(term)):
        return f"{term!r}: a range of more than {_LONGEST_RANGE:,} nodes"
    return None


def natural(name: str) -> list[str | int]:
    """A key that puts node2 before node10."""
    return [int(part) if part.isdigit() else part for part in _NUMBER.split(name)]
