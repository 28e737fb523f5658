"""Many nodes that take their time, and more tests than a run should have: what waiting and memory come to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pytest_synctool.config.model import DEFAULT_NUM_PROC

from tests_meta.bench.measure import MEGABYTE, Aim, Benchmark, Finished, Sample, Sizes, run
from tests_meta.bench.project import PROJECT
from tests_meta.bench.simulated_nodes import CLUSH, CLUSH_NOTE, ENTRIES, WHOLE_NODES, SimulatedNodes, simulated_nodes

NODES: Final = 1_000
MANY_NODES: Final = 10_000
DELAY: Final = 0.5  # seconds until a node answers
AT_ONCE: Final = DEFAULT_NUM_PROC
IDEAL: Final = "the waiting alone"
WORKERS: Final = f"{PROJECT} -n 2"
BY_NODE: Final = f"{PROJECT} --granularity=node"
_WAITING: Final = (
    "import sys, time; from concurrent.futures import ThreadPoolExecutor; "
    "nodes, at_once, delay = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]); "
    "list(ThreadPoolExecutor(at_once).map(time.sleep, [delay] * nodes))"
)


@contextmanager
def _slow_nodes(directory: Path, sizes: Sizes) -> Iterator[SimulatedNodes]:
    del sizes
    yield simulated_nodes(directory, NODES)


@contextmanager
def _many_nodes(directory: Path, sizes: Sizes) -> Iterator[SimulatedNodes]:
    del sizes
    yield simulated_nodes(directory, MANY_NODES)


def _sample(finished: Finished) -> Sample:
    return Sample(finished.seconds, finished.peak)


def waiting(arena: SimulatedNodes) -> Sample:
    """As many threads as nodes are asked at once, which do nothing but wait for them."""
    argv = [sys.executable, "-c", _WAITING, str(arena.nodes), str(AT_ONCE), str(DELAY)]
    return _sample(run(argv, arena.conf.parent))


SLOW: Final = Benchmark(
    name="simulated",
    title=lambda sizes: f"{NODES:,} nodes x {ENTRIES} entries, every node answers after {DELAY} s, {AT_ONCE} at once",
    arena=_slow_nodes,
    competitors={
        IDEAL: waiting,
        CLUSH: lambda arena: _sample(arena.clush(DELAY)),
        PROJECT: lambda arena: _sample(arena.audit(delay=DELAY)),
        WORKERS: lambda arena: _sample(arena.audit("-n2", delay=DELAY)),
    },
    baseline=IDEAL,
    rounds=3,
    aims=(
        Aim(f"at most 1.3 times {IDEAL}", 1.3, lambda medians: medians[PROJECT].seconds / medians[IDEAL].seconds),
        Aim(
            f"with -n 2, at most 1.3 times {IDEAL} in one process",
            1.3,
            lambda medians: medians[WORKERS].seconds / medians[IDEAL].seconds,
        ),
    ),
    notes=(
        f"{IDEAL}: {AT_ONCE} threads that share {NODES:,} waits of {DELAY} s. The connection of a simulated node "
        "waits as long and then returns the answer of the probe, which is parsed, compared and reported.",
        f"{WORKERS}: two processes of {AT_ONCE} threads, which wait for twice as many nodes at once.",
        f"{CLUSH_NOTE} Each process sleeps {DELAY} s before.",
    ),
)

MILLION: Final = Benchmark(
    name="million",
    title=lambda sizes: f"{MANY_NODES * ENTRIES:,} checks in one process, {MANY_NODES:,} nodes x {ENTRIES} entries",
    arena=_many_nodes,
    competitors={
        CLUSH: lambda arena: _sample(arena.clush()),
        BY_NODE: lambda arena: _sample(arena.audit(WHOLE_NODES)),
    },
    baseline=CLUSH,
    rounds=3,
    aims=(Aim("under 500 MB", 500, lambda medians: (medians[BY_NODE].peak or 0) / MEGABYTE),),
    notes=("One test for each node in the JUnit report. It compares every entry of the node.", CLUSH_NOTE),
)
