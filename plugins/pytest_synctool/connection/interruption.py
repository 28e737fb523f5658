"""SIGTERM and SIGHUP end a run as Ctrl-C does: with its reports. A second signal ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final, Protocol
from weakref import WeakSet

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_DEFAULTS: Final = (signal.SIG_DFL, signal.default_int_handler)


class Endable(Protocol):
    """Something that has to end with this process, such as programs that it has started."""

    def end_at_once(self) -> None:
        """End it. This runs in a signal handler, so it must not wait for a lock."""


END_WITH_PROCESS: Final[WeakSet[Endable]] = WeakSet()


class Interruption:
    """The handling of signals in the main thread. The first one raises KeyboardInterrupt there.

    `number` is the first signal, or None. While `is_ending` is True, the first signal raises nothing: reports are being
    written. Signals that are ignored (nohup), or that somebody else handles, stay so.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.is_ending = False
        self._before: dict[signal.Signals, Any] = {}

    def install(self, signals: Sequence[signal.Signals] = SIGNALS) -> Interruption:
        """Handle these signals from now on, if this is the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in signals:
                if signal.getsignal(number) in _DEFAULTS:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def restore(self) -> None:
        """Put the handlers back that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.number is not None:
            for each in END_WITH_PROCESS:
                each.end_at_once()
            os._exit(128 + number)
        self.number = number
        if not self.is_ending:
            raise KeyboardInterrupt
