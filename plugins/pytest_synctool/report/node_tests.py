"""The tests of a node, and how they are named to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_synctool.common.wording import printable
from pytest_synctool.report.nodeids import decode


@dataclass(frozen=True, slots=True)
class Whole:
    """A test that stands for all checks of a function on a node: its node id, and how many they are (1 or more)."""

    nodeid: str
    checks: int


@dataclass(frozen=True, slots=True)
class NodeTests:
    """The tests of one node: their node ids in order, and the node id of the node itself.

    With --granularity=node `ids` are those that tests of single entries would have, and `whole` are the tests, which
    stand for them in this order.
    """

    node: str
    nodeid: str
    ids: Sequence[str]
    whole: Sequence[Whole] = ()

    @property
    def tests(self) -> Sequence[str]:
        """The node ids of the tests as pytest knows them."""
        return [test.nodeid for test in self.whole] if self.whole else self.ids


def shown_destination(nodeid: str) -> str:
    """The destination in a node id, as it is shown to people."""
    return printable(decode(nodeid.rpartition("::")[2]))
