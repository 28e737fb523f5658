"""The scheduler for xdist: every worker gets a fixed share of the nodes at once, so that it can look ahead."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from contextlib import suppress

import pytest
from xdist.remote import Producer
from xdist.scheduler.load import LoadScheduling
from xdist.workermanage import WorkerController


def shares(loads: Sequence[int], number: int) -> list[int]:
    """Return how many of `number` new nodes each worker gets, so that all workers end up as equally loaded as possible.

    `loads` are the nodes that each worker already has.
    """
    counts = [0] * len(loads)
    if not loads:
        return counts
    heap = [(load, position) for position, load in enumerate(loads)]
    heapq.heapify(heap)
    for _ in range(number):
        load, position = heap[0]
        counts[position] += 1
        heapq.heapreplace(heap, (load + 1, position))
    return counts


class NodeShares(LoadScheduling):  # type: ignore[misc]  # xdist is not typed
    """A scheduler that deals all nodes out in equal shares.

    The remaining nodes of a crashed worker go to its replacement, or to the other workers if there is none. So workers
    are not told that their share is all: they would shut down, and could not take anything over. A worker with a single
    node is an exception: a worker starts a test only when it knows the next one, or knows that there is none.

    `awaited` is the number of replacements that are starting. `ended` has the numbers of the items with a result.
    """

    collection: list[str] | None  # node ids; None until all workers have collected the same

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        self.awaited = 0
        self.ended: set[int] = set()

    @property
    def left(self) -> list[str]:
        """Return the ids of the items without a result."""
        return [nodeid for number, nodeid in enumerate(self.collection or ()) if number not in self.ended]

    def schedule(self) -> None:
        """Deal out the pending items. Items are never taken back."""
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                return
            collection = next(iter(self.node2collection.values()))
            self.collection = collection
            self.pending[:] = range(len(collection))
        self.deal()

    def deal(self) -> None:
        """Deal out the pending items, unless a replacement that is to get them is starting.

        If no worker can take them they are dropped; `left` still has them.
        """
        if not self.pending or self.awaited:
            return
        able = [w for w in self.node2collection if w in self.node2pending and not w.shutting_down]
        counts = shares([len(self.node2pending[worker]) for worker in able], len(self.pending))
        for worker, number in zip(able, counts, strict=True):
            with suppress(OSError):  # this worker has crashed too; xdist reports that next
                self._send_tests(worker, number)
            if len(self.node2pending[worker]) == 1:
                worker.shutdown()
        self.pending.clear()

    def one_less(self) -> None:
        """Count down `awaited`: a replacement has collected, or has crashed before."""
        self.awaited = max(0, self.awaited - 1)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Add a worker that has collected. A replacement with another collection is shut down."""
        is_replacement = self.collection_is_completed
        super().add_node_collection(node, collection)
        if is_replacement:
            self.one_less()
            if node not in self.node2collection:
                node.shutdown()

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Take note of the result of an item."""
        super().mark_test_complete(node, item_index, duration)
        self.ended.add(item_index)

    def check_schedule(self, node: WorkerController, duration: float = 0) -> None:
        """Deal out the pending items. A worker without items is kept."""
        del node, duration
        self.deal()

    def remove_node(self, node: WorkerController) -> str | None:
        """Remove a worker. Return the item at which it crashed, if it did; that item is an error and not run again."""
        if self.node2pending[node]:
            self.ended.add(self.node2pending[node][0])
        crashed: str | None = super().remove_node(node)
        self.deal()  # xdist calls check_schedule() only if another worker is left
        return crashed
