"""Repair: everything is missing on every node."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Final

from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.bench import project
from tests_meta.bench.measure import Aim, Benchmark, Sample
from tests_meta.bench.project import COMMAND, PROJECT
from tests_meta.bench.ssh_nodes import FANOUT, SshNodes, ssh_nodes

RSYNC: Final = "rsync -a"


def _from_nothing(nodes: SshNodes, work: Callable[[], Sample]) -> Sample:
    """Run something that must bring everything to nodes that have nothing."""
    nodes.wipe()
    before = nodes.logins()
    sample = work()
    logins = nodes.logins_since(before)
    nodes.check_complete()
    return Sample(sample.seconds, sample.peak, logins)


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
    aims=(
        Aim(
            f"at most 1.5 times the wall time of {RSYNC}", 1.5, lambda all_: all_[PROJECT].seconds / all_[RSYNC].seconds
        ),
    ),
    notes=(
        f"{PROJECT}: `pytest --pyargs synctool_checks --synctool-conf=... --hosts=all --fix -q --junitxml=...`: "
        "probe, copy, rename each file into place, probe again, report.",
        f"{COMMAND}: `synctool -qf`: the same with the same engine, without pytest and its reports.",
        f"{RSYNC}: one rsync per node copies the finished tree, {FANOUT} nodes at once, without checks or reports.",
    ),
    requirements=_requirements,
)
