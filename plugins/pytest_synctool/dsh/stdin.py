"""Standard input for many readers that start at different times and read at different speeds."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from typing import Final, Protocol

from pytest_synctool.errors import ConfigError

_SIZE: Final = 65536
_MOST_FOR_GATEWAYS: Final = 64 << 20  # bytes
_IN_MEMORY: Final = 1 << 20  # bytes; a longer input goes to a temporary file


class Reader(Protocol):
    """A reader that waits for more bytes."""

    def resume(self) -> None:
        """Continue reading: there are more bytes, or the input has ended."""


class Feed:
    """The input from a file descriptor, kept from its beginning, and read only as far as a reader asks for it.

    So an input without an end serves readers that take a part of it. `notify` is called when there are more bytes, or
    when the input has ended. The call comes from another thread, so `notify` must be thread-safe.
    """

    def __init__(self, descriptor: int, notify: Callable[[], object]) -> None:
        self._descriptor = descriptor
        self._notify = notify
        self._kept = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # see close()
        self._size = 0
        self._ended = False
        self.problem: OSError | None = None  # the reason why the input cannot be kept
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self.waiting: list[Reader] = []
        # A daemon: a read that waits for a terminal or pipe must not keep the process from ending.
        threading.Thread(target=self._read, daemon=True).start()

    def after(self, offset: int) -> bytes | None:
        """Return some bytes after this offset, or b"" at the end of the input.

        Return None if no bytes were read yet, and read some.
        """
        with self._lock:
            if offset < self._size:
                self._kept.seek(offset)
                return self._kept.read(_SIZE)
            if self._ended:
                return b""
        self._wanted.set()
        return None

    def resume(self) -> None:
        """Resume all waiting readers. Raise OSError if the input cannot be kept."""
        if self.problem is not None:
            raise self.problem
        waiting, self.waiting = self.waiting, []
        for reader in waiting:
            reader.resume()

    def close(self) -> None:
        """Stop reading. A read that has begun has no effect."""
        with self._lock:
            self._ended = True
            self._kept.close()
        self._wanted.set()

    def _read(self) -> None:
        while not self._ended:
            self._wanted.wait()
            self._wanted.clear()
            if self._ended:
                return
            try:
                data = os.read(self._descriptor, _SIZE)
            except OSError:  # closed, or the terminal of another process: it has no bytes for us
                data = b""
            with self._lock:
                if self._ended:
                    return
                try:
                    self._kept.seek(self._size)
                    self._kept.write(data)
                except OSError as error:
                    self.problem, data = error, b""
                self._size += len(data)
                self._ended = not data
            self._notify()


def whole(descriptor: int) -> bytes:
    """Return the whole input. ClusterShell keeps it in memory for gateways. Raise ConfigError if it is too long."""
    with open(descriptor, "rb", closefd=False) as stream:
        data = stream.read(_MOST_FOR_GATEWAYS + 1)
    if len(data) > _MOST_FOR_GATEWAYS:
        raise ConfigError(
            f"standard input has more than {_MOST_FOR_GATEWAYS >> 20} MiB, the limit for gateways; "
            "--no-tree has no limit, because it does not use gateways"
        )
    return data
