"""Many tests in one process, with nodes that cost nothing: what the tests themselves take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_synctool import config
from pytest_synctool.repository.resolution import load

from tests_meta.bench import project
from tests_meta.bench.measure import MEGABYTE, Aim, Benchmark, Sample, Sizes
from tests_meta.bench.project import PROJECT
from tests_meta.bench.simulated_nodes import CLUSH, CLUSH_NOTE, ENTRIES, SimulatedNodes, simulated_nodes

PLAIN: Final = "plain test functions"

_PLAIN_TESTS: Final = '''\
"""One test per (node, path), written by hand."""
import pytest

NODES = {nodes!r}
EXPECTED = {expected!r}
ACTUAL = dict.fromkeys(NODES, {expected!r})

@pytest.mark.parametrize("path", EXPECTED)
@pytest.mark.parametrize("node", NODES)
def test_path(node, path):
    expected = EXPECTED[path]
    actual = ACTUAL[node][path]
    assert expected == actual
'''


@dataclass(frozen=True, slots=True)
class ManyTests:
    """The same tests twice: as a masterdir with prepared answers, and as a test file in a directory of its own."""

    simulated: SimulatedNodes
    plain: Path


@contextmanager
def many_tests(directory: Path, sizes: Sizes) -> Iterator[ManyTests]:
    """An arena of `sizes.tests` tests, on nodes with ENTRIES entries each."""
    simulated = simulated_nodes(directory, sizes.tests // ENTRIES)
    plain = directory / "plain"
    plain.mkdir()
    found = config.load(simulated.conf)
    repository, nodes = load(found), list(found.nodes)
    expected = {}
    for entry in repository.entries(found.nodes[nodes[0]]):
        state = entry.expected
        expected[entry.destination.decode()] = (state.kind.value, state.mode, state.size, state.owner, state.md5)
    (plain / "test_plain.py").write_text(_PLAIN_TESTS.format(nodes=nodes, expected=expected))
    yield ManyTests(simulated, plain)


def synctool(arena: ManyTests) -> Sample:
    """This project, one process, nodes that answer at once."""
    finished = arena.simulated.audit()
    return Sample(finished.seconds, finished.peak)


def clush(simulated: SimulatedNodes) -> Sample:
    """The floor: the same answers, printed."""
    finished = simulated.clush()
    return Sample(finished.seconds, finished.peak)


def plain_functions(arena: ManyTests) -> Sample:
    """pytest alone, one parametrized function; no installed plugin is loaded, which is to its advantage."""
    finished = project.pytest(
        arena.plain, "test_plain.py", tests=arena.simulated.tests, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    )
    return Sample(finished.seconds, finished.peak)


DRIFTED: Final = f"{PROJECT}, a tenth drifted"
IN_SYNC: Final = f"{PROJECT}, all in sync"
_SHOWN: Final = "--verbosity=0"  # in the place of -q, which tells all in a line


@contextmanager
def drifted_nodes(directory: Path, sizes: Sizes) -> Iterator[tuple[SimulatedNodes, SimulatedNodes]]:
    """The same nodes twice: in sync, and with a tenth of their entries drifted."""
    found = []
    for name, drifted in (("in-sync", 0), ("drifted", ENTRIES // 10)):
        (directory / name).mkdir()
        found.append(simulated_nodes(directory / name, sizes.tests // ENTRIES, drifted=drifted))
    yield found[0], found[1]


def _audit(simulated: SimulatedNodes) -> Sample:
    finished = simulated.audit(_SHOWN)
    return Sample(finished.seconds, finished.peak)


DRIFT: Final = Benchmark(
    name="drift",
    title=lambda sizes: f"{sizes.tests:,} tests in one process, of which {sizes.tests // 10:,} fail",
    arena=drifted_nodes,
    competitors={
        CLUSH: lambda arena: clush(arena[1]),
        IN_SYNC: lambda arena: _audit(arena[0]),
        DRIFTED: lambda arena: _audit(arena[1]),
    },
    baseline=IN_SYNC,
    rounds=3,
    aims=(
        Aim(
            "at most 2 s for failures, their summary and all reports of them",
            2.0,
            lambda medians: medians[DRIFTED].seconds - medians[IN_SYNC].seconds,
        ),
    ),
    notes=(
        "`pytest --pyargs synctool_checks --synctool-conf=... --hosts=all --junitxml=...`, with the summary, the "
        "history, drift.json, drift.html and the other reports. Ten of the hundred files of every node have a wrong "
        "mode.",
        CLUSH_NOTE,
    ),
)

BENCHMARK: Final = Benchmark(
    name="scale",
    title=lambda sizes: f"{sizes.tests:,} tests in one process, {sizes.tests // ENTRIES:,} nodes x {ENTRIES} entries",
    arena=many_tests,
    competitors={CLUSH: lambda arena: clush(arena.simulated), PLAIN: plain_functions, PROJECT: synctool},
    baseline=PLAIN,
    rounds=3,
    aims=(
        Aim(
            f"at most a sixth of the wall time of {PLAIN}",
            1 / 6,
            lambda medians: medians[PROJECT].seconds / medians[PLAIN].seconds,
        ),
        Aim(
            "a peak of at most 350 MB, which at 100,000 tests is 3.5 KB a test with all that the process needs besides",
            350,
            lambda medians: (medians[PROJECT].peak or 0) / MEGABYTE,
        ),
    ),
    notes=(
        f"{PROJECT}: `pytest --pyargs synctool_checks --synctool-conf=... --hosts=all -q --junitxml=...`; a "
        "file with the answer of the probe replaces the connection to a node. The answer is parsed and compared.",
        f"{PLAIN}: `pytest -q --junitxml=...` on one function, parametrized over nodes and paths, with the body "
        "`assert expected == actual`. It uses no fixtures and loads no installed plugins.",
        CLUSH_NOTE,
        "All times include the start of the interpreter, the collection and the JUnit report.",
    ),
)
