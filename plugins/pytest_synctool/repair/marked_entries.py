"""Entries and commands that a repair leaves alone, because a test of them is marked skip or xfail, or skips itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pytest_synctool.audit.check import Check
from pytest_synctool.common.wording import printable
from pytest_synctool.model import Outcome, Skip, Status
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.entry_commands import OwnedCommand, fired_by

_SKIPPED: Final = "its test is skipped"
_FAILED: Final = "its test could not be set up"
_EXPECTED: Final = "its test is marked xfail"


@dataclass(frozen=True, slots=True)
class MarkedEntries:
    """The marked tests of a node: reasons by destination, and by destination and kind of a command.

    An entry is left alone if any test of its state is marked. So are its commands. An entry is left alone too if its
    repair would run a marked command, or would move a marked entry below it away.
    """

    entries: Mapping[bytes, str] = field(default_factory=dict)
    commands: Mapping[tuple[bytes, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, checks: Sequence[Check], outcomes: Sequence[Outcome]) -> MarkedEntries:
        """Return the marked tests among these checks."""
        entries: dict[bytes, str] = {}
        commands: dict[tuple[bytes, str], str] = {}
        for check, outcome in zip(checks, outcomes, strict=True):
            if (reason := _reason(check, outcome)) is None:
                continue
            if check.command is None:
                entries.setdefault(check.entry.destination, reason)
            else:
                commands.setdefault((check.entry.destination, check.command.kind), reason)
        return cls(entries, commands)

    def __bool__(self) -> bool:
        """Return True if any test is marked."""
        return bool(self.entries or self.commands)

    def of_command(self, owned: OwnedCommand) -> str | None:
        """Return the reason why a command must not run, or None."""
        path = owned.owner.destination
        reason = self.commands.get((path, owned.command.kind))
        return reason if reason is not None or not owned.command.follows_a_change else self.entries.get(path)

    def of_creation(self, entry: Entry, overlay: Mapping[bytes, Entry]) -> str | None:
        """Return the reason why a directory must not be made for something below it, or None."""
        reason = self.entries.get(entry.destination)
        if reason is not None:
            return f"{printable(entry.destination)} is missing, and {reason}"
        return self._of_commands(entry, overlay)

    def of_change(self, entry: Entry, overlay: Mapping[bytes, Entry], *, moves: bool) -> str | None:
        """Return the reason why an entry must not be repaired, or None. `moves`: so would all below it be."""
        reason = self.entries.get(entry.destination) or self._of_commands(entry, overlay)
        if reason is not None or not moves:
            return reason
        below = entry.destination + b"/"
        inner = next((path for path in self.entries if path.startswith(below)), None)
        return None if inner is None else f"{printable(inner)} is below it, and {self.entries[inner]}"

    def _of_commands(self, entry: Entry, overlay: Mapping[bytes, Entry]) -> str | None:
        for owned in fired_by(entry, overlay):
            if (reason := self.of_command(owned)) is not None:
                return f"it would run {owned.command.shown} of {printable(owned.owner.destination)}, and {reason}"
        return None


def _reason(check: Check, outcome: Outcome) -> str | None:
    if check.expected is not None or (outcome.skip is Skip.MARKED and outcome.xfail is not None):
        return _EXPECTED
    if outcome.skip is Skip.MARKED:
        return _SKIPPED
    return _FAILED if check.settled is not None and outcome.status is Status.ERROR else None
