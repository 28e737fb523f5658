"""The repair by others: everything is missing, and every tool brings it to as many nodes as it can in a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.bench import masterdir, project
from tests_meta.bench import repair as own
from tests_meta.bench.measure import BenchError, Benchmark, Sample, Sizes, run
from tests_meta.bench.peers import ansible, bundlewrap, environment, pyinfra
from tests_meta.bench.peers.race import Arena, arena_of
from tests_meta.bench.peers.task import Call, Peer, Task
from tests_meta.bench.project import PROJECT
from tests_meta.bench.ssh_nodes import FANOUT, SshNodes, ssh_nodes

FEW: Final = f"{PROJECT}, 2 nodes"


def _changing(prepare: Callable[[Task], Call], words: dict[str, str]) -> Callable[[Task], Call]:
    """Return what prepares a command that changes the nodes, with these words in place of those that only look."""

    def changing(task: Task) -> Call:
        call = prepare(task)
        return replace(call, argv=[new for word in call.argv if (new := words.get(word, word))])

    return changing


PYINFRA: Final = Peer("pyinfra", ["pyinfra"], _changing(pyinfra.dry, {"--dry": "-y"}), nodes=8, entries=200)
_ANSIBLE_CHANGES: Final = {"--check": "", "--diff": ""}
MITOGEN: Final = Peer(
    "ansible-core + mitogen",
    ["ansible-core", "mitogen"],
    _changing(ansible.mitogen, _ANSIBLE_CHANGES),
    nodes=2,
    entries=200,
)
ANSIBLE: Final = Peer("ansible-core", ["ansible-core"], _changing(ansible.plain, _ANSIBLE_CHANGES), nodes=2, entries=21)
BUNDLEWRAP: Final = Peer(
    "bundlewrap", ["bundlewrap"], _changing(bundlewrap.verify, {"verify": "apply", "-a": ""}), nodes=2, entries=41
)
PEERS: Final = (PYINFRA, MITOGEN, ANSIBLE, BUNDLEWRAP)


@contextmanager
def arena(directory: Path, sizes: Sizes) -> Iterator[Arena]:
    """Nodes that have nothing yet."""
    failed = environment.install()
    with ssh_nodes(directory, sizes) as nodes:
        yield arena_of(nodes, directory, PEERS, failed)


def part(material: masterdir.Material, number: int) -> list[str]:
    """Return so many paths with no directory missing between them."""
    if number >= len(material.paths):
        return list(material.paths)
    directories = material.directories[: 1 + number // 20]
    files = [path for path in material.files if path.rpartition("/")[0] in directories]
    return [*directories, *files[: number - len(directories)]]


def competitor(peer: Peer) -> Callable[[Arena], Sample]:
    """A peer, whose nodes must then have all that it was to bring, with owner, mode and content."""

    def bring(arena: Arena) -> Sample:
        task = arena.task(peer.nodes, part(arena.nodes.material, peer.entries))
        call = peer.prepare(task)
        env = {"HOME": str(task.directory), "PYTHONPATH": "", "PYTHONHOME": "", **call.env}
        arena.nodes.wipe()
        before = arena.nodes.logins()
        finished = run(call.argv, task.directory, env)
        after = arena.nodes.logins()
        _check(arena.nodes, task)
        logins = min(after[node] - before[node] for node in task.nodes)
        return Sample(finished.seconds, finished.peak, logins, len(task.nodes), len(task.entries))

    return bring


def _check(nodes: SshNodes, task: Task) -> None:
    """Raise BenchError unless an audit finds drift on no node of a task, but for what the task left out."""
    brought = {entry.path for entry in task.entries}
    drifted = {each for each in project.drifted(nodes.material.conf) if each[0] in task.nodes and each[1] in brought}
    if drifted:
        raise BenchError(f"it has not brought {len(drifted)} paths: {sorted(drifted)[:3]}")


def synctool_few(arena: Arena) -> Sample:
    """This project, as many nodes as the slow ones have."""
    nodes = arena.nodes
    names: Sequence[str] = nodes.cluster.names[:2]
    tests = len(names) * len(nodes.material.paths)
    nodes.wipe()
    finished = project.audit(nodes.material.conf, "--fix", f"--hosts={','.join(names)}", tests=tests)
    return Sample(finished.seconds, finished.peak, None, len(names), len(nodes.material.paths))


BENCHMARK: Final = Benchmark(
    name="repair-peers",
    title=lambda sizes: f"The same repair by others, {sizes.entries} missing entries on a node",
    arena=arena,
    competitors={
        own.RSYNC: lambda arena: own.rsync(arena.nodes),
        PROJECT: lambda arena: own.synctool(arena.nodes),
        FEW: synctool_few,
        **{peer.name: competitor(peer) for peer in PEERS},
    },
    baseline=PROJECT,
    rounds=3,
    budget=900.0,
    paced=True,
    notes=(
        "Every tool brings type, owner, group, mode and content of every entry. Slow tools do it on fewer nodes, "
        "some for fewer entries; the table compares the time for one entry of one node. After each run, an audit must "
        "find no drift.",
        f"{PYINFRA.name}: `pyinfra -y`. {MITOGEN.name}, {ANSIBLE.name}: `ansible-playbook`, {FANOUT} forks, strategy "
        f"`mitogen_linear` or `linear`. {BUNDLEWRAP.name}: `bw apply -p {FANOUT} -P 64`. All else is as for "
        "the audit by others.",
        f"Versions: {environment.versions(sorted({name for peer in PEERS for name in peer.packages}))}.",
    ),
    requirements=missing_requirements,
    left_out=lambda arena: arena.left_out,
)
