"""Repair: everything is missing on every node."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Final

from pytest_synctool.embedded import missing_requirements

from tests_meta.bench import project
from tests_meta.bench.measure import Benchmark, Sample
from tests_meta.bench.project import PROJECT
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
    competitors={RSYNC: rsync, PROJECT: synctool},
    baseline=RSYNC,
    rounds=3,
    warm_up=True,
    notes=(
        f"{PROJECT}: `pytest --pyargs synctool_checks --synctool-conf=... --hosts=all --fix -q --junitxml=...`: look, "
        "copy, put each file in its place by a rename, look again, report.",
        f"{RSYNC}: the finished tree, one rsync a node, {FANOUT} nodes at once: copy, without a check or a report. For "
        "information; this project has no aim here.",
    ),
    requirements=_requirements,
)
