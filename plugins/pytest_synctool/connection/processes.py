"""Commands under way on this machine, so that an interrupted run can end them."""

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
    """What came back from a node: exit status and both outputs, raw."""

    status: int
    stdout: bytes
    stderr: bytes


@dataclass
class Processes:
    """The commands under way, so that an interrupted run can end them. Shared by the threads of a run."""

    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def run(
        self, argv: Sequence[str], data: bytes | BinaryIO, deadline: float, output: BinaryIO | None = None
    ) -> Answer:
        """Run a command with `data`, or what is in a file, as its standard input.

        With `output`, a file, its standard output goes there, and not into memory. Raises TransportError past the
        deadline (seconds).
        """
        # Not a pipe: before 8.5 the ssh that keeps a shared connection in the background holds on to it.
        with tempfile.TemporaryFile() as complaints:
            return self._run(argv, data, deadline, complaints, output)

    def _run(
        self,
        argv: Sequence[str],
        data: bytes | BinaryIO,
        deadline: float,
        complaints: BinaryIO,
        output: BinaryIO | None,
    ) -> Answer:
        with self._lock:
            if self._closed:
                raise TransportError("interrupted")
            try:
                # A session of its own: Ctrl-C in the terminal must not cut a node off in the middle of a change.
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE if isinstance(data, bytes) else data,
                    stdout=subprocess.PIPE if output is None else output,
                    stderr=complaints,
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
        complaints.seek(0)
        return Answer(process.returncode, stdout or b"", complaints.read())

    def end_all(self) -> None:
        """End every command under way, and let no other start."""
        with self._lock:
            self._closed = True
            for process in self._running:
                _kill(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        _kill(process)
        # Somebody else may hold the pipes open (a background process of ssh), so they are closed, not drained.
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
