"""What is checked on a node, how, and what came of it: the values that a session takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_synctool import plan
from pytest_synctool.model import Absent, Change, FileState, Node, Outcome, Status
from pytest_synctool.repository import Entry
from pytest_synctool.waivers.rules import NOTHING_WAIVED, InForce

Explain = Callable[[Entry, Node], Sequence[str]]
CheckFunction = Callable[[Entry, FileState | Absent], list[Change]]

# What a dry run has to say of a task.
NOT_RUN: Final = Outcome(Status.SKIPPED, "dry run, not running")
# And --restore of what it has nothing to do with.
NOT_KEPT: Final = Outcome(Status.SKIPPED, "nothing to restore: the last --fix has kept no old version of it")

_WELL: Final = (Status.OK, Status.FIXED, Status.WAIVED)

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
    command: plan.Command | None = None
    audited: str | None = None

    @property
    def is_task(self) -> bool:
        """Whether it is about a task, or another command that is run in any case."""
        return self.command is not None and not self.command.follows_a_change


@dataclass(frozen=True, slots=True)
class Settings:
    """How sessions are run.

    With `fix` what differs is put right. With `restore` nothing is compared: what the last repair has kept comes back.
    With `rehearse` it is told what `fix` would do, and nothing is done.
    `deadline` bounds each command on a node and `trigger_timeout` each trigger, in seconds; `explain` tells of an entry
    why the node has to have it. With `diff` it is told what differs in contents. `who` tells others who is at work.
    `waivers` say which drift is accepted, and left alone.
    `saved`, `log` and `syslog` are those of a Context.
    """

    masterdir: Path
    fix: bool = False
    restore: bool = False
    rehearse: bool = False
    deadline: float = 120.0
    diff: bool = False
    explain: Explain | None = None
    trigger_timeout: int = 60
    who: str = "somebody"
    waivers: InForce = NOTHING_WAIVED
    saved: bytes = b""
    log: bytes = b""
    syslog: bool = False


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of a node: one outcome per check, or the reason why the node could not be looked at at all.

    `done` tells what was changed and run on the node, in this order, in the words of the log. `notes` are what people
    should know beside, a line each. `planned` is what a rehearsal has found to be done, as pairs of the path and these
    words, and `script` the shell text that would do it.
    """

    outcomes: tuple[Outcome, ...] = ()
    error: str | None = None
    duration: float = 0.0
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    planned: tuple[tuple[bytes, str], ...] = ()
    script: bytes = b""

    @property
    def well(self) -> bool:
        """Whether the node could be looked at, and nothing differs (any more) that is not waived, or failed."""
        return self.error is None and all(outcome.status in _WELL for outcome in self.outcomes)
