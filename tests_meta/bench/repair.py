"""Repair: everything is missing on every node."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.bench import project
from tests_meta.bench.growth import LIMIT
from tests_meta.bench.measure import Aim, Benchmark, Sample, Sizes
from tests_meta.bench.peers.task import spread
from tests_meta.bench.project import COMMAND, PROJECT
from tests_meta.bench.ssh_nodes import FANOUT, SshNodes, ssh_nodes

RSYNC: Final = "rsync -a"


FIX: Final = f"{PROJECT} --fix"
AUDIT: Final = "the audit alone"
_MANY: Final = (10_000, 50_000)  # entries of one node
_ONE_IN: Final = 100  # so many of the entries drift


def _from_nothing(nodes: SshNodes, work: Callable[[], Sample]) -> Sample:
    """Run something that must bring everything to nodes that have nothing."""
    nodes.wipe()
    before = nodes.logins()
    sample = work()
    logins = nodes.logins_since(before)
    nodes.check_complete()
    names, paths = nodes.cluster.names, nodes.material.paths
    return replace(sample, logins=logins, nodes=len(names), entries=len(paths))


def synctool(nodes: SshNodes) -> Sample:
    """This project with --fix: look, copy, apply, look again."""

    def work() -> Sample:
        finished = project.audit(nodes.material.conf, "--fix", tests=nodes.tests)
        return Sample(finished.seconds, finished.peak)

    return _from_nothing(nodes, work)


def synctool_command(nodes: SshNodes) -> Sample:
    """The same by the command: a line for everything that was missing."""

    def work() -> Sample:
        finished = project.command(nodes.material.conf, "-f", lines=nodes.tests)
        return Sample(finished.seconds, finished.peak)

    return _from_nothing(nodes, work)


def rsync(nodes: SshNodes) -> Sample:
    """One `rsync -a` a node, all at once."""

    def work() -> Sample:
        began = time.perf_counter()
        nodes.rsync()
        return Sample(time.perf_counter() - began)

    return _from_nothing(nodes, work)


@contextmanager
def _nodes_of_many(directory: Path, sizes: Sizes) -> Iterator[Mapping[int, SshNodes]]:
    """Two clusters of one node, by its number of entries; both have nothing yet."""
    few, many = _MANY
    with (
        ssh_nodes(directory / "few", replace(sizes, nodes=1, entries=few)) as one,
        ssh_nodes(directory / "many", replace(sizes, nodes=1, entries=many)) as other,
    ):
        yield {few: one, many: other}


def _of(entries: int, work: Callable[[SshNodes], Sample]) -> Callable[[Mapping[int, SshNodes]], Sample]:
    return lambda arena: work(arena[entries])


@contextmanager
def _node_with_mirror(directory: Path, sizes: Sizes) -> Iterator[SshNodes]:
    """One node that a repair has made compliant."""
    with ssh_nodes(directory, replace(sizes, nodes=1, entries=_MANY[0])) as nodes:
        synctool(nodes)
        yield nodes


def audit_alone(nodes: SshNodes) -> Sample:
    """The audit of a node that drifts."""
    drifting = _drift(nodes)
    finished = project.audit(nodes.material.conf, tests=nodes.tests, failed=drifting)
    return Sample(finished.seconds, finished.peak)


def rsync_drift(nodes: SshNodes) -> Sample:
    """The floor: `rsync -a`, which replaces what differs in size or time."""
    _drift(nodes)
    began = time.perf_counter()
    nodes.rsync()
    seconds = time.perf_counter() - began
    nodes.check_contents()
    return Sample(seconds)


def fix_drift(nodes: SshNodes) -> Sample:
    """The same with --fix."""
    drifting = _drift(nodes)
    finished = project.audit(nodes.material.conf, "--fix", tests=nodes.tests, fixed=drifting)
    nodes.check_contents()
    return Sample(finished.seconds, finished.peak)


def _drift(nodes: SshNodes) -> int:
    """Give some files other contents of the same size; return their number."""
    paths = spread(nodes.material.files, nodes.tests // _ONE_IN)
    for name in nodes.cluster.names:
        nodes.cluster.run(
            name, "for f in " + shlex.join(paths) + '; do printf z | dd of="$f" bs=1 conv=notrunc; done 2>&1'
        )
    return len(paths)


def _ratio(name: str, other: str) -> Callable[[Mapping[str, Sample]], float]:
    """Return the value of an aim: what an entry costs one competitor, in times of what it costs another one."""
    return lambda medians: medians[name].cost / medians[other].cost


def _requirements() -> list[str]:
    return missing_requirements() + ([] if shutil.which("rsync") else ["rsync is not installed"])


BENCHMARK: Final = Benchmark(
    name="repair",
    title=lambda sizes: f"Repair over ssh, {sizes.nodes} nodes x {sizes.entries} missing entries",
    arena=ssh_nodes,
    competitors={RSYNC: rsync, PROJECT: synctool, COMMAND: synctool_command},
    baseline=RSYNC,
    rounds=3,
    warm_up=True,
    aims=(Aim(f"at most 2 times the wall time of {RSYNC}", 2, _ratio(PROJECT, RSYNC)),),
    notes=(
        f"{PROJECT}: `pytest --pyargs synctool_checks --synctool-conf=... --hosts=all --fix -q --junitxml=...`: "
        "probe, copy, rename into place, probe again, report.",
        f"{COMMAND}: `synctool -qf`: the same with the same engine, without pytest and its reports.",
        f"{RSYNC}: one rsync per node copies the finished tree, {FANOUT} nodes at once, without checks or reports.",
    ),
    requirements=_requirements,
)


def _many(name: str, entries: int) -> str:
    return f"{name}, {entries:,}"


_FEW, _MOST = _MANY
_WORK: Final = {RSYNC: rsync, PROJECT: synctool, COMMAND: synctool_command}

LARGE: Final = Benchmark(
    name="repair-large",
    title=lambda sizes: f"Repair over ssh, one node with {_FEW:,} or {_MOST:,} missing entries",
    arena=_nodes_of_many,
    competitors={_many(name, entries): _of(entries, work) for entries in _MANY for name, work in _WORK.items()},
    baseline=_many(RSYNC, _FEW),
    rounds=3,
    aims=(
        *(
            Aim(
                f"{entries:,} entries: at most 4 times the wall time of {RSYNC}",
                4,
                _ratio(_many(PROJECT, entries), _many(RSYNC, entries)),
            )
            for entries in _MANY
        ),
        Aim(
            f"linear: an entry of {_MOST:,} costs at most {LIMIT} times what one of {_FEW:,} costs",
            LIMIT,
            _ratio(_many(PROJECT, _MOST), _many(PROJECT, _FEW)),
        ),
    ),
    notes=(
        "The same commands as for 8 nodes. The table compares the time for one entry.",
        "20 files in each directory; all directories are missing too.",
    ),
    requirements=_requirements,
)

DRIFT: Final = Benchmark(
    name="repair-drift",
    title=lambda sizes: f"One node with {_FEW:,} entries, of which one in {_ONE_IN} drifts",
    arena=_node_with_mirror,
    competitors={RSYNC: rsync_drift, AUDIT: audit_alone, FIX: fix_drift},
    baseline=AUDIT,
    rounds=5,
    warm_up=True,
    aims=(Aim("at most 2.2 times the wall time of the audit alone", 2.2, _ratio(FIX, AUDIT)),),
    notes=(
        f"{AUDIT}: `pytest --pyargs synctool_checks --synctool-conf=... --hosts=all -q --junitxml=...`; {FIX}: the "
        "same with `--fix`. Each file that drifts has other contents of the same size.",
        f"{RSYNC}: it replaces the files whose size or time differs, and reads no contents to find them.",
        "The node has its mirror of the masterdir from an earlier repair.",
    ),
    requirements=_requirements,
)
