"""xdist: every worker gets a fixed share of the nodes at once, so that it can look ahead over all of it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from contextlib import suppress

import pytest
from xdist.remote import Producer
from xdist.scheduler.load import LoadScheduling
from xdist.workermanage import WorkerController


def shares(loads: Sequence[int], number: int) -> list[int]:
    """How many of `number` each worker gets, so that what all have to do is as even as it can be."""
    given = [0] * len(loads)
    if not loads:
        return given
    heap = [(load, position) for position, load in enumerate(loads)]
    heapq.heapify(heap)
    for _ in range(number):
        load, position = heap[0]
        given[position] += 1
        heapq.heapreplace(heap, (load + 1, position))
    return given


class NodeShares(LoadScheduling):  # type: ignore[misc]  # xdist is not typed
    """Deals all nodes out in equal shares.

    What a crashed worker leaves goes to the one that replaces it, or to those that are there if none does. So no worker
    is told that its share is all: it would end and could not take anything over. One whose share is a single node has
    to be told, since a worker begins a test only when it knows of the next, or that there is none.

    `awaited` is the number of replacements that are on their way, `ended` has the numbers of what has a result.
    """

    collection: list[str] | None  # node ids, known once all workers agree on them

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        self.awaited = 0
        self.ended: set[int] = set()

    @property
    def left(self) -> list[str]:
        """The ids of what has no result."""
        return [nodeid for number, nodeid in enumerate(self.collection or ()) if number not in self.ended]

    def schedule(self) -> None:
        """Hand out what is pending; nothing is ever taken back."""
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                return
            collection = next(iter(self.node2collection.values()))
            self.collection = collection
            self.pending[:] = range(len(collection))
        self.deal()

    def deal(self) -> None:
        """Hand out what is pending, unless a worker is on its way that shall have it; give it up if nobody can."""
        if not self.pending or self.awaited:
            return
        able = [w for w in self.node2collection if w in self.node2pending and not w.shutting_down]
        given = shares([len(self.node2pending[worker]) for worker in able], len(self.pending))
        for worker, number in zip(able, given, strict=True):
            with suppress(OSError):  # it has crashed as well, which will be heard of next
                self._send_tests(worker, number)
            if len(self.node2pending[worker]) == 1:
                worker.shutdown()
        self.pending.clear()

    def one_less(self) -> None:
        """A replacement is there, or will not come."""
        self.awaited = max(0, self.awaited - 1)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Take up a worker that is ready; one that is to replace another must have found the same tests."""
        is_replacement = self.collection_is_completed
        super().add_node_collection(node, collection)
        if is_replacement:
            self.one_less()
            if node not in self.node2collection:
                node.shutdown()

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Take note that a test has its result."""
        super().mark_test_complete(node, item_index, duration)
        self.ended.add(item_index)

    def check_schedule(self, node: WorkerController, duration: float = 0) -> None:
        """Hand out what is pending; a worker with nothing to do is kept."""
        del node, duration
        self.deal()

    def remove_node(self, node: WorkerController) -> str | None:
        """Take leave of a worker. Returns what it was at if it has crashed: that is an error, and not tried again."""
        if self.node2pending[node]:
            self.ended.add(self.node2pending[node][0])
        crashed: str | None = super().remove_node(node)
        self.deal()  # also where no other worker is left to be asked
        return crashed
