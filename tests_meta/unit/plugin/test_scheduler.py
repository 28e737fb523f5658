"""NodeShares with fake workers: the nodes that each worker gets, also after crashes."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from execnet.gateway_base import RemoteError
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.plugin.xdist.scheduler import NodeShares, shares
from pytest_synctool.plugin.xdist.workers import Workers
from xdist.remote import Producer


class Worker:
    """A worker as the scheduler sees it."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name, spec=SimpleNamespace(ssh=None))
        self.got: list[int] = []
        self.shutting_down = self.gone = False

    def send_runtest_some(self, numbers: Sequence[int]) -> None:
        if self.gone:
            raise OSError("cannot send (already closed?)")
        assert not self.shutting_down
        self.got += numbers

    def shutdown(self) -> None:
        self.shutting_down = True


class Run:
    """The controller of a run of `nodes` nodes on `workers` workers, with at most `restarts` replacements."""

    def __init__(self, nodes: int, workers: int, restarts: int | None) -> None:
        self.ids = [f"test_overlay.py::node{number}" for number in range(nodes)]
        option = SimpleNamespace(maxworkerrestart=restarts, numprocesses=None, dist="load")
        values = {"tx": ["popen"] * workers, "maxschedchunk": None, "dist": "load"}
        config: Any = SimpleNamespace(option=option, getvalue=values.get, getoption=values.get, hook=None)
        self.workers = Workers(SimpleNamespace(config=config, shouldfail=False, shouldstop=False))  # type: ignore[arg-type]
        scheduler = self.workers.pytest_xdist_make_scheduler(config, Producer("test", enabled=False))
        assert scheduler is not None
        self.scheduler: NodeShares = scheduler
        self.all: list[Worker] = []
        for _ in range(workers):
            self.ready(self.start())

    def start(self) -> Worker:
        """Start a worker. It has not collected yet."""
        self.all.append(Worker(f"gw{len(self.all)}"))
        self.scheduler.add_node(self.all[-1])
        return self.all[-1]

    def ready(self, worker: Worker, ids: Sequence[str] | None = None) -> None:
        """Let a worker report that it has collected `ids`, or the ids of the run."""
        self.scheduler.add_node_collection(worker, self.ids if ids is None else ids)
        if self.scheduler.collection_is_completed:
            self.scheduler.schedule()

    def crash(self, worker: Worker) -> str | None:
        """Crash a worker. Return the id of the item that xdist then reports as crashed."""
        worker.shutting_down = True
        self.workers.pytest_testnodedown(worker, "Not properly terminated")
        return self.scheduler.remove_node(worker)

    def finish(self, worker: Worker, *numbers: int) -> None:
        """Let a worker report the results of these nodes."""
        for number in numbers:
            self.scheduler.mark_test_complete(worker, number)


def test_shares_are_equal_and_nobody_is_told_that_it_is_all() -> None:
    run = Run(7, 3, None)
    assert [worker.got for worker in run.all] == [[0, 1, 2], [3, 4], [5, 6]]
    assert not any(worker.shutting_down for worker in run.all)
    assert not run.scheduler.tests_finished


def test_a_single_node_is_begun_at_once() -> None:
    run = Run(3, 4, None)
    assert [worker.got for worker in run.all] == [[0], [1], [2], []]
    assert [worker.shutting_down for worker in run.all] == [True, True, True, False]
    assert run.scheduler.tests_finished


@pytest.mark.parametrize("restarts", [None, 1])
def test_a_replacement_gets_what_is_left(restarts: int | None) -> None:
    run = Run(8, 2, restarts)
    run.finish(run.all[1], 4)
    assert run.crash(run.all[1]) == run.ids[5]
    assert run.all[0].got == [0, 1, 2, 3]
    assert not run.scheduler.tests_finished
    run.finish(run.all[0], 0, 1)
    run.ready(run.start())
    assert run.all[2].got == [6, 7]
    assert run.scheduler.left == [run.ids[n] for n in (2, 3, 6, 7)]


