"""Processes on this machine that talk to nodes. An interrupted run can end them all."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

from pytest_synctool.connection.exchange import Exchange, Limits, status_of
from pytest_synctool.connection.interruption import END_WITH_PROCESS
from pytest_synctool.errors import TransportError


@dataclass(frozen=True, slots=True)
class Answer:
    """The exit status and both outputs of a command, as bytes.

    If the output was to begin with a certain text, which did not come, `before` is the end of what came instead.
    """

    status: int
    stdout: bytes
    stderr: bytes
    before: bytes | None = None


@dataclass(eq=False)
class Processes:
    """The running commands of a run. All its threads share one object.

    `silence_option` is the option of the command line that sets the limit of silence, for messages.
    """

    silence_option: str = "--node-timeout"
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False
    _parts: list[Processes] = field(default_factory=list)

    def __post_init__(self) -> None:
        END_WITH_PROCESS.add(self)

    @property
    def is_closed(self) -> bool:
        """True after end_all()."""
        return self._closed

    def part(self) -> Processes:
        """Return processes that can be ended without the others; all end together."""
        part = Processes(self.silence_option)
        with self._lock:
            part._closed = self._closed
            self._parts.append(part)
        return part

    def run(
        self, argv: Sequence[str], data: bytes | BinaryIO, limits: Limits, output: BinaryIO | None = None
    ) -> Answer:
        """Run a command with `data`, bytes or an open file, as standard input.

        Its standard output goes to the file `output`, or into the answer if that is None. Raise AnswerTooLong or
        TransportError if the command exceeds a limit; TransportError if it cannot start, or after end_all().
        """
        process = self._start(argv)
        exchange = Exchange(process, BytesIO(data) if isinstance(data, bytes) else data, limits, output)
        try:
            exchange.run()
        except TransportError as error:
            error.stdout = exchange.stdout
            raise
        finally:
            _end(process, limits)
            with self._lock:
                self._running.discard(process)
        if self._closed and process.returncode < 0:
            raise TransportError("interrupted")
        return Answer(process.returncode, exchange.stdout, exchange.stderr, exchange.before)

    def _start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise TransportError("interrupted")
            try:
                # In a session of its own: Ctrl-C in the terminal must not interrupt a node in the middle of a change.
                process = subprocess.Popen(
                    argv,
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                raise TransportError(f"cannot run {argv[0]}: {error.strerror}") from error
            self._running.add(process)
        return process

    def end_all(self) -> None:
        """End every running command, and let no other one start."""
        with self._lock:
            self._closed = True
            for process in self._running:
                _kill(process)
            for part in self._parts:
                part.end_all()

    def end_at_once(self) -> None:
        """End every running command without waiting for the lock: another thread may hold it."""
        self._closed = True
        for process in tuple(self._running):
            if process.returncode is None:
                _kill(process)


def _end(process: subprocess.Popen[bytes], limits: Limits) -> None:
    """End a process if it still runs, and close its pipes: a background process of ssh may hold the other ends open.

    That one stays, for it shares a connection. The ssh of an rsync goes: rsync may have ended without it.
    """
    if limits.has_ssh or status_of(process) is None:
        _kill(process)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
