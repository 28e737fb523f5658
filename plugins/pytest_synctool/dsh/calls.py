"""Calls: a command on one node, its standard error so far, and its outcome."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pytest_synctool.common.wording import node_text
from pytest_synctool.connection.ssh import SSH_FAILED, failure_reason, not_begun

UNREACHABLE: Final = 3
TIMED_OUT: Final = 124  # the exit status of timeout(1), too

_MOST_HELD: Final = 200  # lines; a connection that fails prints fewer
_MOST_BYTES_HELD: Final = 64 << 10
_LONGEST_NOTICE: Final = 32  # letters
_GROUP: Final = re.compile(rb"[0-9]{1,10}")
# The last line of ssh when a connection ends before the command does.
_LOST: Final = re.compile(
    rb"Connection (?:to|reset|closed|timed out)\b|client_loop: |Timeout, server |Read from remote host |"
    rb"packet_write_|ssh_dispatch_run_fatal|mux_client_|Received disconnect |Disconnected from "
)


class CallEnding(Enum):
    """The ways in which a call ends."""

    DONE = "done"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed out"
    CUT_OFF = "cut off"


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """The end of a call: the exit status of a command that has ended, or the reason why it has not.

    A command that was cut off, because it printed too much, counts as exit status 1.
    """

    ending: CallEnding
    status: int = 0
    reason: str = ""


@dataclass(slots=True)
class Call:
    """A command on one node.

    The command announces itself by `TOKEN GROUP`, with the number of its process group: on standard error, in a
    container on standard output. Lines on standard error before that come from the connection. They are held back,
    because they may be the reason why the node is unreachable. A command that has not announced itself has not begun,
    whatever the exit status is. `unreachable_statuses` are the exit statuses that can mean this; for plain ssh it is
    255 alone. By `TOKEN WORD` the command can later send one `notice` to this machine.

    Lines that match `noise` only state that something failed; they are printed if there is no other line. A line on
    standard output that matches `left_out` means that the command did not do everything, although it may exit with 0:
    the call is then partial. `known_failure` is a notice that explains a failure: `noise` is then not printed at all.
    """

    node: str
    token: str
    is_ssh: bool = True
    unreachable_statuses: Container[int] = (SSH_FAILED,)
    noise: re.Pattern[bytes] | None = None
    left_out: re.Pattern[bytes] | None = None
    known_failure: str | None = None
    is_container: bool = False
    is_partial: bool = False
    group: int | None = None
    notice: str = ""
    has_begun: bool = False
    outcome: CallOutcome | None = None
    _held: list[bytes] = field(default_factory=list, init=False)
    _holding: bool = field(default=True, init=False)
    _noise: list[bytes] = field(default_factory=list, init=False)
    _last: bytes = field(default=b"", init=False)

    def begin(self, line: bytes) -> list[bytes] | None:
        """Read a line of standard output. Return None unless a command in a container announces itself by it.

        Else return the lines of standard error to print now.
        """
        token, _, word = line.partition(b" ")
        if not self.is_container or self.has_begun or token != self.token.encode() or not _GROUP.fullmatch(word):
            return None
        self._begin(word)
        return self._release()

    def _begin(self, word: bytes) -> None:
        self.has_begun = True
        # No command is in the groups 0 and 1, and kill(1) takes these numbers for something else.
        self.group = int(word) if int(word) > 1 else None

    def add_stdout(self, line: bytes) -> bool:
        """Read a line of standard output. Return True if it matches `left_out`."""
        matches = self.left_out is not None and self.left_out.match(line) is not None
        self.is_partial = self.is_partial or matches
        return matches

    def add_stderr(self, line: bytes) -> list[bytes]:
        """Read a line of standard error. Return the lines to print now."""
        before, token, word = line.rpartition(f"{self.token} ".encode())
        if token and _GROUP.fullmatch(word) and self.group is None:
            self._begin(word)
            return self._release([before] if before else [])  # a line without newline came before
        if token and word.isalpha() and len(word) <= _LONGEST_NOTICE:
            self.notice = word.decode("ascii")
            return []
        if self.noise is not None and self.noise.match(line):
            if len(self._noise) < _MOST_HELD:
                self._noise.append(line)
            return []
        self._last = line
        if not self._holding:
            return [line]
        self._held.append(line)
        is_much = len(self._held) > _MOST_HELD or sum(map(len, self._held)) > _MOST_BYTES_HELD
        return self._release() if is_much else []

    def _release(self, more: Iterable[bytes] = ()) -> list[bytes]:
        self._holding = False
        lines, self._held = [*self._held, *more], []
        return lines

    def end(self, status: int) -> list[bytes]:
        """Set the outcome by the exit status of ssh, or of the program used instead. Return the lines to print.

        `status` is below 0 if a signal ended that program.
        """
        if status < 0:
            return self.end_unreachable(f"its connection was ended by signal {-status} on this machine")
        if status in self.unreachable_statuses and self._holding and (self._last or not self._noise):
            return self.end_unreachable(failure_reason(self._last))
        if not self.has_begun:
            return self.end_unreachable(not_begun(status, self._last))
        if self.is_ssh and status in self.unreachable_statuses and _LOST.match(self._last):
            return self.end_unreachable(node_text(self._last.strip()).rstrip("."))
        self.outcome = CallOutcome(CallEnding.DONE, status or int(self.is_partial))
        return self._release(() if self._last or self.notice == self.known_failure or not status else self._noise)

    def end_unreachable(self, reason: str) -> list[bytes]:
        """Set the outcome: the node was unreachable, or the connection ended too early. Return the lines to print."""
        self.outcome = CallOutcome(CallEnding.UNREACHABLE, reason=reason)
        return [f"unreachable: {reason}".encode()]

    def time_out(self, limit: float) -> list[bytes]:
        """Set the outcome: the time limit of `limit` seconds has passed. Return the lines to print."""
        if self.group is None:
            return self.end_unreachable(f"no answer within {limit:g} s")
        self.outcome = CallOutcome(CallEnding.TIMED_OUT, reason=f"{limit:g} s")
        return [f"not done within {limit:g} s".encode()]

    def cut_off(self, reason: str) -> None:
        """Set the outcome: the command has printed too much."""
        self.outcome = CallOutcome(CallEnding.CUT_OFF, 1, reason)


def exit_status(outcomes: Iterable[CallOutcome], most: int = 255) -> int:
    """Return the exit status of all calls: the worst one counts.

    An unreachable node is worse than a time limit, and a time limit is worse than any exit status of a command. The
    exit status of a command counts as at most `most`.
    """
    endings, worst = set(), 0
    for outcome in outcomes:
        endings.add(outcome.ending)
        worst = max(worst, outcome.status)
    if CallEnding.UNREACHABLE in endings:
        return UNREACHABLE
    return TIMED_OUT if CallEnding.TIMED_OUT in endings else min(worst, most)