def test_without_a_replacement_the_others_share_evenly() -> None:
    """A worker with less to do gets more."""
    run = Run(12, 3, 0)
    run.finish(run.all[0], 0, 1, 2)
    assert run.crash(run.all[2]) == run.ids[8]
    assert run.all[0].got == [0, 1, 2, 3, 9, 10, 11]
    assert run.all[1].got == [4, 5, 6, 7]


def test_a_replacement_that_crashes_as_well() -> None:
    """The next replacement gets everything, even if the first crashed before it collected; at last the other worker."""
    run = Run(8, 2, 2)
    run.crash(run.all[1])
    run.crash(run.start())
    assert run.all[0].got == [0, 1, 2, 3]
    run.crash(run.start())
    assert run.all[0].got == [0, 1, 2, 3, 5, 6, 7]
    run.finish(run.all[0], *run.all[0].got)
    assert (run.scheduler.left, run.scheduler.tests_finished) == ([], True)


def test_one_that_crashes_before_it_is_known() -> None:
    """xdist does not ask the scheduler for its tests then."""
    run = Run(8, 2, 1)
    run.crash(run.all[1])
    run.workers.pytest_testnodedown(Worker("gw2"), "Not properly terminated")
    assert run.all[0].got == [0, 1, 2, 3, 5, 6, 7]


def test_two_that_crash_at_the_same_time() -> None:
    """The scheduler does not know of the second crash yet when it deals out the nodes of the first worker."""
    run = Run(9, 3, 0)
    run.all[1].gone = True
    assert run.crash(run.all[0]) == run.ids[0]
    assert run.crash(run.all[1]) == run.ids[3]
    assert sorted(run.all[2].got) == [1, 2, 4, 5, 6, 7, 8]


def test_nobody_is_left() -> None:
    """The scheduler knows the remaining nodes, and the run ends."""
    run = Run(8, 2, 0)
    run.crash(run.all[0])
    run.finish(run.all[1], 4)
    run.crash(run.all[1])
    assert run.scheduler.left == [run.ids[n] for n in (1, 2, 3, 6, 7)]
    assert run.scheduler.tests_finished


def test_a_replacement_that_has_other_tests_gets_none() -> None:
    """The numbers of items would mean other nodes to it."""
    run = Run(8, 2, 1)
    run.crash(run.all[1])
    run.ready(run.start(), run.ids[1:])
    assert run.all[2].got == []
    assert run.all[2].shutting_down
    assert run.all[0].got == [0, 1, 2, 3, 5, 6, 7]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("_pytest.config.exceptions.UsageError: one\ntwo\n", "one\ntwo"),
        ("pytest.UsageError: one\n", "one"),
        ("ValueError: x\n", "ValueError: x"),
        (
            "ModuleNotFoundError: No module named 'pluggy'\n",
            "ModuleNotFoundError: No module named 'pluggy'; pytest-synctool has to be installed for its Python",
        ),
    ],
)
def test_a_worker_that_cannot_begin_ends_the_run_with_its_reason(text: str, reason: str) -> None:
    """A worker that fails after all have collected is a crash like any other."""
    run = Run(8, 2, 0)
    run.workers.pytest_xdist_node_collection_finished()
    error = RemoteError(f"Traceback (most recent call last):\n  File ...\n{text}")
    with pytest.raises(pytest.UsageError) as caught:
        run.workers.pytest_testnodedown(Worker("gw9"), error)
    assert str(caught.value) == f"worker gw9 cannot begin: {reason}"
    run.workers.pytest_xdist_node_collection_finished()
    run.workers.pytest_testnodedown(Worker("gw9"), error)


@given(st.lists(st.integers(0, 50), max_size=6), st.integers(0, 60))
def test_shares(loads: list[int], number: int) -> None:
    """All nodes are dealt out. A worker that gets some ends up with at most one node more than any other."""
    counts = shares(loads, number)
    assert len(counts) == len(loads)
    if loads:
        assert sum(counts) == number
        after = [load + share for load, share in zip(loads, counts, strict=True)]
        assert all(not share or total <= min(after) + 1 for share, total in zip(counts, after, strict=True))
