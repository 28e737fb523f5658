"""ClusterShell's clients and workers for our own argument lists: one process for each node, its lines and its input."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any, Final

from ClusterShell.Engine.Engine import E_READ, E_WRITE
from ClusterShell.Worker.Exec import ExecClient, ExecWorker

from pytest_synctool.dsh.stdin import Feed

# Seconds that a process has to end by itself: rsync removes unfinished files, ssh closes its connection.
_PATIENCE: Final = 0.5
_POLL: Final = 0.005

LONGEST_LINE: Final = 1 << 20  # bytes; a longer line is not kept until its end


class Lines:
    """A splitter that cuts a stream at its newlines, and a line of more than LONGEST_LINE bytes into several ones."""

    def __init__(self) -> None:
        self._open: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that this piece completes, without their newlines."""
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = self._close(whole[0])
        if rest:
            self._open.append(rest)
            self._size += len(rest)
        if self._size > LONGEST_LINE:
            whole.append(self._close(b""))
        return whole

    def rest(self) -> bytes:
        """Return the bytes after the last newline."""
        return b"".join(self._open)

    def _close(self, last: bytes) -> bytes:
        line = b"".join([*self._open, last])
        self._open, self._size = [], 0
        return line


class _Process(subprocess.Popen[bytes]):
    """A process that leads its own process group: Ctrl-C then reaches only dsh, which ends the command on the node."""

    def __init__(self, argv: Sequence[str]) -> None:
        super().__init__(
            argv,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def descriptor(self, stream: IO[bytes] | None) -> int:
        """Return a non-blocking descriptor of one of the streams. ClusterShell closes it."""
        assert stream is not None
        with stream:
            copy = os.dup(stream.fileno())
        os.set_blocking(copy, False)
        return copy

    def kill(self) -> None:
        """End the process group. Kill it if it does not end soon."""
        self._signal(signal.SIGTERM)
        until = time.monotonic() + _PATIENCE
        while self.poll() is None and time.monotonic() < until:
            time.sleep(_POLL)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # the group has ended
            os.killpg(self.pid, number)


class Client(ExecClient):  # type: ignore[misc]  # ClusterShell's classes are untyped here
    """The process of one node, with the argument list that its worker returns."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._lines: dict[str, Lines] = {}
        self._offset = 0

    def _build_cmd(self) -> tuple[Sequence[str], None]:
        return self.worker.argv_of(self.key, self.command), None

    def _exec_nonblock(self, commandlist: Sequence[str], shell: bool = False, env: None = None) -> _Process:
        process, worker = _Process(commandlist), self.worker
        for name, stream in ((worker.SNAME_STDERR, process.stderr), (worker.SNAME_STDOUT, process.stdout)):
            self.streams.set_stream(name, process.descriptor(stream), E_READ)
        self.streams.set_stream(worker.SNAME_STDIN, process.descriptor(process.stdin), E_WRITE, retain=False)
        return process

    def _handle_read(self, sname: str) -> None:
        lines = self._lines.setdefault(sname, Lines()).feed(self._read(sname))
        if lines:
            self.worker.handle_lines(self.key, sname, lines)

    def _flush_read(self, sname: str) -> None:
        rest = self._lines.pop(sname, Lines()).rest()
        if rest:
            self.worker.handle_lines(self.key, sname, [rest])

    def _handle_write(self, sname: str) -> None:
        stream, feed = self.streams[sname], self.worker.feed
        if not self.worker.may_write and not self._is_empty(feed):
            return  # what is to be written waits for Worker.begin()
        if feed is not None and not stream.wbuf and not stream.eof:
            data = feed.after(self._offset)
            if data is None:
                feed.waiting.append(self)  # the engine does not ask again before resume()
                return
            self._offset += len(data)
            stream.wbuf, stream.eof = data, not data
        super()._handle_write(sname)

    def _is_empty(self, feed: Feed | None) -> bool:
        """Return True if the input has ended without a byte: a login that reads sees its end at once."""
        first = b"-" if feed is None else feed.after(0)
        if first is None and feed is not None:
            feed.waiting.append(self)
        return first == b""

    def _close(self, abort: bool, timeout: bool) -> None:
        if abort:
            self.popen.kill()
        status = self.popen.wait()  # the negative number of a signal if one ended the process
        self.invalidate()
        for sname in list(self.streams):
            self._flush_read(sname)
        self.streams.clear()
        if timeout:
            self.worker._on_node_timeout(self.key)
        elif not abort:
            self._on_nodeset_close(self.key, status)
        self.worker._check_fini()

    def resume(self) -> None:
        """Continue writing: the feed has more bytes, or its end."""
        if self._engine and self.worker.SNAME_STDIN in self.streams:
            self._set_writing(self.worker.SNAME_STDIN)


class Worker(ExecWorker):  # type: ignore[misc]  # ClusterShell's classes are untyped here
    """A worker with one process for each node. Standard error is separate. A subclass sets `argv_of(node, command)`."""

    SHELL_CLASS = Client
    argv_of: Callable[[str, str], Sequence[str]]
    feed: Feed | None = None
    may_write = True  # nothing is written before the command has announced itself: a login could read it

    def begin(self) -> None:
        """Write standard input from now on."""
        if not self.may_write:
            self.may_write = True
            for client in self._clients:
                client.resume()

    def _create_clients(self, **keywords: Any) -> None:
        for rank, node in enumerate(self.nodes):  # unlike ClusterShell, do not expand `%hosts` in a command
            self._add_client(node, rank=rank, **keywords)

    def handle_lines(self, node: str, stream: str, lines: Sequence[bytes]) -> None:
        """Pass lines to the event handler one by one, as ClusterShell does."""
        for line in lines:
            self.eh.ev_read(self, node, stream, line)
