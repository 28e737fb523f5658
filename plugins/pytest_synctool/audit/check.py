"""A check: the entry, the function that compares it, and the audit that a repair of it is bound to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository import entry_commands
from pytest_synctool.repository.entry import Entry

CheckFunction = Callable[[Entry, FileState | Absent], list[Change]]


class AuditBinding(Enum):
    """The binding of a repair to the last audit where that is not the message of a drift."""

    NONE = "repair whatever drift there is"
    IN_SYNC = "the audit found no drift"


@dataclass(frozen=True, slots=True)
class Check:
    """One test: a check function applied to one entry, or to the journal's file for a `command` of that entry.

    A `command` that does not follow a change (a task) is not compared: a repair runs it.
    `audited` is the message of the drift that the last audit found. A repair of any other drift is refused.
    """

    entry: Entry
    function: CheckFunction
    command: entry_commands.Command | None = None
    audited: str | AuditBinding = AuditBinding.NONE

    @property
    def is_task(self) -> bool:
        """True for a task, or another command that every repair runs."""
        return self.command is not None and not self.command.follows_a_change
