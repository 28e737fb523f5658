"""The exchange with a running command: its input goes in and its output comes out, within limits of time and size."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final

from pytest_synctool.errors import AnswerTooLong, TransportError

SHORT_ANSWER: Final = 1 << 20  # bytes
_MOST_STDERR: Final = 16 << 20  # bytes; a command that prints more is ended
_KEPT_STDERR: Final = 64 << 10  # bytes; half of them from the beginning
_KEPT_BEFORE: Final = 4 << 10  # bytes of what a login prints: its last line may be the reason for a failure
_MOST_SILENCES: Final = 30  # the longest time of a command that moves no data, in times its longest silence
_SLOWEST: Final = 10_000  # bytes; this many allow a command one second more

_PIECE: Final = 64 << 10  # bytes
_LONGEST_REASON: Final = 30  # seconds
_LOOKS: Final = 8  # at the bytes that a process moves, in the longest silence
_SHORTEST_POLL: Final = 0.0005  # seconds
_LONGEST_POLL: Final = 0.05


class Phase(Enum):
    """The phases of the work on a node, as messages name them."""

    PROBE = "the probe"
    PUSH = "the push to its mirror"
    REPAIR = "the repair"
    FETCH = "the fetch of contents"
    UPLOAD = "the upload"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one command.

    `silence` is in seconds: the longest time in which the command neither prints nor takes a byte. `ceiling` is the
    largest number of bytes on standard output. Messages name the `phase`, and the `option` that sets the silence.
    With `has_ssh`, the command talks to the node by an ssh of its own, as rsync does: bytes that it reads or writes
    elsewhere count too, and that ssh ends with it. With `holds_input`, standard input stays open until the command has
    ended. What comes before `begins` on standard output is what a login prints; it is no part of the output.
    """

    silence: float
    ceiling: int = SHORT_ANSWER
    phase: Phase = Phase.PROBE
    option: str = ""
    has_ssh: bool = False
    holds_input: bool = False
    begins: bytes = b""

    def longest(self, moved: int = 0) -> float:
        """Return the longest time of a command that has moved so many bytes, in seconds."""
        return self.silence * _MOST_SILENCES + moved / _SLOWEST


@dataclass(slots=True)
class _Ends:
    """The first and the last bytes of a stream."""

    size: int = 0
    _head: bytearray = field(default_factory=bytearray)
    _tail: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        half = _KEPT_STDERR // 2
        room = half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        del self._tail[:-half]
        self.size += len(data)

    def value(self) -> bytes:
        """Return the bytes. A line in between states how many were left out."""
        left_out = self.size - len(self._head) - len(self._tail)
        between = b"\n[%d bytes left out]\n" % left_out if left_out else b""
        return bytes(self._head + between + self._tail)


