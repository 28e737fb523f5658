"""Equal output of many nodes, printed once: texts of nodes, grouped under folded node sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final

from ClusterShell.MsgTree import MsgTree

from pytest_synctool.common.console import LineFilter, unchanged
from pytest_synctool.common.nodenames import fold, natural, unfold
from pytest_synctool.errors import AnswerTooLong, SelectionError

_NAME: Final = rb"[A-Za-z0-9_](?:[A-Za-z0-9_.+-]|\[[0-9,/-]+\])*"
_ADDRESS: Final = rb"[0-9A-Fa-f]*:[0-9A-Fa-f:.]+"  # IPv6
_NODES: Final = re.compile(rb"%b(?:,%b)*|%b" % (_NAME, _NAME, _ADDRESS))
# `node1:text` without a blank. It is no URL, no time of the day and no IPv6 address.
_TIGHT: Final = re.compile(rb"(?![0-9]+:)(%b(?:,%b)*):(?![:/])" % (_NAME, _NAME))
# Bytes of memory. Lines that nodes share are counted for each.
MOST_OF_A_NODE: Final = 64 << 20
_LINE_COST: Final = 600  # beside its text
_MOST_KNOWN: Final = 10_000
_INDENT: Final = b"    "


class Aggregate:
    """The output of nodes, line by line. Nodes whose texts begin with the same lines share these lines in memory.

    A node may use MOST_OF_A_NODE bytes of memory, all nodes together `most`.
    """

    def __init__(self, most: int | None = None) -> None:
        self._tree = MsgTree()
        self._known: dict[bytes, tuple[str, ...]] = {}
        self._most, self._used = most, 0
        self._used_by: dict[str, int] = {}

    def add(self, node: str, line: bytes) -> None:
        """Add the next line of a node, without its newline. Raise AnswerTooLong if it does not fit; a line says so."""
        if self._fits((node,), line):
            self._add((node,), line)
            return
        reason = f"more than {MOST_OF_A_NODE >> 20} MiB to group, the rest is left out"
        if self._used_by[node] <= MOST_OF_A_NODE:
            self._used_by[node] = MOST_OF_A_NODE + 1
            self._tree.add(node, reason.encode())
        raise AnswerTooLong(reason)

    def feed(self, line: bytes) -> bool:
        """Add a line `node: text` or `node:text` without its newline, where a node set may replace the node.

        Return False, and add nothing, if the line has another form or does not fit.
        """
        prefix, separator, text = line.partition(b": ")
        if not separator and line.endswith(b":"):
            prefix = line[:-1]  # an empty line of the node
        nodes = self._nodes(prefix) if separator or line.endswith(b":") else ()
        if not nodes and (tight := _TIGHT.match(line)):
            nodes, text = self._nodes(tight[1]), line[tight.end() :]
        if not nodes or not self._fits(nodes, text):
            return False
        self._add(nodes, text)
        return True

    def _nodes(self, prefix: bytes) -> tuple[str, ...]:
        """Return the nodes of a node set, from memory if it is known."""
        nodes = self._known.get(prefix)
        if nodes is None:
            nodes = _nodes(prefix)
            if nodes:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[prefix] = nodes
        return nodes

    def _fits(self, nodes: Sequence[str], line: bytes) -> bool:
        cost = len(line) + _LINE_COST
        is_room = self._most is None or self._used + cost * len(nodes) <= self._most
        return is_room and all(self._used_by.get(node, 0) + cost <= MOST_OF_A_NODE for node in nodes)

    def _add(self, nodes: Sequence[str], line: bytes) -> None:
        self._used += (len(line) + _LINE_COST) * len(nodes)
        for node in nodes:
            self._used_by[node] = self._used_by.get(node, 0) + len(line) + _LINE_COST
            self._tree.add(node, line)

    def groups(self) -> list[tuple[list[str], Iterable[bytes]]]:
        """Return the nodes with equal texts, in natural order, and their lines; the largest group first."""
        groups = [(sorted(nodes, key=natural), lines) for lines, nodes in self._tree.walk()]
        return sorted(groups, key=lambda group: (-len(group[0]), natural(group[0][0])))

    def write(self, out: BinaryIO, filtered: LineFilter = unchanged, *, is_counted: bool = False) -> None:
        """Write every group: the node set, then its lines, filtered and indented.

        On a terminal, or with `is_counted`, the number of nodes follows the node set of several nodes.
        """
        is_counted = is_counted or out.isatty()
        for nodes, lines in self.groups():
            count = f" ({len(nodes)})" if is_counted and len(nodes) > 1 else ""
            out.write(filtered(f"{fold(nodes)}{count}:".encode()) + b"\n")
            out.writelines(_indented(map(filtered, lines)))


def _nodes(prefix: bytes) -> tuple[str, ...]:
    """Return the nodes of a node set, or nothing if the text before the colon is no node set."""
    if not _NODES.fullmatch(prefix):
        return ()
    try:
        return tuple(unfold(prefix.decode("ascii"), origin="input"))
    except SelectionError:
        return ()


def _indented(lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield _INDENT + line + b"\n" if line else b"\n"
