"""The warm audit: all nodes are as they should be, and the connections of an earlier run are still open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.bench import audit, project
from tests_meta.bench.measure import Aim, Benchmark, Finished, Sample, Sizes
from tests_meta.bench.project import PROJECT
from tests_meta.bench.ssh_nodes import FANOUT, SshNodes, compliant_ssh_nodes, multiplexed

CLUSH: Final = "warm clush"


@dataclass(frozen=True, slots=True)
class WarmNodes:
    """Nodes, and ssh settings that keep connections open, for those who do not do that by themselves."""

    nodes: SshNodes
    ssh_config: Path

    def clush(self) -> Finished:
        """ClusterShell."""
        return audit.fetch(self.nodes, self.ssh_config)

    def synctool(self) -> Finished:
        """This project, which keeps its connections unless told otherwise."""
        return project.audit(self.nodes.material.conf, tests=self.nodes.tests, persist=True)


@contextmanager
def _warm_nodes(directory: Path, sizes: Sizes) -> Iterator[WarmNodes]:
    """An arena in which everybody has run once, and so left connections behind."""
    with compliant_ssh_nodes(directory, sizes) as nodes:
        sockets = directory / "ssh"
        sockets.mkdir()
        warm = WarmNodes(nodes, multiplexed(nodes.cluster.ssh_config, sockets))
        warm.clush()
        warm.synctool()
        yield warm


def clush(warm: WarmNodes) -> Sample:
    """ClusterShell over open connections."""
    return audit.measure(warm.nodes, warm.clush, logins=0)


def synctool(warm: WarmNodes) -> Sample:
    """This project over connections that its last run has left open."""
    return audit.measure(warm.nodes, warm.synctool, logins=0)


BENCHMARK: Final = Benchmark(
    name="warm",
    title=lambda sizes: f"Warm audit over ssh, {sizes.audit_nodes} nodes x {sizes.entries} entries, all compliant",
    arena=_warm_nodes,
    competitors={CLUSH: clush, PROJECT: synctool},
    baseline=CLUSH,
    rounds=5,
    aims=(
        Aim(f"at most 2 times the wall time of {CLUSH}", 2.0, lambda all_: all_[PROJECT].seconds / all_[CLUSH].seconds),
    ),
    notes=(
        f"{PROJECT}: the same command as in the cold audit, without an option for connections: it uses those that "
        "its last run left open.",
        f"{CLUSH}: the same command as in the cold audit, `-f {FANOUT}`, with `ControlMaster auto` and "
        "`ControlPersist 60` in the ssh settings.",
        "Warm: no run makes a new ssh connection, as the logs of sshd confirm.",
    ),
    requirements=missing_requirements,
)
