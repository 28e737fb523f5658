"""A command on a node, as far as it has told of itself, and how that counts in the end."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pytest_synctool.common.wording import printable
from pytest_synctool.connection.ssh import SSH_FAILED, failure_reason

UNREACHABLE: Final = 3
TIMED_OUT: Final = 124  # as timeout(1) says it

_MOST_HELD: Final = 200  # lines; no connection fails with so many words
_GROUP: Final = re.compile(rb"[0-9]{1,10}")
# What ssh says last when a connection ends before the command does.
_LOST: Final = re.compile(
    rb"Connection (?:to|reset|closed|timed out)\b|client_loop: |Timeout, server |Read from remote host |"
    rb"packet_write_|ssh_dispatch_run_fatal|mux_client_|Received disconnect |Disconnected from "
)


class Ending(Enum):
    """How a command on a node has ended."""

    DONE = "done"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How it went on a node. `status` is the command's own, where it has ended; `reason` says why it has not."""

    ending: Ending
    status: int = 0
    reason: str = ""


@dataclass(slots=True)
class Call:
    """A command on a node.

    Until it has announced itself (`TOKEN GROUP` on standard error), what comes on standard error is from the
    connection: it is kept back, since that may be the reason why there is none. `unreachable_statuses` are the exit
    statuses that can mean so; those of plain ssh is 255 alone. Later a command may say a `notice` as it said its group.

    Lines that match `noise` only say that something went wrong; they are shown where nothing else was said. One on
    standard output that matches `left_out` says that not all was done, whatever the exit status says: `is_partial`.
    """

    node: str
    token: str
    is_ssh: bool = True
    unreachable_statuses: Container[int] = (SSH_FAILED,)
    noise: re.Pattern[bytes] | None = None
    left_out: re.Pattern[bytes] | None = None
    is_partial: bool = False
    group: int | None = None
    notice: str = ""
    outcome: CallOutcome | None = None
    _held: list[bytes] = field(default_factory=list, init=False)
    _holding: bool = field(default=True, init=False)
    _noise: list[bytes] = field(default_factory=list, init=False)
    _last: bytes = field(default=b"", init=False)

    def complains(self, line: bytes) -> bool:
        """Whether this line on standard output says that something was left out."""
        found = self.left_out is not None and self.left_out.match(line) is not None
        self.is_partial = self.is_partial or found
        return found

    def heard(self, line: bytes) -> list[bytes]:
        """What to show now that this line came on standard error."""
        before, token, told = line.rpartition(f"{self.token} ".encode())
        if token and _GROUP.fullmatch(told) and self.group is None:
            # No command is in the groups 0 and 1; to kill(1) they are something else.
            self.group = int(told) if int(told) > 1 else None
            return self._release([before] if before else [])  # something had left its line open
        if token and told.isalpha():
            self.notice = told.decode("ascii")
            return []
        if self.noise is not None and self.noise.match(line):
            self._noise.append(line)
            return []
        self._last = line
        if not self._holding:
            return [line]
        self._held.append(line)
        return self._release() if len(self._held) > _MOST_HELD else []

    def _release(self, more: Iterable[bytes] = ()) -> list[bytes]:
        self._holding = False
        shown, self._held = [*self._held, *more], []
        return shown

    def ended(self, status: int) -> list[bytes]:
        """Settle the outcome by the exit status of ssh, or of what is called instead; returns what to show yet."""
        if status < 0:
            return self.unreachable(f"its connection was ended here by signal {-status}")
        if status in self.unreachable_statuses and self._holding:
            return self.unreachable(failure_reason(self._last or b"\n".join(self._noise)))
        if self.is_ssh and status in self.unreachable_statuses and _LOST.match(self._last):
            return self.unreachable(printable(self._last.strip()).rstrip("."))
        self.outcome = CallOutcome(Ending.DONE, status or int(self.is_partial))
        return self._release(() if self._last or self.notice or not status else self._noise)

    def unreachable(self, reason: str) -> list[bytes]:
        """Settle that the node could not be reached, or not any longer; returns what to show."""
        self.outcome = CallOutcome(Ending.UNREACHABLE, reason=reason)
        return [f"unreachable: {reason}".encode()]

    def late(self, limit: float) -> list[bytes]:
        """Settle that a time limit (seconds) has passed; returns what to show."""
        if self.group is None:
            return self.unreachable(f"no answer within {limit:g} s")
        self.outcome = CallOutcome(Ending.TIMED_OUT, reason=f"{limit:g} s")
        return [f"not done within {limit:g} s".encode()]


def exit_status(outcomes: Iterable[CallOutcome], most: int = 255) -> int:
    """The worst: a node that was not reached is worse than a time limit, and that is worse than any exit status.

    An exit status counts as `most` at most.
    """
    endings, worst = set(), 0
    for outcome in outcomes:
        endings.add(outcome.ending)
        worst = max(worst, outcome.status)
    if Ending.UNREACHABLE in endings:
        return UNREACHABLE
    return TIMED_OUT if Ending.TIMED_OUT in endings else min(worst, most)
