"""The log of a repair, written by the process that reports: a file, and syslog."""

from __future__ import annotations

import os
import stat
import syslog
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from pytest_synctool.common.accounts import user_name
from pytest_synctool.common.wording import nodes_in_words, printable_text
from pytest_synctool.errors import ConfigError
from pytest_synctool.model import NOT_KEPT, NodeResult, Status
from pytest_synctool.report.node_tests import NodeTests, reason, shown_destination


def stamped(text: str, when: datetime) -> str:
    """A line of the log: `2026-11-22T03:14:15+01:00 node3: /etc/motd created (missing)`.

    `when` has to know its offset from UTC.
    """
    return f"{when.isoformat(timespec='seconds')} {printable_text(text)}"


def events(tests: NodeTests, result: NodeResult) -> Iterator[str]:
    """What a log says of one node, without time: what was done, then what failed; nothing if there was nothing to do.

    Each has the name of the node in front.
    """
    for text in result.done:
        yield f"{tests.node}: {text}"
    if result.error is not None:
        yield f"{tests.node}: {reason(tests.node, result.error)}"
        return
    skipped: dict[str, None] = {}
    for nodeid, outcome in zip(tests.ids, result.outcomes, strict=True):
        if outcome.status in (Status.DRIFT, Status.ERROR):
            yield f"{tests.node}: {shown_destination(nodeid)} FAILED {outcome.message}"
        elif outcome.status is Status.SKIPPED and outcome != NOT_KEPT:
            skipped[outcome.message] = None
    for message in skipped:
        yield f"{tests.node}: {message}"


@dataclass
class Count:
    """Tests that were fixed and that failed, and nodes that have no result."""

    fixed: int = 0
    failed: int = 0
    unreachable: int = 0
    not_begun: int = 0

    def add(self, result: NodeResult) -> None:
        """Take up the result of a node."""
        found = [outcome.status for outcome in result.outcomes]
        self.fixed += found.count(Status.FIXED)
        self.failed += found.count(Status.DRIFT) + found.count(Status.ERROR)
        self.unreachable += result.error is not None
        begun = (outcome.status is not Status.SKIPPED or outcome == NOT_KEPT for outcome in result.outcomes)
        self.not_begun += bool(found) and not any(begun)

    def __str__(self) -> str:
        """`3 fixed, 1 failed`, and the nodes without a result if there are any."""
        words = [f"{self.fixed} fixed", f"{self.failed} failed"]
        words += [f"{nodes_in_words(self.unreachable)} not looked at"] * bool(self.unreachable)
        words += [f"{nodes_in_words(self.not_begun)} not begun"] * bool(self.not_begun)
        return ", ".join(words)


_SYSLOG_SOCKET: Final = "/dev/log"


@dataclass
class RepairLog:
    """Takes up results as nodes end, from several threads. A write that fails is told once, in `problem`."""

    path: str | None
    syslog: bool
    descriptor: int | None = None
    mode: str = "--fix"
    problem: str | None = None
    _count: Count = field(default_factory=Count)
    _began: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def places(self) -> list[str]:
        """Where the lines are to be found."""
        heard = self.syslog and os.path.exists(_SYSLOG_SOCKET)  # without a socket, syslog() does nothing
        return [*([self.path] if self.path else []), *(["syslog"] if heard else [])]

    def began(self, nodes: int) -> None:
        """The first line of a run."""
        if self.syslog:
            syslog.openlog("synctool", 0, syslog.LOG_USER)
        with self._lock:
            self._began = True
            self._write([f"synctool {self.mode} began: {user_name()}, {nodes_in_words(nodes)}"])

    def take(self, tests: NodeTests, result: NodeResult) -> None:
        """The lines of a node that has ended."""
        with self._lock:
            self._count.add(result)
            self._write(list(events(tests, result)))

    def ended(self) -> None:
        """The last line of a run that has begun; nothing can be written any more."""
        with self._lock:
            if self._began:
                self._write([f"synctool {self.mode} ended: {self._count}"])
            if self.descriptor is not None:
                os.close(self.descriptor)
            self.descriptor, self.syslog, self._began = None, False, False

    def _write(self, texts: Sequence[str]) -> None:
        now = datetime.now().astimezone()
        found = [stamped(text, now) for text in texts]
        if self.syslog:
            for line in found:
                syslog.syslog(syslog.LOG_NOTICE, line.partition(" ")[2])  # syslog has a time of its own
        rest = "".join(f"{line}\n" for line in found).encode("utf-8", "backslashreplace")
        try:
            while rest and self.descriptor is not None:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError as error:  # the nodes are what matters: a full disk here does not stop a repair
            self.problem = self.problem or f"{self.path} is not complete: {error.strerror}"


def append_to(path: str, conf: Path) -> int:
    """A descriptor that appends to the `logfile` of a configuration. Raises ConfigError if it cannot be had."""
    try:
        # O_NONBLOCK, so that a pipe that nobody reads is an error and no wait.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o640)
    except OSError as error:
        raise ConfigError(f"{conf}: 'logfile {path}' cannot be opened for appending: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ConfigError(f"{conf}: 'logfile {path}' is not a regular file")
    return descriptor
