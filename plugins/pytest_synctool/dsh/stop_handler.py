"""The event handler of the commands that end others on nodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from ClusterShell.Event import EventHandler

from pytest_synctool.connection.ssh import failure_reason
from pytest_synctool.dsh.calls import Call

STOP_LIMIT: Final = 6.0  # seconds for ending a command on a node; two of them pass before it is killed
_MOST_STOP_LINES: Final = 20


class StopHandler(EventHandler):  # type: ignore[misc]  # ClusterShell's classes are untyped here
    """The event handler of a stop line. It reports None if the command was ended, or else the reason."""

    def __init__(self, call: Call, report: Callable[[Call, str | None], None]) -> None:
        super().__init__()
        self._call, self._report = call, report
        self._lines: deque[bytes] = deque(maxlen=_MOST_STOP_LINES)
        self._ended = False

    def ev_read(self, worker: Any, node: str, sname: str, msg: bytes) -> None:
        """Keep a line: it may be the reason for a failure."""
        self._lines.append(msg)
        self._ended = self._ended or msg.endswith(f"{self._call.token} ended".encode())

    def end_unreachable(self, nodes: Sequence[str], reason: str) -> None:
        """Keep the reason why the gateway does not reach the node."""
        self._lines.append(reason.encode())

    def ev_close(self, worker: Any, timedout: bool) -> None:
        """Report the result."""
        problem = f"no answer within {STOP_LIMIT:g} s" if timedout else failure_reason(b"\n".join(self._lines))
        self._report(self._call, None if self._ended else problem)
