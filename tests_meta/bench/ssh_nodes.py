"""The arena of the benchmarks over ssh: an embedded cluster, its masterdir, and a count of the logins."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_synctool.config.model import DEFAULT_NUM_PROC
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.bench import masterdir
from tests_meta.bench.measure import LIMIT, BenchError, Sizes

FANOUT: Final = DEFAULT_NUM_PROC  # nodes at once, the same for everybody
_ACCEPTED: Final = b"\nAccepted publickey for "


@dataclass(frozen=True, slots=True)
class SshNodes:
    """Nodes that are up, and the material for them."""

    cluster: EmbeddedCluster
    material: masterdir.Material

    @property
    def tests(self) -> int:
        """How many (node, entry) there are."""
        return len(self.cluster.names) * len(self.material.paths)

    @property
    def ssh_options(self) -> str:
        """What makes ssh find the nodes, in one word of shell text for each argument."""
        return shlex.join(["-F", str(self.cluster.ssh_config)])

    def logins(self) -> dict[str, int]:
        """How often each node has let somebody in over ssh so far, by the log of its sshd."""
        logs = {name: self.cluster.directory / "log" / name for name in self.cluster.names}
        return {name: log.read_bytes().count(_ACCEPTED) for name, log in logs.items()}

    def logins_since(self, before: dict[str, int]) -> int:
        """How many logins each node has seen since; raises BenchError where nodes differ."""
        counts = {count - before[name] for name, count in self.logins().items()}
        if len(counts) != 1:
            raise BenchError(f"the nodes have seen different numbers of ssh logins: {sorted(counts)}")
        return counts.pop()

    def rsync(self) -> None:
        """Bring the tree to all nodes at once, one `rsync -a` a node. Raises BenchError."""
        with ThreadPoolExecutor(FANOUT) as pool:
            list(pool.map(self._rsync, self.cluster.names))

    def _rsync(self, node: str) -> None:
        source = str(self.material.tree / masterdir.TOP)
        argv = ["rsync", "-a", "--rsh=ssh " + self.ssh_options, "--", source, f"{node}:/"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=LIMIT)
        if done.returncode:
            raise BenchError(f"rsync to {node} failed: {done.stderr.decode(errors='replace').strip()}")

    def wipe(self) -> None:
        """Take everything off the nodes that a competitor may have brought."""
        for node in self.cluster.names:
            self.cluster.run(node, f"rm -rf /{masterdir.TOP} {shlex.quote(str(self.material.conf.parent))}")

    def check_complete(self) -> None:
        """Raises BenchError unless every node has every path and nothing else, and every file its content."""
        self.check_contents()
        answers = {self.cluster.run(node, f"find /{masterdir.TOP} | wc -l").stdout for node in self.cluster.names}
        if answers != {b"%d\n" % len(self.material.paths)}:
            raise BenchError(f"not every node has got all {len(self.material.paths)} paths: {sorted(answers)}")

    def check_contents(self) -> None:
        """Raises BenchError unless on every node every file has its content; old versions may be kept there."""
        contents = f"find {masterdir.TOP} -name '*.conf' -type f | LC_ALL=C sort | xargs cat -- | md5sum"
        answers = {self.cluster.run(node, f"cd / && {contents}").stdout for node in self.cluster.names}
        digest = subprocess.run(contents, shell=True, capture_output=True, check=True, cwd=self.material.tree)  # noqa: S602
        if answers != {digest.stdout}:
            raise BenchError(f"not every node has the contents of all files: {sorted(answers)}")


def multiplexed(ssh_config: Path, directory: Path) -> Path:
    """Write the same ssh settings with one connection per node that stays open for a minute; sockets are there too.

    What a minute has to bridge is the time between two runs.
    """
    sockets = f"{str(directory).replace('%', '%%')}/%n"
    keeping = f'Host *\n  ControlMaster auto\n  ControlPath "{sockets}"\n  ControlPersist 60\n'
    written = directory / "ssh_config"
    written.write_text(keeping + ssh_config.read_text())
    return written


@contextmanager
def ssh_nodes(directory: Path, sizes: Sizes) -> Iterator[SshNodes]:
    """An arena for repairs: `sizes.nodes` nodes with `sizes.entries` entries each, none of which is on a node yet."""
    with EmbeddedCluster(directory / "cluster", sizes.nodes) as cluster:
        settings = [f"ssh_cmd ssh {shlex.join(['-F', str(cluster.ssh_config)])}", f"num_proc {FANOUT}"]
        material = masterdir.write(directory / "work", cluster.names, sizes.entries, settings=settings)
        yield SshNodes(cluster, material)


@contextmanager
def compliant_ssh_nodes(directory: Path, sizes: Sizes) -> Iterator[SshNodes]:
    """An arena for audits: `sizes.audit_nodes` nodes with every entry as it should be."""
    with ssh_nodes(directory, replace(sizes, nodes=sizes.audit_nodes)) as nodes:
        nodes.rsync()
        nodes.check_complete()
        yield nodes
