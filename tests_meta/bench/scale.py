"""Many tests in one process, with nodes that cost nothing: what the tests themselves take."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_synctool import config, probe
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository import Entry, load

from tests_meta.bench import fake_nodes, masterdir, project
from tests_meta.bench.measure import MEGABYTE, Aim, BenchError, Benchmark, Sample, Sizes
from tests_meta.bench.project import PROJECT

PLAIN: Final = "plain test functions"
ENTRIES: Final = 100  # a node
_RACKS: Final = 10
_CHECKOUT: Final = Path(__file__).parents[2]

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
    """Two directories, each with the same tests: as a masterdir with prepared answers, and as a test file."""

    tests: int
    conf: Path
    answers: Path
    plain: Path


@contextmanager
def many_tests(directory: Path, sizes: Sizes) -> Iterator[ManyTests]:
    """An arena of `sizes.tests` tests, on nodes with ENTRIES entries each."""
    nodes = [f"node{number}" for number in range(1, sizes.tests // ENTRIES + 1)]
    racks = [f"rack{number}" for number in range(min(_RACKS, len(nodes)))]
    material = masterdir.write(directory / "work", nodes, ENTRIES, groups=racks)
    answers, plain = directory / "answers", directory / "plain"
    answers.mkdir()
    plain.mkdir()
    found = config.load(material.conf)
    repository = load(found)
    for node in found.nodes.values():
        (answers / node.name).write_bytes(answer(repository.entries(node)))
    expected = {}
    for entry in repository.entries(found.nodes[nodes[0]]):
        state = entry.expected
        expected[entry.destination.decode()] = (state.kind.value, state.mode, state.size, state.owner, state.md5)
    (plain / "test_plain.py").write_text(_PLAIN_TESTS.format(nodes=nodes, expected=expected))
    yield ManyTests(len(nodes) * ENTRIES, material.conf, answers, plain)


def answer(entries: Iterable[Entry]) -> bytes:
    """What the probe prints on a node that has these entries of files and directories as they should be.

    Raises BenchError if the probe's own reader does not understand it so.
    """
    entries = list(entries)
    stats, digests = [], []
    for entry in entries:
        state, path = entry.expected, entry.destination
        stats.append(b"s:%s:%s" % (_facts(state).encode(), path))
        if state.md5 is not None:
            digests.append(b"%s  %s" % (state.md5.encode(), path))
    text = b"\n".join((b"synctool-probe", *stats, *digests, b"synctool-probe-end", b""))
    requests = [
        probe.Request(e.destination, e.expected.size if e.expected.kind is Kind.FILE else None) for e in entries
    ]
    read = probe.parse(requests, text)
    for entry in entries:
        actual = read[entry.destination]
        if not isinstance(actual, FileState) or (actual.mode, actual.md5) != (entry.expected.mode, entry.expected.md5):
            raise BenchError(f"the probe's answer has another form now: {entry.source.shown} is read as {actual}")
    return text


def _facts(state: FileState) -> str:
    mode = state.mode | (stat.S_IFREG if state.kind is Kind.FILE else stat.S_IFDIR)
    return f"{mode:x}:{state.size}:{state.uid}:{state.gid}:{state.owner or 'UNKNOWN'}:{state.group or 'UNKNOWN'}"


def synctool(arena: ManyTests) -> Sample:
    """This project, one process, nodes that answer at once."""
    path = os.pathsep.join(filter(None, (str(_CHECKOUT), os.environ.get("PYTHONPATH"))))
    env = {fake_nodes.ANSWERS: str(arena.answers), "PYTHONPATH": path}
    finished = project.audit(arena.conf, "-p", fake_nodes.__name__, tests=arena.tests, env=env)
    return Sample(finished.seconds, finished.peak)


def plain_functions(arena: ManyTests) -> Sample:
    """pytest alone, one parametrized function; no installed plugin is loaded, which is to its advantage."""
    finished = project.pytest(
        arena.plain, "test_plain.py", tests=arena.tests, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    )
    return Sample(finished.seconds, finished.peak)


BENCHMARK: Final = Benchmark(
    name="scale",
    title=lambda sizes: f"{sizes.tests:,} tests in one process, {sizes.tests // ENTRIES:,} nodes x {ENTRIES} entries",
    arena=many_tests,
    competitors={PLAIN: plain_functions, PROJECT: synctool},
    baseline=PLAIN,
    rounds=3,
    aims=(
        Aim(
            f"at most a fifth of the wall time of {PLAIN}",
            0.2,
            lambda medians: medians[PROJECT].seconds / medians[PLAIN].seconds,
        ),
        Aim("at most 450 MB", 450, lambda medians: (medians[PROJECT].peak or 0) / MEGABYTE),
    ),
    notes=(
        f"{PROJECT}: `pytest --pyargs synctool_checks --synctool-conf=... --hosts=all -q --junitxml=...`; the "
        "connection to a node is replaced by a file with what the probe would print, which is parsed and compared.",
        f"{PLAIN}: `pytest -q --junitxml=...` on one function, parametrized over nodes and over paths, whose body is "
        "`assert expected == actual`; no fixtures, and no installed plugins are loaded.",
        "Interpreter start-up, collection and the junit report are included for both.",
    ),
)
