"""The sizes from which `-n 2` pays: the same audit by one process and by two, with few nodes and with many."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.bench import audit, project, scaling_page
from tests_meta.bench.measure import Finished, Sizes
from tests_meta.bench.simulated_nodes import CLUSH, SimulatedNodes, simulated_nodes
from tests_meta.bench.ssh_nodes import SshNodes, compliant_ssh_nodes

NAME: Final = "workers"
_ENTRIES: Final = 200
_SSH_NODES: Final = (8, 16, 32, 64)
_NODES: Final = (16, 32, 64, 128, 256, 512, 1024)
_DELAY: Final = 0.1  # seconds until a simulated node answers
_ROUNDS: Final = 5
_NOTE: Final = b"made this run slower"
_SHOWN: Final = "--verbosity=0"  # in the place of -q, which prints no summary of a run without drift

Competitors = Mapping[str, Callable[[], Finished]]
ONE: Final = "one process"
TWO: Final = "`-n 2`"


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of a size: wall times in seconds, and whether most summaries of `-n 2` say that it was slower."""

    nodes: int
    seconds: Mapping[str, float]
    is_told: bool

    @property
    def ratio(self) -> float:
        """The wall time of two processes against that of one."""
        return self.seconds[TWO] / self.seconds[ONE]


def requirements() -> list[str]:
    """What keeps it from being measured here, a sentence each."""
    return missing_requirements()


def measure(directory: Path) -> str:
    """Return the tables, as Markdown. Raises BenchError, or EmbeddedClusterError."""
    far = []
    for nodes in _NODES:
        (place := directory / str(nodes)).mkdir()
        far.append(_row(nodes, _simulated(simulated_nodes(place, nodes, _ENTRIES))))
    (place := directory / "ssh").mkdir()
    with compliant_ssh_nodes(place, Sizes(audit_nodes=_SSH_NODES[-1], entries=_ENTRIES)) as arena:
        near = [_row(nodes, _over_ssh(arena, nodes)) for nodes in _SSH_NODES]
    return markdown(far, near)


def _simulated(arena: SimulatedNodes) -> Competitors:
    return {
        CLUSH: lambda: arena.clush(_DELAY),
        ONE: lambda: arena.audit(_SHOWN, delay=_DELAY),
        TWO: lambda: arena.audit("-n2", _SHOWN, delay=_DELAY),
    }


def _over_ssh(arena: SshNodes, nodes: int) -> Competitors:
    conf, tests = arena.material.conf, nodes * _ENTRIES
    options = (f"--hosts=node[1-{nodes}]", _SHOWN)
    return {
        CLUSH: lambda: audit.fetch(arena, arena.cluster.ssh_config, nodes),
        ONE: lambda: project.audit(conf, *options, tests=tests),
        TWO: lambda: project.audit(conf, *options, "-n2", tests=tests),
    }


def _row(nodes: int, competitors: Competitors) -> Row:
    """Run all competitors in turns."""
    runs: dict[str, list[Finished]] = {name: [] for name in competitors}
    for _ in range(_ROUNDS):
        for name, work in competitors.items():
            runs[name].append(work())
    told = sum(_NOTE in run.output for run in runs[TWO])
    row = Row(nodes, {name: median(run.seconds for run in found) for name, found in runs.items()}, 2 * told > _ROUNDS)
    shown = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in row.seconds.items())
    print(f"  {NAME}, {nodes} nodes: {shown}, told {told} times of {_ROUNDS}", file=sys.stderr, flush=True)
    return row


def pays_from(rows: Sequence[Row]) -> int | None:
    """Return the number of nodes from which two processes are faster at every size; None if they are not."""
    found = None
    for row in reversed(rows):
        if row.ratio >= 1:
            break
        found = row.nodes
    return found


def markdown(far: Sequence[Row], near: Sequence[Row]) -> str:
    """Return both tables with what follows from them."""
    head = ("nodes", "checks", CLUSH, ONE, TWO, f"{TWO} against {ONE}", "the summary says that it was slower")
    return "\n\n".join(
        (
            f"Medians of {_ROUNDS} runs in turn, {_ENTRIES} entries a node.",
            f"Nodes elsewhere, which answer after {_DELAY} s and take no processor time here (simulated). "
            + _sentence(far),
            scaling_page.table(head, [_cells(row) for row in far]),
            "Nodes over ssh that are on the same machine and use its two processors. " + _sentence(near),
            scaling_page.table(head, [_cells(row) for row in near]),
        )
    )


def _sentence(rows: Sequence[Row]) -> str:
    found = pays_from(rows)
    return f"{TWO} is not faster at any size:" if found is None else f"{TWO} is faster from {found:,} nodes on:"


def _cells(row: Row) -> tuple[str, ...]:
    seconds = (f"{row.seconds[name]:.2f} s" for name in (CLUSH, ONE, TWO))
    return f"{row.nodes:,}", f"{row.nodes * _ENTRIES:,}", *seconds, f"{row.ratio:.2f}", "yes" if row.is_told else "no"
