"""Wake up ClusterShell's engine, also from a signal handler or another thread, or by a timer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ClusterShell.Event import EventHandler
from ClusterShell.Worker.Worker import FANOUT_UNLIMITED, StreamWorker


class Wakeup:
    """A pipe that carries words to the thread of the engine, which runs an action for each word."""

    def __enter__(self) -> Wakeup:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._lock = threading.RLock()  # a signal handler may interrupt send() in the same thread
        self._open = True
        return self

    def worker(self, actions: Mapping[bytes, Callable[[], None]]) -> Any:
        """Return a worker that reads the pipe. The engine does not wait for it at the end."""
        worker = StreamWorker(handler=_Listener(actions), autoclose=True)
        worker.set_reader("wakeup", self._read, closefd=False)
        worker._fanout = FANOUT_UNLIMITED
        return worker

    def send(self, word: bytes) -> None:
        """Send a word. Do nothing if the pipe is closed."""
        with self._lock, suppress(BlockingIOError):
            if self._open:
                os.write(self._write, word + b"\n")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._open = False
            os.close(self._write)
            os.close(self._read)


class _Listener(EventHandler):  # type: ignore[misc]  # ClusterShell's classes are untyped here
    """The event handler that runs an action for each word."""

    def __init__(self, actions: Mapping[bytes, Callable[[], None]]) -> None:
        super().__init__()
        self._actions = actions

    def ev_read(self, worker: Any, node: str, sname: str, msg: bytes) -> None:
        """Run the action for a word."""
        self._actions[msg]()


class TimerHandler(EventHandler):  # type: ignore[misc]  # ClusterShell's classes are untyped here
    """The event handler of a timer, which runs an action."""

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__()
        self._action = action

    def ev_timer(self, timer: Any) -> None:
        """Run the action."""
        self._action()
