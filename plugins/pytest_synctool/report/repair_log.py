"""The log of a repair: a file and syslog, both written by the process that reports."""

from __future__ import annotations

import os
import syslog
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from pytest_synctool.common.accounts import user_name
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import open_regular
from pytest_synctool.common.wording import nodes_in_words, printable_text
from pytest_synctool.errors import ConfigError
from pytest_synctool.model import NodeResult, Status
from pytest_synctool.report.ending import NOTHING_KNOWN, NodeEnding, ending_of_result
from pytest_synctool.report.node_test_ids import NodeTests, shown_destination


def stamped(text: str, when: datetime) -> str:
    """Return a line of the log: `2026-11-22T03:14:15+01:00 node3: /etc/motd created (missing)`.

    `when` must have an offset from UTC.
    """
    return f"{when.isoformat(timespec='seconds')} {printable_text(text)}"


def events(tests: NodeTests, result: NodeResult) -> Iterator[str]:
    """Yield the log lines of one node without their times: changes and commands first, then failures.

    Each line begins with the name of the node. A node without changes and failures has no lines.
    """
    for text in result.done:
        yield f"{tests.node}: {text}"
    if result.error is not None:
        yield f"{tests.node}: {result.error.text}"
        return
    skipped: dict[str, None] = {}
    for nodeid, outcome in zip(tests.ids, result.outcomes, strict=True):
        if outcome.status in (Status.DRIFT, Status.ERROR):
            yield f"{tests.node}: {shown_destination(nodeid)} FAILED {outcome.message}"
        elif outcome.is_missed:
            skipped[outcome.message] = None
    for message in skipped:
        yield f"{tests.node}: {message}"


@dataclass
class RepairCounts:
    """Counts of the entries that were fixed and that failed, and of the nodes by ending."""

    fixed: int = 0
    failed: int = 0
    endings: Counter[NodeEnding] = field(default_factory=Counter)

    def add(self, result: NodeResult) -> None:
        """Count the result of a node."""
        statuses = [outcome.status for outcome in result.outcomes]
        self.fixed += statuses.count(Status.FIXED)
        self.failed += statuses.count(Status.DRIFT) + statuses.count(Status.ERROR)
        self.endings[ending_of_result(result)] += 1

    def __str__(self) -> str:
        """Return `3 fixed, 1 failed`, followed by the nodes that were not looked at or not begun, if there are any."""
        words = [f"{self.fixed} fixed", f"{self.failed} failed"]
        if unknown := sum(self.endings[ending] for ending in NOTHING_KNOWN):
            words.append(f"{nodes_in_words(unknown)} not looked at")
        if not_begun := self.endings[NodeEnding.NOT_BEGUN]:
            words.append(f"{nodes_in_words(not_begun)} not begun")
        return ", ".join(words)


_SYSLOG_SOCKET: Final = "/dev/log"


@dataclass
class RepairLog:
    """The log of one run; threads pass it the results of nodes. `problem` has the first write that failed."""

    path: str | None
    syslog: bool
    descriptor: int | None = None
    mode: str = "--fix"
    problem: str | None = None
    _counts: RepairCounts = field(default_factory=RepairCounts)
    _began: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def places(self) -> list[str]:
        """The places where people find the lines: the path of the file, and `syslog`."""
        in_syslog = self.syslog and os.path.exists(_SYSLOG_SOCKET)  # without a socket, syslog() does nothing
        return [*([self.path] if self.path else []), *(["syslog"] if in_syslog else [])]

    def began(self, nodes: int) -> None:
        """Write the first line of a run over so many nodes."""
        if self.syslog:
            syslog.openlog("synctool", 0, syslog.LOG_USER)
        with self._lock:
            self._began = True
            self._write([f"synctool {self.mode} began: {user_name()}, {nodes_in_words(nodes)}"])

    def take(self, tests: NodeTests, result: NodeResult) -> None:
        """Write the lines of a node that has ended."""
        with self._lock:
            self._counts.add(result)
            self._write(list(events(tests, result)))

    def ended(self) -> None:
        """Write the last line of a run that has begun, and close the log."""
        with self._lock:
            if self._began:
                self._write([f"synctool {self.mode} ended: {self._counts}"])
            if self.descriptor is not None:
                os.close(self.descriptor)
            self.descriptor, self.syslog, self._began = None, False, False

    def _write(self, texts: Sequence[str]) -> None:
        now = datetime.now().astimezone()
        lines = [stamped(text, now) for text in texts]
        if self.syslog:
            for line in lines:
                syslog.syslog(syslog.LOG_NOTICE, line.partition(" ")[2])  # syslog adds its own time
        rest = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        try:
            while rest and self.descriptor is not None:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError as error:  # a full disk of the controller must not stop the repair of nodes
            self.problem = self.problem or f"{self.path} is not complete: {error.strerror}"


def append_to(path: str, conf: Path, trust: Trust) -> int:
    """Open the `logfile` of a configuration for appending; return its descriptor. Raises ConfigError."""
    try:
        return open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, trust, 0o640)
    except OSError as error:
        raise ConfigError(f"{conf}: 'logfile {path}' cannot be opened for appending: {error.strerror}") from error
