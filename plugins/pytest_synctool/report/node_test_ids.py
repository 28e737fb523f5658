"""The tests of one node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_synctool.common.wording import printable
from pytest_synctool.report.nodeids import decode


@dataclass(frozen=True, slots=True)
class Whole:
    """One test for all entries of a node under one check: its node id, and the number of entries (1 or more)."""

    nodeid: str
    checks: int


@dataclass(frozen=True, slots=True)
class NodeTests:
    """The tests of one node: the node ids of its entries in order, and the node id of the node itself.

    With --granularity=node, `whole` are the tests; together they stand for the entries in `ids`, in this order.
    `left_out` has the last parts of the node ids of tests that were collected and not selected, if the run needs them.
    """

    node: str
    nodeid: str
    ids: Sequence[str]
    whole: Sequence[Whole] = ()
    left_out: frozenset[str] = frozenset()

    @property
    def tests(self) -> Sequence[str]:
        """The node ids of the tests that pytest reports."""
        return [test.nodeid for test in self.whole] if self.whole else self.ids


def shown_destination(nodeid: str) -> str:
    """Return the destination in a node id, printable."""
    return printable(decode(nodeid.rpartition("::")[2]))
