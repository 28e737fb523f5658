"""The gain of `-n`: several processes work in parallel, but each has to start and read the masterdir.

All times of work are processor times, as each process measures its own: what else the machine does hardly changes them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from pytest_synctool.plugin.cluster import CLUSTER, TALLY
from pytest_synctool.plugin.invocation import changes_nodes
from pytest_synctool.plugin.node_items import NodeItem

WORKER_TIMES: Final = "synctool_times"  # in the `workeroutput` that a worker sends to the controller


@dataclass(frozen=True, slots=True)
class WorkerTimes:
    """Processor seconds of a worker: for its start with all that it reads, and for its nodes."""

    start: float
    work: float


@dataclass(frozen=True, slots=True)
class RunTimes:
    """Processor seconds of a run: those of its workers, and of the controller for the reports meanwhile.

    `processors` is the number of processors that all of them share.
    """

    workers: Sequence[WorkerTimes]
    reporting: float
    processors: int


TIMES = pytest.StashKey[RunTimes]()
"""The times of a run without crashes, on the controller."""


class ProcessorTimes:
    """A plugin of a worker that measures it. It measures nothing if the worker has other tests than those of nodes."""

    def __init__(self) -> None:
        self._start = time.process_time()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Measure the loop. The collection before it counts for nothing: one process collects too."""
        began = time.process_time()
        ended = yield
        if all(isinstance(item, NodeItem) for item in session.items):
            output: dict[str, object] = session.config.workeroutput  # type: ignore[attr-defined]  # xdist's
            output[WORKER_TIMES] = (self._start, time.process_time() - began)
        return ended


def most_saved(times: RunTimes, durations: Collection[float], at_once: int) -> float:
    """Return the seconds by which several processes can have been faster at most, their start left out.

    One process does the work of all workers and the reports in turn. Several take as long as the longest of these, and
    as long as all of it on all processors of this machine at once.
    If there are more nodes than a process contacts `at_once`, some wait for a place: half as long with twice the
    places, but for the last node, which no number of places makes faster. `durations` are those of the nodes.
    """
    shares = [*(worker.work for worker in times.workers), times.reporting]
    saved = sum(shares) - max(*shares, sum(shares) / times.processors)
    if len(durations) > at_once:
        saved += (1 - 1 / len(times.workers)) * sum(durations) / at_once + max(durations)
    return saved


def loss_note(config: pytest.Config) -> str | None:
    """Return the line of the summary for a run that `-n` has made slower; None if it may have been faster.

    A run with processes on other machines, with other tests, or with a crash has none.
    """
    times, number = config.stash.get(TIMES, None), getattr(config.option, "numprocesses", None)
    if times is None or not number or len(times.workers) != len(config.option.tx):
        return None
    # A repair with --maxfail works on one node at a time.
    at_once = 1 if changes_nodes(config) and config.option.maxfail else config.stash[CLUSTER].config.num_proc
    saved = most_saved(times, config.stash[TALLY].durations.values(), at_once)
    start = min(worker.start for worker in times.workers)
    if start <= saved:
        return None
    return (
        f"-n {len(times.workers)} made this run slower: a process needs {start:.2f} s to start, and saved at most "
        f"{saved:.2f} s here. Leave -n out"
    )
