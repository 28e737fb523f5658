"""Probes ahead: while an audit reads its masterdir, large nodes are asked what the last audit has asked them.

A probe ahead only reads, as every probe. Its answer counts only if the audit then asks exactly the same; otherwise it
is ended, and the node is asked again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_synctool.common import cache_directory
from pytest_synctool.connection.processes import Answer, Processes
from pytest_synctool.errors import SynctoolError
from pytest_synctool.model import Node

# A shorter script is made in less time than a login takes, and of many nodes only the first ones would gain.
_SHORTEST: Final = 100_000  # bytes
_LONGEST: Final = 16 << 20
_MOST_NODES: Final = 16
_MOST_FILES: Final = 32  # those that were not asked for the longest time go

Run = Callable[[bytes, float, int, Processes], Answer]


@dataclass(frozen=True, slots=True)
class Question:
    """A probe: its script, the longest silence in seconds, and the largest answer in bytes."""

    script: bytes
    deadline: float
    ceiling: int

    def to_bytes(self) -> bytes:
        """Return the content of a file from which from_bytes() makes it again."""
        return b"%r %d\n%s" % (self.deadline, self.ceiling, self.script)

    @classmethod
    def from_bytes(cls, content: bytes) -> Question:
        """Return what to_bytes() was of. Raises ValueError for anything else."""
        head, _, script = content.partition(b"\n")
        deadline, _, ceiling = head.partition(b" ")
        return cls(script, float(deadline), int(ceiling))


@dataclass
class ProbeAhead:
    """The first probe of one node: what was asked ahead, if anything was, and the file for what will be asked."""

    path: Path
    _question: Question | None = None
    _processes: Processes | None = None
    _thread: threading.Thread | None = None
    _answer: Future[Answer] = field(default_factory=Future)

    def begin(self, run: Run, processes: Processes) -> None:
        """Ask in a thread of its own what the last audit has asked, if that is known."""
        try:
            question = Question.from_bytes(cache_directory.read(self.path, _LONGEST))
        except (OSError, SynctoolError, ValueError):
            return
        self._question, self._processes = question, processes
        asking = (run, question, processes)
        self._thread = threading.Thread(target=self._ask, args=asking, name="synctool-ahead", daemon=True)
        self._thread.start()

    def _ask(self, run: Run, question: Question, processes: Processes) -> None:
        try:
            self._answer.set_result(run(question.script, question.deadline, question.ceiling, processes))
        except BaseException as error:
            self._answer.set_exception(error)

    def answer(self, question: Question) -> Answer | None:
        """Return the answer to a question that was asked ahead; None if another one was. Raises what its run raised."""
        if self._question == question:
            return self._answer.result()
        self.end()
        return None

    def end(self) -> None:
        """End what was asked ahead, and wait for that."""
        if self._processes is not None and self._thread is not None:
            self._processes.end_all()
            self._thread.join()

    def keep(self, question: Question) -> None:
        """Keep a question that was answered for the next audit. Where that is impossible it does without."""
        content = question.to_bytes()
        if len(question.script) < _SHORTEST or len(content) > _LONGEST:
            return
        with suppress(OSError, SynctoolError):
            if self._question == question:
                os.utime(self.path)
                return
            cache_directory.made(self.path.parent)
            cache_directory.replace(self.path, [content])
            cache_directory.remove_oldest(self.path.parent, "*", _MOST_FILES)


@dataclass
class ProbesAhead:
    """The probes ahead of a run, by node.

    `kind` tells runs apart that ask in different ways. The run contacts at most `width` nodes at once.
    """

    kind: str
    width: int
    _by_node: dict[str, ProbeAhead] = field(default_factory=dict)

    def begin(self, masterdir: Path, nodes: Sequence[Node], run: Callable[[Node], Run], processes: Processes) -> None:
        """Ask these nodes ahead, if they are few. `processes` ends them when the run is interrupted."""
        if len(nodes) > min(self.width, _MOST_NODES):
            return
        try:
            place = cache_directory.of_user() / "probes"
        except OSError:
            return
        import hashlib  # not at the top: it loads OpenSSL, and commands that ask nothing ahead do without

        for node in nodes:
            words = (os.fsencode(masterdir), *map(os.fsencode, (node.name, node.host_spec, self.kind)))
            name = hashlib.md5(b"\0".join(words), usedforsecurity=False).hexdigest()
            ahead = self._by_node[node.name] = ProbeAhead(place / name)
            ahead.begin(run(node), processes.part())

    def of(self, node: Node) -> ProbeAhead | None:
        """Return that of a node, once."""
        return self._by_node.pop(node.name, None)

    def close(self) -> None:
        """End all that nobody has asked for."""
        for ahead in self._by_node.values():
            ahead.end()
        self._by_node.clear()
