"""Processes on this machine that talk to nodes. An interrupted run can end them all."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from pytest_synctool.errors import TransportError


@dataclass(frozen=True, slots=True)
class Answer:
    """The exit status and both outputs of a command, as bytes."""

    status: int
    stdout: bytes
    stderr: bytes


@dataclass
class Processes:
    """The running commands of a run. All its threads share one object."""

    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def run(
        self, argv: Sequence[str], data: bytes | BinaryIO, deadline: float, output: BinaryIO | None = None
    ) -> Answer:
        """Run a command with `data`, bytes or an open file, as standard input.

        Its standard output goes to the file `output`, or into the answer if that is None. Raise TransportError if the
        command does not end within `deadline` seconds, if it cannot start, or after end_all().
        """
        # Not a pipe: an ssh before 8.5 that keeps a shared connection in the background would hold it open.
        with tempfile.TemporaryFile() as errors:
            return self._run(argv, data, deadline, errors, output)

    def _run(
        self,
        argv: Sequence[str],
        data: bytes | BinaryIO,
        deadline: float,
        errors: BinaryIO,
        output: BinaryIO | None,
    ) -> Answer:
        with self._lock:
            if self._closed:
                raise TransportError("interrupted")
            try:
                # In a session of its own: Ctrl-C in the terminal must not interrupt a node in the middle of a change.
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE if isinstance(data, bytes) else data,
                    stdout=subprocess.PIPE if output is None else output,
                    stderr=errors,
                    start_new_session=True,
                )
            except OSError as error:
                raise TransportError(f"cannot run {argv[0]}: {error.strerror}") from error
            self._running.add(process)
        try:
            stdout, _ = process.communicate(data if isinstance(data, bytes) else None, timeout=deadline)
        except subprocess.TimeoutExpired:
            self._end(process)
            raise TransportError(f"no answer within {deadline:g} s") from None
        finally:
            with self._lock:
                self._running.discard(process)
        if self._closed and process.returncode < 0:
            raise TransportError("interrupted")
        errors.seek(0)
        return Answer(process.returncode, stdout or b"", errors.read())

    def end_all(self) -> None:
        """End every running command, and let no other one start."""
        with self._lock:
            self._closed = True
            for process in self._running:
                _kill(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        _kill(process)
        # Close the pipes instead of reading to their end: a background process of ssh may hold them open.
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
