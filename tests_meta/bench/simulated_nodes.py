"""The arena of the benchmarks at scale: nodes that cost nothing, with prepared answers instead of a connection."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_synctool import config
from pytest_synctool.audit import probe
from pytest_synctool.config.model import DEFAULT_NUM_PROC
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.resolution import load

from tests_meta.bench import fake_nodes, masterdir, project
from tests_meta.bench.measure import LIMIT, BenchError, Finished, run

ENTRIES: Final = 100  # a node, where nothing else is said
WHOLE_NODES: Final = "--granularity=node"
CLUSH: Final = "clush"
CLUSH_NOTE: Final = (
    f"{CLUSH}: `clush -S -R exec -f {DEFAULT_NUM_PROC} -w NODES 'cat ANSWERS/%h'`: it reads the same answers, "
    "with a process for each node, and prints them without a comparison."
)
ANSWER_END: Final = b"synctool-probe-end"
_RACKS: Final = 10
_CHECKOUT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class SimulatedNodes:
    """A masterdir, and for every node a file with what the probe would print there.

    All is as it should be, but for `drifted` entries of each node of the first `drifting` racks, whose mode differs.
    """

    nodes: int
    entries: int
    conf: Path
    answers: Path
    drifted: int = 0
    drifting: int = _RACKS

    @property
    def drifting_nodes(self) -> int:
        """How many nodes have drifted entries."""
        return sum(number % _RACKS < self.drifting for number in range(self.nodes)) if self.drifted else 0

    @property
    def tests(self) -> int:
        """How many (node, entry) there are."""
        return self.nodes * self.entries

    def audit(
        self, *options: str, delay: float = 0.0, env: Mapping[str, str] | None = None, limit: float = LIMIT
    ) -> Finished:
        """An audit of all nodes that finds exactly the drift; each node answers after `delay` seconds.

        Raises BenchError.
        """
        by_node = WHOLE_NODES in options
        tests = self.nodes if by_node else self.tests
        failed = self.drifting_nodes * (1 if by_node else self.drifted)
        return project.audit(
            self.conf,
            "-p",
            fake_nodes.__name__,
            *options,
            tests=tests,
            failed=failed,
            env={**self._environment(delay), **(env or {})},
            limit=limit,
        )

    def clush(self, delay: float = 0.0) -> Finished:
        """ClusterShell, which reads the same answers with a process for each node, and compares nothing.

        Raises BenchError unless all nodes have answered in full.
        """
        command = f"{f'sleep {delay}; ' if delay else ''}cat {shlex.quote(str(self.answers))}/%h"
        argv = [sys.executable, "-m", "ClusterShell.CLI.Clush", "-S", "-R", "exec", "-f", str(DEFAULT_NUM_PROC)]
        finished = run([*argv, "-w", f"node[1-{self.nodes}]", command], self.conf.parent)
        ends = finished.output.count(b": " + ANSWER_END)
        if ends != self.nodes:
            raise BenchError(f"{ends} nodes have answered clush instead of {self.nodes}")
        return finished

    def _environment(self, delay: float) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(_CHECKOUT), os.environ.get("PYTHONPATH"))))
        return {fake_nodes.ANSWERS: str(self.answers), fake_nodes.DELAY: str(delay), "PYTHONPATH": path}


def simulated_nodes(
    directory: Path, nodes: int, entries: int = ENTRIES, drifted: int = 0, drifting: int = _RACKS
) -> SimulatedNodes:
    """So many nodes in ten racks, with so many entries each; a tenth of the files is of a rack's own.

    `drifted` entries differ on each node of the first `drifting` racks.
    """
    names = [f"node{number}" for number in range(1, nodes + 1)]
    racks = [f"rack{number}" for number in range(min(_RACKS, nodes))]
    material = masterdir.write(directory / "work", names, entries, groups=racks)
    answers = directory / "answers"
    answers.mkdir()
    found = config.load(material.conf)
    repository = load(found)
    written: dict[EntryList, Path] = {}  # nodes of a rack share one list
    for number, node in enumerate(found.nodes.values()):
        path = answers / node.name
        expected = repository.entries(node)
        if expected in written:
            path.hardlink_to(written[expected])
        else:
            path.write_bytes(answer(expected, drifted if number % _RACKS < drifting else 0))
            written[expected] = path
    return SimulatedNodes(nodes, entries, material.conf, answers, drifted, drifting)


def answer(entries: Iterable[Entry], drifted: int = 0) -> bytes:
    """What the probe prints on a node that has these entries of files and directories as they should be.

    The mode of the last `drifted` ones differs. Raises BenchError if the probe's own reader does not understand it so.
    """
    entries = list(entries)
    states = [entry.expected for entry in entries]
    for number in range(len(states) - drifted, len(states)):
        states[number] = replace(states[number], mode=states[number].mode ^ 0o001)
    requests = [
        probe.Request(e.destination, e.expected.size if e.expected.kind is Kind.FILE else None, expected=e.expected)
        for e in entries
    ]
    by_path = {entry.destination: state for entry, state in zip(entries, states, strict=True)}
    stats, digests = [], []
    for number, path in enumerate(probe.layout(requests)):
        if (known := by_path.get(path)) is not None:
            stats += [b"i:%d" % number, _facts(known).encode()]
            if known.md5 is not None:
                digests += [b"i:%d" % number, b"m:" + known.md5.encode()]
    text = b"\n".join((b"synctool-probe", *stats, *digests, ANSWER_END, b""))
    read = probe.parse(requests, text)
    for entry, state in zip(entries, states, strict=True):
        actual = read[entry.destination]
        if not isinstance(actual, FileState) or (actual.mode, actual.md5) != (state.mode, state.md5):
            raise BenchError(f"the probe's answer has another form now: {entry.source.shown} is read as {actual}")
    return text


def _facts(state: FileState) -> str:
    mode = state.mode | (stat.S_IFREG if state.kind is Kind.FILE else stat.S_IFDIR)
    return f"{mode:x}:{state.uid}:{state.size}:{state.gid}:{state.owner or 'UNKNOWN'}:{state.group or 'UNKNOWN'}"
