"""The cold audit: all nodes are as they should be, and every run has to make its ssh connections anew."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.bench import project
from tests_meta.bench.measure import Aim, BenchError, Benchmark, Finished, Sample, run
from tests_meta.bench.project import COMMAND, PROJECT
from tests_meta.bench.ssh_nodes import FANOUT, SshNodes, compliant_ssh_nodes

CLUSH: Final = "clush"


def measure(nodes: SshNodes, work: Callable[[], Finished], logins: int = 1) -> Sample:
    """Run something that must log in so often to every node: once if it is cold, without help from an open connection.

    Raises BenchError if it does not.
    """
    before = nodes.logins()
    finished = work()
    found = nodes.logins_since(before)
    if found != logins:
        raise BenchError(f"expected were {logins} ssh logins per node, there were {found}")
    return Sample(finished.seconds, finished.peak, found)


def synctool(nodes: SshNodes) -> Sample:
    """This project, one process."""
    return measure(nodes, lambda: project.audit(nodes.material.conf, tests=nodes.tests))


def synctool_command(nodes: SshNodes) -> Sample:
    """The command `synctool -q`, which has nothing to say then."""
    return measure(nodes, lambda: project.command(nodes.material.conf, lines=0))


def synctool_xdist(nodes: SshNodes) -> Sample:
    """This project, two xdist workers."""
    return measure(nodes, lambda: project.audit(nodes.material.conf, "-n2", tests=nodes.tests))


def clush(nodes: SshNodes) -> Sample:
    """ClusterShell, cold."""
    return measure(nodes, lambda: fetch(nodes, nodes.cluster.ssh_config))


def fetch(nodes: SshNodes, ssh_config: Path, first: int | None = None) -> Finished:
    """ClusterShell, which fetches the same facts and prints them, and leaves the comparison to others.

    It does so on all nodes, or on so many of the first. Raises BenchError unless all nodes have answered in full.
    """
    names = nodes.cluster.names[:first]
    paths, files = shlex.join(nodes.material.paths), shlex.join(nodes.material.files)
    command = f"stat -c %f:%s:%u:%g:%U:%G:%n {paths} && md5sum {files}"
    argv = [sys.executable, "-m", "ClusterShell.CLI.Clush", "-w", ",".join(names), "-f", str(FANOUT)]
    argv += ["-S", "-o", shlex.join(["-F", str(ssh_config)]), command]  # -S: its status tells whether a node failed
    finished = run(argv, nodes.material.conf.parent)
    lines = Counter(line.partition(b": ")[0].decode() for line in finished.output.splitlines())
    for node in names:
        if lines[node] != len(nodes.material.paths) + len(nodes.material.files):
            raise BenchError(f"{node} has answered with {lines[node]} lines")
    return finished


BENCHMARK: Final = Benchmark(
    name="audit",
    title=lambda sizes: f"Cold audit over ssh, {sizes.audit_nodes} nodes x {sizes.entries} entries, all compliant",
    arena=compliant_ssh_nodes,
    competitors={
        CLUSH: clush,
        PROJECT: synctool,
        COMMAND: synctool_command,
        f"{PROJECT} -n 2": synctool_xdist,
    },
    baseline=CLUSH,
    rounds=5,
    warm_up=True,
    aims=(
        Aim(
            f"at most 1.25 times the wall time of {CLUSH}",
            1.25,
            lambda all_: all_[PROJECT].seconds / all_[CLUSH].seconds,
        ),
    ),
    notes=(
        f"{PROJECT}: `pytest --pyargs synctool_checks --synctool-conf=... --hosts=all -q --junitxml=...`: it "
        "compares every attribute, and every (node, entry) is a test in the JUnit report.",
        f"{COMMAND}: `synctool -q`: the same comparison with the same engine, without pytest and its reports.",
        f"{CLUSH}: `clush -S -w NODES -f {FANOUT} -o '-F ssh_config' 'stat -c ... PATHS && md5sum FILES'`: it fetches "
        "the same facts and prints them, without a comparison.",
        "Cold: each run makes one new ssh connection to every node, as the logs of sshd confirm. The times include the "
        "start of the interpreter. All nodes are on this machine and use its processors.",
    ),
    requirements=missing_requirements,
)
