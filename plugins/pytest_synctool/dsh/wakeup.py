"""A way to wake ClusterShell's engine up, from a signal handler or another thread as well."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ClusterShell.Event import EventHandler
from ClusterShell.Worker.Worker import FANOUT_UNLIMITED, StreamWorker


class Wakeup:
    """A pipe that carries words to the engine's own thread, which does what they stand for."""

    def __enter__(self) -> Wakeup:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._lock = threading.RLock()  # a signal handler may come in between in the same thread
        self._open = True
        return self

    def worker(self, actions: Mapping[bytes, Callable[[], None]]) -> Any:
        """What the engine has to run beside its other work; it does not keep the engine running."""
        worker = StreamWorker(handler=_Listener(actions), autoclose=True)
        worker.set_reader("wakeup", self._read, closefd=False)
        worker._fanout = FANOUT_UNLIMITED
        return worker

    def say(self, word: bytes) -> None:
        """Say a word; nobody may be there any more."""
        with self._lock, suppress(BlockingIOError):
            if self._open:
                os.write(self._write, word + b"\n")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._open = False
            os.close(self._write)
            os.close(self._read)


class _Listener(EventHandler):  # type: ignore[misc]  # ClusterShell's classes are untyped here
    """Does what the words stand for."""

    def __init__(self, actions: Mapping[bytes, Callable[[], None]]) -> None:
        super().__init__()
        self._actions = actions

    def ev_read(self, worker: Any, node: str, sname: str, msg: bytes) -> None:
        """A word has come."""
        self._actions[msg]()