class Exchange:
    """The streams of one running command, whose three standard streams are pipes.

    The exchange ends with standard output and with the process, not with standard error: an ssh before 8.5 that keeps a
    shared connection in the background holds that open for as long as the connection lasts.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], source: BinaryIO, limits: Limits, output: BinaryIO | None
    ) -> None:
        self._process, self._source, self._limits, self._output = process, source, limits, output
        self._stdout, self._stderr = bytearray(), _Ends()
        self._before: bytearray | None = bytearray() if limits.begins else None
        self._printed = self._taken = self._io = 0
        self._pending = memoryview(b"")
        self._began = self._active = time.monotonic()
        self._poll = _SHORTEST_POLL

    @property
    def stdout(self) -> bytes:
        """Standard output so far. It is empty if it goes to a file."""
        return bytes(self._stdout)

    @property
    def before(self) -> bytes | None:
        """The last bytes of standard output if `begins` did not come; None if it came."""
        return None if self._before is None else bytes(self._before)

    @property
    def stderr(self) -> bytes:
        """Standard error so far: at most 64 KiB of it, from both ends."""
        return self._stderr.value()

    def run(self) -> None:
        """Exchange data until the command has ended.

        Raise AnswerTooLong or TransportError as soon as the command exceeds a limit. The caller then has to end it.
        """
        try:
            self._run()
        except OSError as error:  # of our own files: the disk is full
            reason = error.strerror or str(error)
            raise TransportError(f"{self._limits.phase.value} failed on this machine: {reason}") from error

    def _run(self) -> None:
        streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        stdin, stdout, stderr = (stream.fileno() for stream in streams if stream is not None)
        moves = {stdin: self._write, stdout: self._read, stderr: self._hear}
        with selectors.PollSelector() as selector:  # unlike others, it is no open file itself
            for descriptor in moves:
                os.set_blocking(descriptor, False)
                selector.register(descriptor, selectors.EVENT_WRITE if descriptor == stdin else selectors.EVENT_READ)
            while stdout in selector.get_map() or status_of(self._process) is None:
                for key, _ in selector.select(self._wait(ending=stdout not in selector.get_map())):
                    if not moves[key.fd](key.fd):
                        selector.unregister(key.fd)
                        if key.fd == stdin and not self._limits.holds_input:
                            self._close_input()
        if self._limits.has_ssh and status_of(self._process):
            self._await_reason(stderr)
        self._drain(stderr)

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _wait(self, *, ending: bool) -> float:
        """Return the seconds to wait for data. Raise TransportError if a time limit has passed."""
        now, limits = time.monotonic(), self._limits
        if limits.has_ssh and (moved := _moved(self._process.pid)) > self._io:
            self._io, self._active = moved, now
        moved = self._printed + self._stderr.size + self._taken + self._io
        left = min(self._active + limits.silence, self._began + limits.longest(moved)) - now
        if left <= 0:
            option = f" ({limits.option})" if limits.option else ""
            if self._active + limits.silence <= now:
                raise TransportError(f"no answer within {limits.silence:g} s during {limits.phase.value}{option}")
            raise TransportError(f"{limits.phase.value} has not ended within {now - self._began:.0f} s{option}")
        if limits.has_ssh:
            left = min(left, limits.silence / _LOOKS)
        if not ending:
            return left
        self._poll = min(self._poll * 2, _LONGEST_POLL)  # nothing wakes select() when the process ends
        return min(self._poll, left)

    def _read(self, descriptor: int) -> bool:
        """Read from standard output. Return False at its end."""
        data = os.read(descriptor, _PIECE)
        self._active = time.monotonic()
        self._printed += len(data)
        if self._printed > self._limits.ceiling:
            raise self._too_long(self._limits.ceiling, "standard output")
        is_open = bool(data)
        if self._before is not None:
            data = self._begin(self._before, data)
        if self._output is None:
            self._stdout += data
        else:
            self._output.write(data)
        return is_open

    def _begin(self, before: bytearray, data: bytes) -> bytes:
        """Return the bytes of the output itself: none before it begins."""
        before += data
        _, begins, after = before.partition(self._limits.begins)
        if begins:
            self._before = None
            return bytes(after)
        del before[:-_KEPT_BEFORE]
        return b""

    def _hear(self, descriptor: int) -> bool:
        """Read from standard error. Return False at its end."""
        data = os.read(descriptor, _PIECE)
        self._active = time.monotonic()
        self._stderr.add(data)
        if self._stderr.size > _MOST_STDERR:
            raise self._too_long(_MOST_STDERR, "standard error")
        return bool(data)

    def _too_long(self, allowed: int, stream: str) -> AnswerTooLong:
        phase = self._limits.phase.value
        return AnswerTooLong(f"more than {allowed:,} bytes on {stream} during {phase}, which is the most allowed")

    def _write(self, descriptor: int) -> bool:
        """Write to standard input. Return False when all is written, or when the command reads no more."""
        if not self._pending:
            self._pending = memoryview(self._source.read(_PIECE))
        try:
            written = os.write(descriptor, self._pending) if self._pending else 0
        except BrokenPipeError:
            return False
        self._pending = self._pending[written:]
        self._taken += written
        self._active = time.monotonic()
        return written > 0

    def _await_reason(self, descriptor: int) -> None:
        """Give the ssh of a command that has failed some time to bring what is on its way, and to end."""
        end = time.monotonic() + min(_LONGEST_REASON, self._limits.silence)
        with selectors.PollSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while selector.select(end - time.monotonic()) and self._hear(descriptor):
                pass

    def _drain(self, descriptor: int) -> None:
        """Read what the ended process has left in standard error. A process in the background may still add to it."""
        for _ in range(_MOST_STDERR // _PIECE):
            try:
                if not self._hear(descriptor):
                    return
            except BlockingIOError:
                return


def status_of(process: subprocess.Popen[bytes]) -> int | None:
    """Return the exit status or signal of a process, or None while it runs. It keeps its number, and so its group."""
    if process.returncode is not None:
        return process.returncode
    try:
        result = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # SIGCHLD is ignored
        return process.poll()
    return result.si_status if result is not None else None


def _moved(pid: int) -> int:
    """Return the number of bytes that a process has read and written; 0 where the system does not count them."""
    try:
        counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
        return int(counts["rchar"]) + int(counts["wchar"])
    except (OSError, ValueError, KeyError):
        return 0
