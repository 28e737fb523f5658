"""Batches of a repair: the nodes that are repaired together, and the rule that stops the next batch. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pytest_synctool.common.wording import nodes_in_words

_SIZE = re.compile(r"([1-9][0-9]{0,8})(%?)")


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a batch: a number of nodes, or a percentage of all."""

    number: int
    percent: bool = False

    def of(self, total: int) -> int:
        """Return the number of nodes, at least 1; a percentage is rounded down."""
        return max(1, total * self.number // 100) if self.percent else self.number


def size(text: str) -> Size:
    """Parse a size as --batch takes it: `10` or `25%`. Raises ValueError with the expected form."""
    match = _SIZE.fullmatch(text)
    if match is None or (match[2] and int(match[1]) > 100):
        raise ValueError(f"expected a number of nodes from 1, or a percentage from 1% to 100%, not {text!r}")
    return Size(int(match[1]), bool(match[2]))


def split(nodes: Sequence[str], number: int) -> list[Sequence[str]]:
    """Split nodes, in their order, into batches of `number` (1 or more); the last one may be smaller."""
    return [nodes[start : start + number] for start in range(0, len(nodes), number)]


@dataclass
class Batches:
    """The batches of a run and the results of their nodes. `allowed` nodes may fail in all; one more stops the run.

    A node of an earlier batch counts as failed unless ended() has reported it as well.
    """

    batches: Sequence[Sequence[str]]
    allowed: int = 0
    _well: set[str] = field(default_factory=set)
    _stopped: str | None = None

    def __post_init__(self) -> None:
        self._number = {node: number for number, nodes in enumerate(self.batches) for node in nodes}

    def together(self, node: str, other: str) -> bool:
        """Return True if two nodes are in the same batch."""
        return self._number[node] == self._number[other]

    def ended(self, node: str, *, well: bool) -> None:
        """Record the end of a node's repair."""
        if well:
            self._well.add(node)

    def refusal(self, node: str) -> str | None:
        """Return the reason why the batch of a node may not begin, or None.

        After one refusal no later batch begins either.
        """
        number = self._number[node]
        if self._stopped is None and number:
            before = self.batches[:number]
            failed = self._failed(node for nodes in before for node in nodes)
            if failed > self.allowed:
                self._stopped = self._reason(before, failed)
        return self._stopped if number else None

    def _failed(self, nodes: Iterable[str]) -> int:
        return sum(node not in self._well for node in nodes)

    def _reason(self, before: Sequence[Sequence[str]], failed: int) -> str:
        if not self.allowed:
            return f"not begun: {failed} of {nodes_in_words(len(before[-1]))} failed in the batch before"
        total = nodes_in_words(sum(len(nodes) for nodes in before))
        return f"not begun: {failed} of {total} failed in the batches before, and --max-fail-nodes is {self.allowed}"
