"""A check: the entry, the function that compares it, and the audit that a repair of it is bound to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from pytest_synctool.model import Absent, Change, FileState, Outcome, Status, Xfail
from pytest_synctool.repository import entry_commands
from pytest_synctool.repository.entry import Entry

CheckFunction = Callable[[Entry, FileState | Absent], list[Change]]


class AuditBinding(Enum):
    """The binding of a repair to the last audit where that is not the message of a drift."""

    NONE = "repair whatever drift there is"
    IN_SYNC = "the audit found no drift"


class CheckEndedError(Exception):
    """The end of a check function that has no list of changes. `error` is the function's own exception."""

    def __init__(self, error: BaseException, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.error = error
        self.outcome = outcome


def _any_error(error: BaseException) -> bool:
    del error
    return True


@dataclass(frozen=True, slots=True)
class ExpectedFailure:
    """A mark by which a check is expected to fail. Whatever it finds, nothing is repaired.

    `accepts` tells which exceptions are expected; drift counts as an AssertionError. With `strict` a pass is a failure.
    With `together` that is decided for all entries of a node at once. An `ignored` mark changes no outcome.
    """

    reason: str
    strict: bool = False
    accepts: Callable[[BaseException], bool] = _any_error
    together: bool = False
    ignored: bool = False

    def of_failure(self, outcome: Outcome, error: BaseException) -> Outcome:
        """Return the outcome of a failure."""
        if self.ignored or not self.accepts(error):
            return outcome
        return replace(outcome, status=Status.WAIVED, xfail=Xfail(self.reason))

    def of_pass(self, entry: Entry) -> Outcome:
        """Return the outcome of a pass."""
        if self.ignored:
            return Outcome(Status.OK)
        if self.strict and not self.together:
            return unexpected_pass(self.reason, entry.source.shown)
        return Outcome(Status.OK, xfail=Xfail(self.reason, self.strict))


def unexpected_pass(reason: str, source: str = "") -> Outcome:
    """Return the outcome of a pass that a strict mark does not allow."""
    return Outcome(Status.DRIFT, f"[XPASS(strict)] {reason}", source=source, has_remark=True)


@dataclass(frozen=True, slots=True)
class Check:
    """One test: a check function applied to one entry, or to the journal's file for a `command` of that entry.

    A `command` that does not follow a change (a task) is not compared: a repair runs it.
    `audited` is the message of the drift that the last audit found. A repair of any other drift is refused.
    A check with a `settled` outcome is not made. Nothing is repaired for it, nor for one with an `expected` failure.
    """

    entry: Entry
    function: CheckFunction
    command: entry_commands.Command | None = None
    audited: str | AuditBinding = AuditBinding.NONE
    settled: Outcome | None = None
    expected: ExpectedFailure | None = None

    @property
    def is_marked(self) -> bool:
        """True if a mark forbids a repair."""
        return self.settled is not None or self.expected is not None

    @property
    def is_task(self) -> bool:
        """True for a task, or another command that every repair runs."""
        return self.command is not None and not self.command.follows_a_change
