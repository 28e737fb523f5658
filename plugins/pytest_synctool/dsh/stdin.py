"""One input for many readers that start at different times and read at different speeds."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from typing import Final, Protocol

_SIZE: Final = 65536
_IN_MEMORY: Final = 1 << 20  # bytes; what is longer is kept in a file without a name


class Reader(Protocol):
    """Somebody who has asked for more than there was."""

    def resume(self) -> None:
        """There is more, or the end has come."""


class Feed:
    """What comes from a file descriptor, kept from its beginning on and read only as far as somebody has asked for.

    So an input without an end serves readers that take a part of it. `notify` is called from another thread when there
    is more, or when the end has come; it has to be safe for that.
    """

    def __init__(self, descriptor: int, notify: Callable[[], object]) -> None:
        self._descriptor = descriptor
        self._notify = notify
        self._kept = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # see close()
        self._size = 0
        self._ended = False
        self.problem: OSError | None = None  # why it could not be kept
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self.waiting: list[Reader] = []
        # A read that waits for a terminal or pipe must not keep the process from ending.
        threading.Thread(target=self._read, daemon=True).start()

    def after(self, offset: int) -> bytes | None:
        """Some bytes behind this offset, b"" at the end; None where there are none yet, which are read then."""
        with self._lock:
            if offset < self._size:
                self._kept.seek(offset)
                return self._kept.read(_SIZE)
            if self._ended:
                return b""
        self._wanted.set()
        return None

    def resume(self) -> None:
        """Let go on who is waiting. Raises OSError if the input cannot be kept."""
        if self.problem is not None:
            raise self.problem
        waiting, self.waiting = self.waiting, []
        for reader in waiting:
            reader.resume()

    def close(self) -> None:
        """Nobody will ask again. A read that is under way comes to nothing."""
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
            except OSError:  # closed, or a terminal that is not ours: there is nothing to read
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
