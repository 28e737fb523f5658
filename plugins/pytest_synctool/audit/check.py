"""What is checked on a node, how, and what came of it: the values that a session takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository import commands
from pytest_synctool.repository.entry import Entry

CheckFunction = Callable[[Entry, FileState | Absent], list[Change]]

# What an audit that looked at an entry had found, where it did not find anything.
NOT_FOUND: Final = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One test: a check function applied to one entry, or to the note on a node that a `command` of it is owed.

    A `command` that does not follow a change is not looked at, but run.

    `audited` is what an audit found: a repair of anything else is refused. None: whatever is found is put right.
    """

    entry: Entry
    function: CheckFunction
    command: commands.Command | None = None
    audited: str | None = None

    @property
    def is_task(self) -> bool:
        """Whether it is about a task, or another command that is run in any case."""
        return self.command is not None and not self.command.follows_a_change
