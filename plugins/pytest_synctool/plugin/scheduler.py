"""xdist: every worker gets a fixed share of the nodes at once, so that it can look ahead over all of it."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler.load import LoadScheduling


class NodeShares(LoadScheduling):  # type: ignore[misc]  # xdist is not typed
    """Deals all nodes out in equal shares. What a crashed worker leaves goes to the one that replaces it."""

    collection: list[str] | None  # node ids, known once all workers agree on them

    def schedule(self) -> None:
        """Hand out what is pending to workers that have nothing; nothing is ever taken back."""
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                return
            collection = next(iter(self.node2collection.values()))
            self.collection = collection
            self.pending[:] = range(len(collection))
        idle = [worker for worker in self.nodes if not self.node2pending[worker]]
        for remaining, worker in zip(range(len(idle), 0, -1), idle, strict=True):
            self._send_tests(worker, -(-len(self.pending) // remaining))
            worker.shutdown()  # ends when its share is done


class SchedulerPlugin:
    """Puts NodeShares in the place of xdist's default; a --dist chosen on purpose is left alone."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> NodeShares | None:
        """The scheduler of the run."""
        return NodeShares(config, log) if config.getvalue("dist") == "load" else None
