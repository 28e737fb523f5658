"""The scaling curves: the same audit at sizes from small to large, and what a node or an entry takes at each."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Final

from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.bench import audit, project
from tests_meta.bench.growth import LIMIT, Curve, Point
from tests_meta.bench.measure import Finished, Sizes
from tests_meta.bench.project import PROJECT
from tests_meta.bench.simulated_nodes import CLUSH, CLUSH_NOTE, ENTRIES, SimulatedNodes, simulated_nodes
from tests_meta.bench.ssh_nodes import compliant_ssh_nodes

Work = Callable[[], Finished]
WALL: Final = "wall time"
PROCESSOR: Final = "processor time"
NAME: Final = "curves"
PICTURE: Final = "scaling.svg"
_SSH_NODES: Final = (1, 2, 4, 8, 16, 32, 64)
_SSH_ENTRIES: Final = 200
_NODES: Final = (10, 100, 1_000, 10_000)
_MOST_CLUSH_NODES: Final = 1_000  # it starts a process for each of them
_ENTRIES: Final = (10, 100, 1_000, 5_000, 50_000)
_FEW_NODES: Final = 20
_FEWEST_ROUNDS: Final = 3
_MOST_ROUNDS: Final = 7
_PATIENCE: Final = 20.0  # a size takes part in more than the fewest rounds until its runs have taken so many seconds

_INTRODUCTION: Final = f"""\
The cost of a node is the time of a run without its start, divided by the number of nodes; the cost of an entry
likewise. The start is the time of a run with one simulated node and one entry. All sizes of a table run in turns; the
figures are medians of {_FEWEST_ROUNDS} runs for large sizes and of up to {_MOST_ROUNDS} for small ones. A size has no
cost in the table if it takes less than a fifth longer than the start alone: it is too small to measure. clush is the
floor: it fetches the same facts, and compares nothing."""


def requirements() -> list[str]:
    """What keeps the curves from being measured here, a sentence each."""
    drawing = [] if find_spec("matplotlib") else ["matplotlib is not installed (pip install 'pytest-synctool[bench]')"]
    return [*missing_requirements(), *drawing]


def measure(directory: Path) -> list[Curve]:
    """All curves, below an empty directory. Raises BenchError, or EmbeddedClusterError."""
    nothing = simulated_nodes(_made(directory / "start"), 1, 1).audit
    ssh = _over_ssh(_made(directory / "ssh"), nothing)
    return [
        *ssh,
        _many_nodes(_made(directory / "nodes"), nothing),
        _many_entries(_made(directory / "entries"), nothing),
    ]


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


@dataclass(frozen=True, slots=True)
class Runs:
    """What the runs of each size took, of this project and of clush. Size 0 is the start alone."""

    ours: Mapping[int, list[Finished]]
    clush: Mapping[int, list[Finished]]

    def curve(self, title: str, unit: str, measured: str, *notes: str, each: int = 1) -> Curve:
        """Return the curve of the medians of what is `measured`, wall time or processor time."""
        ours, clush = ({size: _median(found, measured) for size, found in of.items()} for of in (self.ours, self.clush))
        points = tuple(Point(size, seconds) for size, seconds in ours.items() if size)
        return Curve(title, unit, ours[0], points, each, measured, notes, clush)


def _median(runs: Sequence[Finished], measured: str) -> float:
    return median(run.seconds if measured == WALL else run.processor for run in runs)


def _in_turns(what: str, ours: Mapping[int, Work], clush: Mapping[int, Work]) -> Runs:
    """Run all sizes in each round: a wall time depends on what else the machine does in that minute."""
    runs = Runs({size: [] for size in ours}, {size: [] for size in clush})
    for number in range(1, _MOST_ROUNDS + 1):
        shown = []
        for name, works, lists in ((PROJECT, ours, runs.ours), (CLUSH, clush, runs.clush)):
            for size, work in works.items():
                found = lists[size]
                if number <= _FEWEST_ROUNDS or sum(run.seconds for run in found) < _PATIENCE:
                    found.append(work())
                    shown.append(f"{name} {size:,} {found[-1].seconds:.2f}")
        print(f"  {NAME}, {what}, round {number}: {', '.join(shown)} s", file=sys.stderr, flush=True)
    return runs


def _over_ssh(directory: Path, nothing: Work) -> tuple[Curve, Curve]:
    with compliant_ssh_nodes(directory, Sizes(audit_nodes=_SSH_NODES[-1], entries=_SSH_ENTRIES)) as arena:

        def ours(size: int) -> Finished:
            return project.audit(arena.material.conf, f"--hosts=node[1-{size}]", tests=size * _SSH_ENTRIES)

        def clush(size: int) -> Finished:
            return audit.fetch(arena, arena.cluster.ssh_config, size)

        runs = _in_turns(
            "ssh nodes",
            {0: nothing} | {size: partial(ours, size) for size in _SSH_NODES},
            {size: partial(clush, size) for size in _SSH_NODES},
        )
    title = f"Cold audit over ssh, {_SSH_ENTRIES} entries a node"
    note = "All nodes are on this machine. A run with one node mostly waits for it; many nodes share the processors."
    ours_alone = "The processor time of the run and of its ssh processes, without that of the nodes."
    return runs.curve(title, "node", WALL, note), runs.curve(title, "node", PROCESSOR, ours_alone)


def _many_nodes(directory: Path, nothing: Work) -> Curve:
    arenas = {nodes: simulated_nodes(_made(directory / str(nodes)), nodes) for nodes in _NODES}
    runs = _simulated("simulated nodes", arenas, nothing, _MOST_CLUSH_NODES)
    shutil.rmtree(directory)  # large
    title = f"Simulated nodes that answer at once, {ENTRIES} entries a node"
    return runs.curve(title, "node", PROCESSOR, CLUSH_NOTE)


def _many_entries(directory: Path, nothing: Work) -> Curve:
    arenas = {number: simulated_nodes(_made(directory / str(number)), _FEW_NODES, number) for number in _ENTRIES}
    runs = _simulated("simulated entries", arenas, nothing, _ENTRIES[-1])
    shutil.rmtree(directory)
    note = f"The cost per entry and node: a file that all {_FEW_NODES} nodes have is {_FEW_NODES} entries."
    title = f"{_FEW_NODES} simulated nodes that answer at once"
    return runs.curve(title, "entry", PROCESSOR, note, CLUSH_NOTE, each=_FEW_NODES)


def _simulated(what: str, arenas: Mapping[int, SimulatedNodes], nothing: Work, most_clush: int) -> Runs:
    ours = {0: nothing} | {size: arena.audit for size, arena in arenas.items()}
    return _in_turns(what, ours, {size: arena.clush for size, arena in arenas.items() if size <= most_clush})


def rows(curve: Curve) -> Iterator[tuple[str, ...]]:
    """The table of a curve: a head, the start, then a row for each size."""
    plural = "entries" if curve.unit == "entry" else f"{curve.unit}s"
    yield plural, curve.measured, "beyond the start", f"per {curve.unit}", CLUSH
    yield "the start alone", f"{curve.start:.2f} s", "", "", ""
    for point in curve.points:
        cost = shown(curve.cost(point)) if point in curve.judged else ""
        floor = f"{curve.floor[point.size]:.2f} s" if point.size in curve.floor else "not run"
        yield f"{point.size:,}", f"{point.seconds:.2f} s", f"{point.seconds - curve.start:.2f} s", cost, floor


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
