"""The scaling curves: the same audit at sizes from small to large, and what a node or an entry takes at each."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.bench import project
from tests_meta.bench.growth import LIMIT, Curve, Point
from tests_meta.bench.measure import Finished, Sizes
from tests_meta.bench.simulated_nodes import ENTRIES, simulated_nodes
from tests_meta.bench.ssh_nodes import compliant_ssh_nodes

NAME: Final = "curves"
PICTURE: Final = "scaling.svg"
_SSH_NODES: Final = (1, 2, 4, 8, 16, 32, 64)
_SSH_ENTRIES: Final = 200
_SSH_ROUNDS: Final = 3
_NODES: Final = (10, 100, 1_000, 10_000)
_ENTRIES: Final = (10, 100, 500, 1_000, 5_000)
_FEW_NODES: Final = 20
# A size is measured again until it has taken so many seconds, or so many runs; the fastest run counts.
_PATIENCE: Final = 5.0
_MOST_RUNS: Final = 5

_INTRODUCTION: Final = f"""\
The cost of a node is the time of a run without its start, divided by the number of nodes; the cost of an entry
likewise. The start is the time of a run with one simulated node and one entry. The fastest run of each size counts: of
{_SSH_ROUNDS} runs over ssh, of up to {_MOST_RUNS} otherwise; large sizes ran once. A size has no cost in the table if
it takes less than a fifth longer than the start alone: it is too small to measure."""


def requirements() -> list[str]:
    """What keeps the curves from being measured here, a sentence each."""
    drawing = [] if find_spec("matplotlib") else ["matplotlib is not installed (pip install 'pytest-synctool[bench]')"]
    return [*missing_requirements(), *drawing]


def measure(directory: Path) -> list[Curve]:
    """All curves, below an empty directory. Raises BenchError, or EmbeddedClusterError."""
    nothing = simulated_nodes(_made(directory / "start"), 1, 1).audit
    ssh = _over_ssh(_made(directory / "ssh"), nothing)
    start = _fastest("simulated nodes x 1 entries", 1, nothing).processor
    return [*ssh, _many_nodes(_made(directory / "nodes"), start), _many_entries(_made(directory / "entries"), start)]


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _over_ssh(directory: Path, nothing: Callable[[], Finished]) -> tuple[Curve, Curve]:
    """All sizes in turns: a wall time depends on what else the machine does in that minute."""
    runs: dict[int, list[Finished]] = {size: [] for size in (0, *_SSH_NODES)}
    with compliant_ssh_nodes(directory, Sizes(audit_nodes=_SSH_NODES[-1], entries=_SSH_ENTRIES)) as arena:
        for number in range(1, _SSH_ROUNDS + 1):
            for size, measured in runs.items():
                options, tests = (f"--hosts=node[1-{size}]",), size * _SSH_ENTRIES
                measured.append(project.audit(arena.material.conf, *options, tests=tests) if size else nothing())
            shown = ", ".join(f"{measured[-1].seconds:.2f}" for measured in runs.values())
            print(f"  {NAME}, ssh nodes, round {number} of {_SSH_ROUNDS}: {shown} s", file=sys.stderr, flush=True)
    title = f"Cold audit over ssh, {_SSH_ENTRIES} entries a node"
    wall = {size: min(run.seconds for run in measured) for size, measured in runs.items()}
    processor = {size: min(run.processor for run in measured) for size, measured in runs.items()}
    note = "All nodes are on this machine. A run with one node mostly waits for it; many nodes share the processors."
    ours = "The processor time of the run and of its ssh processes, without that of the nodes."
    return (
        _curve(title, wall, "wall time", note),
        _curve(title, processor, "processor time", ours),
    )


def _curve(title: str, seconds: dict[int, float], measured: str, note: str) -> Curve:
    """Of seconds by the number of nodes; those of 0 are the start."""
    points = tuple(Point(size, found) for size, found in seconds.items() if size)
    return Curve(title, "node", seconds[0], points, measured=measured, notes=(note,))


def _many_nodes(directory: Path, start: float) -> Curve:
    return Curve(
        f"Simulated nodes that answer at once, {ENTRIES} entries a node",
        "node",
        start,
        tuple(_simulated(directory, nodes, ENTRIES, size=nodes) for nodes in _NODES),
        measured="processor time",
    )


def _many_entries(directory: Path, start: float) -> Curve:
    return Curve(
        f"{_FEW_NODES} simulated nodes that answer at once",
        "entry",
        start,
        tuple(_simulated(directory, _FEW_NODES, entries, size=entries) for entries in _ENTRIES),
        each=_FEW_NODES,
        measured="processor time",
        notes=(f"The cost per entry and node: a file that all {_FEW_NODES} nodes have is {_FEW_NODES} entries.",),
    )


def _simulated(directory: Path, nodes: int, entries: int, *, size: int) -> Point:
    arena = simulated_nodes(_made(directory / str(size)), nodes, entries)
    fastest = _fastest(f"simulated nodes x {entries} entries", nodes, arena.audit)
    shutil.rmtree(directory)  # the last of them is large
    directory.mkdir()
    return Point(size, fastest.processor)


def _fastest(what: str, number: int, audit: Callable[[], Finished]) -> Finished:
    """The fastest of several runs of a short audit, or a long one's only run; says on standard error what it took."""
    runs: list[Finished] = []
    while len(runs) < _MOST_RUNS and sum(run.seconds for run in runs) < _PATIENCE:
        runs.append(audit())
    fastest = min(runs, key=lambda run: run.seconds)
    print(f"  {NAME}, {number:,} {what}: {fastest.seconds:.2f} s, runs: {len(runs)}", file=sys.stderr, flush=True)
    return fastest


