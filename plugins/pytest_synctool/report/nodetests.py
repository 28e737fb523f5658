"""The tests of a node, and how they are named to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_synctool.model import printable
from pytest_synctool.nodeids import decode


@dataclass(frozen=True, slots=True)
class NodeTests:
    """The tests of one node: their node ids in order, and the node id of the node itself."""

    node: str
    nodeid: str
    ids: Sequence[str]


def reason(node: str, error: str) -> str:
    """The error of a node without the node's name before it."""
    return error.removeprefix(node).lstrip(": ")


def shown_destination(nodeid: str) -> str:
    """The destination in a node id, as it is shown to people."""
    return printable(decode(nodeid.rpartition("::")[2]))
