"""Resolving: a configuration and a masterdir are read, and every node's entries are found. No node, no pytest."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests_meta.bench.measure import MEGABYTE, Aim, BenchError, Benchmark, Sample, Sizes, run
from tests_meta.bench.project import PROJECT

NODES: Final = 1_000
SOURCES: Final = 1_000
_GROUPS: Final = 30
START: Final = "the same modules loaded, nothing read"
_IMPORTS: Final = (
    "import sys; from pathlib import Path; "
    "from pytest_synctool import config; from pytest_synctool.repository import resolution; "
)
_WORK: Final = (
    "found = config.load(Path(sys.argv[1])); of = resolution.load(found); "
    "print(sum(len(of.entries(node)) for node in found.nodes.values()))"
)


@contextmanager
def _masterdir(directory: Path, sizes: Sizes) -> Iterator[Path]:
    """Nodes in six of thirty groups each, no two alike; a third of the sources for all, the others for one group."""
    del sizes
    dice = random.Random(1)
    groups = [f"g{number}" for number in range(_GROUPS)]
    overlay = directory / "masterdir" / "overlay" / "etc"
    overlay.mkdir(parents=True)
    for number in range(SOURCES):
        extension = "all" if number % 3 == 0 else dice.choice(groups)
        (overlay / f"file{number // 3}._{extension}").touch()
    lines = [f"node n{number} {' '.join(dice.sample(groups, 6))}" for number in range(NODES)]
    conf = directory / "synctool.conf"
    conf.write_text("\n".join(("masterdir masterdir", *lines)) + "\n")
    yield conf


def _start(conf: Path) -> Sample:
    finished = run([sys.executable, "-c", _IMPORTS], conf.parent)
    return Sample(finished.seconds, finished.peak)


def _resolve(conf: Path) -> Sample:
    finished = run([sys.executable, "-c", _IMPORTS + _WORK, str(conf)], conf.parent)
    if int(finished.output) < NODES * SOURCES // 3:
        raise BenchError(f"expected were at least {NODES * SOURCES // 3} entries, found: {finished.output!r}")
    return Sample(finished.seconds, finished.peak)


BENCHMARK: Final = Benchmark(
    name="resolve",
    title=lambda sizes: f"Resolving {NODES:,} nodes x {SOURCES:,} sources",
    arena=_masterdir,
    competitors={START: _start, PROJECT: _resolve},
    baseline=START,
    rounds=5,
    warm_up=True,
    aims=(
        Aim("under 2 s", 2.0, lambda medians: medians[PROJECT].seconds),
        Aim("under 300 MB", 300, lambda medians: (medians[PROJECT].peak or 0) / MEGABYTE),
    ),
    notes=(
        "Every node is in six of thirty groups, and no two nodes are in the same six. A third of the sources is for "
        "all nodes, each of the others for one group. The run reads the configuration, walks the masterdir and "
        "determines the entries of all nodes. No node is contacted: there is nothing that clush or rsync could do.",
    ),
)
