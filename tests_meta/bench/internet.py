"""100,000 nodes and ten admin machines: the costs as predicted from smaller runs, beside those of a simulated run.

The run is a real one of ten processes with `--tx`, each with its share of the nodes; only the connections to the nodes
are simulated. What ssh costs in addition is measured with real nodes, at sizes that this machine can have.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_synctool.config.model import DEFAULT_NUM_PROC
from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.bench import prediction, project, scaling_page, usage
from tests_meta.bench.measure import BenchError, Finished, Sizes
from tests_meta.bench.prediction import Figure
from tests_meta.bench.simulated_nodes import ENTRIES, WHOLE_NODES, simulated_nodes
from tests_meta.bench.ssh_nodes import SshNodes, compliant_ssh_nodes
from tests_meta.bench.usage import Usage

NAME: Final = "internet"
ADMINS: Final = 10
NODES: Final = 100_000
_SMALL: Final = (2_000, 10_000)
_SSH_SMALL: Final = (16, 32)
_SSH_NODES: Final = 64
_LIMIT: Final = 7200.0  # seconds
_SAMPLED: Final = 0.02  # seconds
_FILES: Final = ("drift.json", "drift.html", "index.html", "metrics.prom", "history.sqlite")
_CHECKOUT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Run:
    """The processes of a run by name, and the bytes of its report files by name."""

    processes: Mapping[str, Usage]
    files: Mapping[str, int]
    seconds: float

    @property
    def controller(self) -> Usage:
        """The process that reports."""
        return self.processes["controller"]

    @property
    def admins(self) -> list[Usage]:
        """The processes with a share of the nodes."""
        return [used for name, used in self.processes.items() if name != "controller"]


def requirements() -> list[str]:
    """What keeps it from being measured here, a sentence each."""
    return missing_requirements()


def measure(directory: Path) -> str:
    """Return the tables, as Markdown. Raises BenchError, or EmbeddedClusterError."""
    simulated = {nodes: _simulated(directory / str(nodes), nodes) for nodes in (*_SMALL, NODES)}
    (place := directory / "ssh").mkdir()
    with compliant_ssh_nodes(place, Sizes(audit_nodes=_SSH_NODES, entries=ENTRIES)) as arena:
        ssh = {nodes: _over_ssh(arena, place, nodes) for nodes in (*_SSH_SMALL, _SSH_NODES)}
    return markdown(simulated, ssh)


def _simulated(directory: Path, nodes: int) -> Run:
    """Run ten workers on simulated nodes, a tenth of which has one drifted file."""
    directory.mkdir()
    (used := directory / "used").mkdir()
    arena = simulated_nodes(directory, nodes, drifted=1, drifting=1)
    options = ("-p", usage.__name__, WHOLE_NODES, "--dist=load", f"--tx={ADMINS}*popen")
    finished = arena.audit(*options, env={usage.DIRECTORY: str(used)}, limit=_LIMIT)
    reports = arena.conf.parent / "reports"
    files = {name: (reports / name).stat().st_size for name in _FILES}
    run = Run(
        usage.read(used), {"junit.xml": (arena.conf.parent / "junit.xml").stat().st_size, **files}, finished.seconds
    )
    print(f"  {NAME}, {nodes:,} simulated nodes: {finished.seconds:.1f} s", file=sys.stderr, flush=True)
    shutil.rmtree(directory)  # the last of them is large
    return run


def _over_ssh(arena: SshNodes, directory: Path, nodes: int) -> tuple[Finished, Usage]:
    """Return the run of one process over ssh, and what it used in another run that looked at itself meanwhile."""
    (used := directory / f"used-{nodes}").mkdir()
    path = os.pathsep.join(filter(None, (str(_CHECKOUT), os.environ.get("PYTHONPATH"))))
    env = {usage.DIRECTORY: str(used), usage.SAMPLED: str(_SAMPLED), "PYTHONPATH": path}
    options, tests = (f"--hosts=node[1-{nodes}]",), nodes * ENTRIES
    finished = project.audit(arena.material.conf, *options, tests=tests)
    project.audit(arena.material.conf, *options, "-p", usage.__name__, tests=tests, env=env)
    print(f"  {NAME}, {nodes} ssh nodes: {finished.seconds:.1f} s", file=sys.stderr, flush=True)
    return finished, usage.read(used)["controller"]


def _figures(runs: Mapping[int, Run]) -> list[Figure]:
    def of(title: str, shown: object, value: object) -> Figure:
        return Figure(title, shown, {nodes: float(value(run)) for nodes, run in runs.items()})  # type: ignore[operator,arg-type]

    figures = [
        of("controller: processor time", prediction.seconds, lambda run: run.controller.processor),
        of("controller: memory", prediction.size, lambda run: run.controller.memory),
        of("controller: open files", prediction.number, lambda run: run.controller.files),
        of(
            "each admin machine: processor time",
            prediction.seconds,
            lambda run: sum(used.processor for used in run.admins) / len(run.admins),
        ),
        of("each admin machine: memory", prediction.size, lambda run: max(used.memory for used in run.admins)),
        of(
            "each admin machine: sent to the controller",
            prediction.size,
            lambda run: sum(used.written for used in run.admins) / len(run.admins),
        ),
    ]
    names = next(iter(runs.values())).files
    return [*figures, *(of(name, prediction.size, lambda run, name=name: run.files[name]) for name in names)]


@dataclass(frozen=True, slots=True)
class AtWork:
    """What a node costs while a process is at work on it: bytes of memory of its ssh process, and open files."""

    memory: float
    files: float

    @classmethod
    def of(cls, used: Usage) -> AtWork:
        """Return it from the peaks of a process and of its ssh processes. Raises BenchError if there were none."""
        if not used.programs:
            raise BenchError("no ssh process was seen while the run was at work")
        return cls(used.program_memory / used.programs, used.files / used.programs)


def markdown(simulated: Mapping[int, Run], ssh: Mapping[int, tuple[Finished, Usage]]) -> str:
    """Return both tables, and what they mean for admin machines with real nodes."""
    figures = _figures(simulated)
    processor = Figure(
        "processor time, with the ssh processes",
        prediction.seconds,
        {nodes: finished.processor for nodes, (finished, _) in ssh.items()},
    )
    return "\n\n".join(
        (
            f"{ENTRIES} entries a node, {ADMINS} processes with `--dist load --tx`, `--granularity=node`. A tenth of "
            "the nodes has one drifted file. The nodes are simulated and answer at once; all else is real. The "
            "prediction is the straight line through the two smaller sizes.",
            scaling_page.table(prediction.head(_SMALL, NODES), prediction.rows(figures, _SMALL, NODES)),
            f"One process over ssh, {ENTRIES} entries a node, real nodes on the same machine:",
            scaling_page.table(
                prediction.head(_SSH_SMALL, _SSH_NODES), prediction.rows([processor], _SSH_SMALL, _SSH_NODES)
            ),
            _conclusion(figures, processor, AtWork.of(ssh[_SSH_NODES][1]), simulated[NODES].seconds),
        )
    )


def _conclusion(figures: list[Figure], processor: Figure, at_work: AtWork, wall: float) -> str:
    """Return what an admin machine needs for its share of real nodes."""
    by_title = {figure.title: figure for figure in figures}
    share, at_once = NODES // ADMINS, DEFAULT_NUM_PROC
    own = by_title["each admin machine: processor time"]
    ssh = max(0.0, processor.per_unit(_SSH_SMALL) - own.per_unit(_SMALL) * ADMINS) * share
    total = own.values[NODES] + ssh
    memory = by_title["each admin machine: memory"].values[NODES] + at_once * at_work.memory
    return (
        f"So an admin machine with {share:,} real nodes, {at_once} of them at once (`num_proc`), needs about "
        f"{prediction.seconds(total)} of processor time: {prediction.seconds(own.values[NODES])} for its share of the "
        f"run and {prediction.seconds(ssh)} for ssh. With two processors that is {total / 120:.0f} minutes. It needs "
        f"{prediction.size(memory)} of memory, with {prediction.size(at_work.memory)} for each ssh process; "
        f"{at_once * at_work.files:,.0f} open files, {at_work.files:.1f} for each node at work; and one socket a node "
        f"at work. The simulated run of {NODES:,} nodes took {wall / 60:.0f} minutes, because all {ADMINS} processes "
        "shared this machine."
    )
