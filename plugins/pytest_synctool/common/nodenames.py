"""Names of nodes: folding and unfolding of ranges, and natural order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

from pytest_synctool.errors import SelectionError

MOST_NODES: Final = 100_000  # ClusterShell holds all names in memory, and takes seconds for the algebra of so many

_OPERAND: Final = re.compile(r"(?:\[[^\]]*\]|[^,&!^\[])+")
_BRACKETS: Final = re.compile(r"\[([^\]]*)\]")
_PART: Final = re.compile(r"\s*([0-9]{1,18})(?:-([0-9]{1,18}))?(?:/([0-9]{1,18}))?\s*")
_LONG_NUMBER: Final = re.compile(r"\d{256}")  # Python refuses to read numbers of some thousand digits
_NUMBER: Final = re.compile(r"(\d+)")


def fold(names: Iterable[str]) -> str:
    """Return node names as a node set, `node[1-3],web1`."""
    listed = list(names)
    return listed[0] if len(listed) == 1 else str(NodeSet.fromlist(listed))


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


def range_problem(text: str) -> str | None:
    """Return a message if a node set has an invalid range, or if its ranges stand for too many names, else None.

    Nothing is expanded. The limit is for all ranges of the node set together, whatever operators are between them.
    """
    if _LONG_NUMBER.search(text):
        return f"'{text[:40]}...' has a number of more than 255 digits"
    total = 0
    for operand in _OPERAND.findall(text):
        ranges = _BRACKETS.findall(operand)
        count = 1 if ranges else 0
        for part in ranges:
            length = range_length(part)
            if length is None:
                return f"'{part[:40]}' in '{operand[:40]}' is not a range, expected one like [001-100] or [1-3,7]"
            count *= length
        total += count
    if total > MOST_NODES:
        return f"'{text[:80]}' stands for more than {MOST_NODES:,} names"
    return None


def range_length(text: str) -> int | None:
    """Return how many numbers the text between the brackets of a range has, `1-3,7/2`, or None if it is no range.

    Numbers that appear twice count twice.
    """
    length = 0
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return None
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        length += max(last - first, 0) // max(step, 1) + 1
    return length


def natural(name: str) -> list[str | int]:
    """Return a sort key that puts node2 before node10."""
    return [int(part) if part.isdigit() else part for part in _NUMBER.split(name)]