def rows(curve: Curve) -> Iterator[tuple[str, ...]]:
    """The table of a curve: a head, the start, then a row for each size."""
    plural = "entries" if curve.unit == "entry" else f"{curve.unit}s"
    yield plural, curve.measured, "beyond the start", f"per {curve.unit}"
    yield "the start alone", f"{curve.start:.2f} s", "", ""
    for point in curve.points:
        cost = shown(curve.cost(point)) if point in curve.judged else ""
        yield f"{point.size:,}", f"{point.seconds:.2f} s", f"{point.seconds - curve.start:.2f} s", cost


def shown(seconds: float) -> str:
    """A short time for people: `12.3 ms`, `45.6 µs`."""
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def verdict(curve: Curve) -> str:
    """Whether the cost of a unit stays as it is, or falls, as the size grows."""
    aim = f"Aim: a{'n' if curve.unit == 'entry' else ''} {curve.unit} costs at most {LIMIT} times what it costs at any"
    if curve.growth is None:
        return f"{aim} smaller size: cannot be told from these figures"
    return f"{aim} smaller size: {'met' if curve.growth <= LIMIT else 'NOT met'} ({curve.growth:.3g})"


def text(curves: Sequence[Curve]) -> str:
    """The curves for the terminal."""
    parts = []
    for curve in curves:
        lines = ["  " + "  ".join(cell.rjust(18) for cell in row) for row in rows(curve)]
        parts.append("\n".join((f"Scaling: {curve.title}, {curve.measured}", *lines, f"  {verdict(curve)}")))
    return "\n\n".join(parts)


def markdown(curves: Sequence[Curve]) -> str:
    """Their section of the page."""
    parts = ["## Scaling", _INTRODUCTION, f"![The cost of a node and of an entry at every size]({PICTURE})"]
    for curve in curves:
        head, *body = rows(curve)
        lines = [head, ("---:",) * len(head), *body]
        parts.append(f"### {curve.title}, {curve.measured}")
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
        parts.append(verdict(curve) + ".")
        parts += [f"- {note}" for note in curve.notes]
    return "\n\n".join(parts)
