"""The race: everybody audits compliant nodes, after having shown that drift does not escape them."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.bench import audit, project
from tests_meta.bench.audit import CLUSH
from tests_meta.bench.measure import Aim, BenchError, Benchmark, Finished, Sample, Sizes, run
from tests_meta.bench.peers import ansible, bundlewrap, environment, pyinfra, testinfra
from tests_meta.bench.peers.task import Entry, Peer, Seen, Task, spread
from tests_meta.bench.project import PROJECT
from tests_meta.bench.ssh_nodes import FANOUT, SshNodes, compliant_ssh_nodes, multiplexed

FEW: Final = f"{PROJECT}, 2 nodes"
PYINFRA: Final = Peer("pyinfra", ["pyinfra"], pyinfra.dry, nodes=8, entries=200)
MITOGEN: Final = Peer("ansible-core + mitogen", ["ansible-core", "mitogen"], ansible.mitogen, nodes=2, entries=200)
ANSIBLE: Final = Peer("ansible-core", ["ansible-core"], ansible.plain, nodes=2, entries=40)
BUNDLEWRAP: Final = Peer("bundlewrap", ["bundlewrap"], bundlewrap.verify, nodes=2, entries=80)
_TESTINFRA: Final = ["pytest-testinfra", "pytest-xdist"]
SHARED: Final = Peer("testinfra, one connection", _TESTINFRA, testinfra.multiplexed, nodes=2, entries=80)
UNSHARED: Final = Peer("testinfra", _TESTINFRA, testinfra.default, nodes=2, entries=10)
PEERS: Final = (PYINFRA, MITOGEN, ANSIBLE, BUNDLEWRAP, SHARED, UNSHARED)

# A drift of each kind that is compared, for a file of the node; the content keeps its size.
DRIFTS: Final = ("printf z | dd of={} bs=1 conv=notrunc 2>&1", "chmod 600 {}", "chown 1 {}", "chgrp 1 {}")


@dataclass(frozen=True, slots=True)
class Arena:
    """Compliant nodes, an interpreter on them, and why some of the peers cannot run, by name."""

    nodes: SshNodes
    directory: Path
    python: str
    left_out: Mapping[str, str]

    def task(self, nodes: int, paths: list[str]) -> Task:
        """A task for the first nodes and these paths, in a new directory."""
        directory = Path(tempfile.mkdtemp(prefix="p", dir=self.directory))
        sockets = Path(tempfile.mkdtemp(prefix="s", dir=self.directory))
        config = self.nodes.cluster.ssh_config
        return Task(
            directory=directory,
            programs=environment.PROGRAMS,
            nodes=self.nodes.cluster.names[:nodes],
            entries=[self._entry(path) for path in paths],
            ssh_config=config,
            multiplexed=multiplexed(config, sockets),
            python=self.python,
        )

    def _entry(self, path: str) -> Entry:
        source = Path(f"{self.nodes.material.tree}{path}")
        return Entry(path, source.stat().st_mode & 0o7777, None if source.is_dir() else source)


@contextmanager
def arena(directory: Path, sizes: Sizes) -> Iterator[Arena]:
    """Compliant nodes, on which all competitors have been shown drift once."""
    failed = environment.install()
    _warn_of_newer()
    with compliant_ssh_nodes(directory, sizes) as nodes:
        found = arena_of(nodes, directory, PEERS, failed)
        yield replace(found, left_out={**found.left_out, **control(found)})


def _warn_of_newer() -> None:
    try:
        for each in environment.outdated():
            print(f"  a peer has a newer version: {each}", file=sys.stderr, flush=True)
    except BenchError as error:
        print(f"  {error}", file=sys.stderr, flush=True)


def arena_of(nodes: SshNodes, directory: Path, peers: Sequence[Peer], failed: frozenset[str]) -> Arena:
    """Return the arena of these nodes, with a new directory in this one, and the peers that cannot run there."""
    work = directory / "peers"
    work.mkdir()
    python = nodes.cluster.run(nodes.cluster.names[0], "command -v python3 || :").stdout.decode().strip()
    return Arena(nodes, work, python, {peer.name: why for peer in peers if (why := _cannot_run(peer, failed, python))})


def _cannot_run(peer: Peer, failed: frozenset[str], python: str) -> str:
    """Return the reason why a peer cannot run, or an empty text."""
    if missing := failed.intersection(peer.packages):
        return f"pip could not install {environment.versions(sorted(missing))}"
    return "there is no Python on the nodes" if "ansible-core" in peer.packages and not python else ""


def control(arena: Arena) -> dict[str, str]:
    """Let files on one node drift and have all peers look: what they must find is that, and nothing else.

    Returns those that fail, with the reason. Raises BenchError if it is this project. Afterwards all is as before.
    """
    nodes, material = arena.nodes, arena.nodes.material
    victim = nodes.cluster.names[0]
    files = spread(material.files, len(DRIFTS) + 1)
    expected = frozenset((victim, path) for path in files[: len(DRIFTS)])
    for path, change in zip(files, DRIFTS, strict=False):
        nodes.cluster.run(victim, change.format(shlex.quote(path)))
    if (found := project.drifted(material.conf)) != expected:
        raise BenchError(f"{PROJECT} has found {sorted(found)} instead of {sorted(expected)}")
    failed = {}
    for peer in PEERS:
        if peer.name not in arena.left_out:
            task = arena.task(peer.nodes, [*material.directories[:1], *files])
            try:
                _look(peer, task, expected)
            except BenchError as error:
                print(f"  {peer.name}: {error}", file=sys.stderr, flush=True)
                failed[peer.name] = "shown drift, it did not report exactly that"
    nodes.rsync()
    nodes.check_complete()
    return failed


def _look(peer: Peer, task: Task, drifted: frozenset[tuple[str, str]] = frozenset()) -> Finished:
    """Have a peer do a task. Raises BenchError unless it has looked at everything and found exactly this."""
    call = peer.prepare(task)
    env = {"HOME": str(task.directory), "PYTHONPATH": "", "PYTHONHOME": "", **call.env}
    argv = ["sh", "-c", 'exec "$@" 2>&1', "sh", *call.argv]
    finished = run(argv, task.directory, env, statuses=call.statuses)
    seen = call.parse(finished.output.decode(errors="replace"))
    expected = Seen(len(task.nodes) * len(task.entries), drifted)
    if seen != expected:
        raise BenchError(
            f"it has checked {seen.checked} instead of {expected.checked} and found {sorted(seen.drifted)} "
            f"instead of {sorted(drifted)}"
        )
    return finished


def competitor(peer: Peer) -> Callable[[Arena], Sample]:
    """A peer, which has to log in to every node of its own at least once: nothing is left open from before."""

    def look(arena: Arena) -> Sample:
        task = arena.task(peer.nodes, spread(arena.nodes.material.paths, peer.entries))
        return _measure(arena, task.nodes, len(task.entries), lambda: _look(peer, task))

    return look


def _measure(arena: Arena, nodes: Sequence[str], entries: int, work: Callable[[], Finished]) -> Sample:
    before = arena.nodes.logins()
    finished = work()
    after = arena.nodes.logins()
    logins = min(after[node] - before[node] for node in nodes)
    if not logins:
        raise BenchError("it has used a connection that was open already")
    return Sample(finished.seconds, finished.peak, logins, len(nodes), entries)


def clush(arena: Arena) -> Sample:
    """The floor."""
    return _whole(arena, audit.clush(arena.nodes))


def synctool(arena: Arena) -> Sample:
    """This project, cold, all nodes."""
    return _whole(arena, audit.synctool(arena.nodes))


def _whole(arena: Arena, sample: Sample) -> Sample:
    nodes, material = arena.nodes.cluster.names, arena.nodes.material
    return replace(sample, nodes=len(nodes), entries=len(material.paths))


def synctool_few(arena: Arena) -> Sample:
    """This project, cold, as many nodes as the slow ones have."""
    nodes, material = arena.nodes.cluster.names[:2], arena.nodes.material
    entries = len(material.paths)
    hosts = f"--hosts={','.join(nodes)}"
    return _measure(arena, nodes, entries, lambda: project.audit(material.conf, hosts, tests=len(nodes) * entries))


def _faster(peer: Peer, times: float) -> Aim:
    return Aim(
        f"at least {times:.0f} times faster than {peer.name}, per node and entry",
        times,
        lambda medians: medians[peer.name].cost / medians[PROJECT].cost,
        at_least=True,
    )


BENCHMARK: Final = Benchmark(
    name="peers",
    title=lambda sizes: f"The same audit by others, cold, {sizes.entries} compliant entries on a node",
    arena=arena,
    competitors={
        CLUSH: clush,
        PROJECT: synctool,
        FEW: synctool_few,
        **{peer.name: competitor(peer) for peer in PEERS},
    },
    baseline=PROJECT,
    rounds=3,
    budget=600.0,
    paced=True,
    aims=(_faster(PYINFRA, 15), _faster(MITOGEN, 50), _faster(BUNDLEWRAP, 200), _faster(ANSIBLE, 200)),
    notes=(
        "All tools compare type, owner, group and mode of every entry and the content of every file (clush only "
        "fetches them). Slow tools do it on fewer nodes, some for fewer entries, evenly chosen; the table compares "
        "the time for one entry of one node. Their start is then a larger share of the time, which costs them a "
        f"second or two of the wall time. {FEW}, shows this project with as few nodes.",
        "Before the first round, one file has a wrong content (of the same size), one a wrong mode, one a wrong "
        "owner and one a wrong group. Only a tool that reports exactly these four takes part (clush excepted). In "
        f"each round, each tool must check all of its entries, find no drift, and log in anew. {PROJECT} runs before "
        "each of the others, so that the load of the machine is the same for both.",
        f"{PYINFRA.name}: `pyinfra --dry`, an operation for each entry, all nodes in parallel (its default).",
        f"{MITOGEN.name}, {ANSIBLE.name}: `ansible-playbook --check --diff`, two tasks that loop over the entries "
        f"(`file`, `copy`), no facts gathered, {FANOUT} forks, pipelining, one ssh connection per node; strategy "
        "`mitogen_linear` or `linear`.",
        f"{BUNDLEWRAP.name}: `bw verify -p {FANOUT} -P 64`, with `ControlMaster auto` in the ssh settings.",
        f"{SHARED.name}: a test for each path, which reads type, owner, group, mode and md5sum; `-n "
        f"{testinfra.WORKERS}`; with `ControlMaster auto` in the ssh settings. {UNSHARED.name}: the same "
        "without it: a login for each attribute.",
        f"Versions: {environment.versions(sorted({name for peer in PEERS for name in peer.packages}))}.",
    ),
    requirements=missing_requirements,
    left_out=lambda arena: arena.left_out,
)
