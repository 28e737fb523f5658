"""Commands that belong to entries: triggers, tasks and always_run. No input or output."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_synctool.common.wording import printable
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Source, Tree


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be run: a script below the masterdir (`post`, `task`), or shell text (`on_update`, `always`)."""

    kind: Literal["post", "on_update", "task", "always"]
    text: bytes

    @property
    def shown(self) -> str:
        """As people know it: the script below the masterdir, or the text."""
        return printable(self.text)

    @property
    def announced(self) -> str:
        """As the documentation announces it: `command $masterdir/overlay/etc/x.post`."""
        return f"command {'' if self.is_text else '$masterdir/'}{self.shown}"

    @property
    def is_text(self) -> bool:
        """Whether it is shell text rather than a script."""
        return self.kind in ("on_update", "always")

    @property
    def follows_a_change(self) -> bool:
        """Whether it has to run after a change, at the latest in the next run, rather than because it was asked for."""
        return self.kind in ("post", "on_update")


@dataclass(frozen=True, slots=True)
class OwnedCommand:
    """A command with the entry that it belongs to."""

    owner: Entry
    command: Command


def commands_of(entry: Entry) -> list[Command]:
    """The commands of an entry's own path, in the order in which they run."""
    found = [] if entry.trigger is None else [Command("post", entry.trigger)]
    return found if entry.on_update is None else [*found, Command("on_update", entry.on_update)]


def fired_by(entry: Entry, entries: Mapping[bytes, Entry]) -> Iterator[OwnedCommand]:
    """What a change of an entry fires, with whose it is: its own commands, and those of the directory that it is in.

    `entries` are all overlay entries of the node by destination.
    """
    above = entries.get(os.path.dirname(entry.destination))
    for owner in (entry, above):
        if owner is not None:
            yield from (OwnedCommand(owner, command) for command in commands_of(owner))


def task(entry: Entry) -> Command:
    """The command of an entry of tasks/."""
    return Command("task", entry.source.relative)


def always(text: str, masterdir: bytes) -> OwnedCommand:
    """A command that every repair runs, and an entry that stands for it: there is nothing of it in the masterdir."""
    name = os.fsencode(text)
    nothing = FileState(Kind.OTHER, 0, 0, 0, 0)
    return OwnedCommand(Entry(Source(Tree.TASKS, masterdir, name, name, nothing)), Command("always", name))


def is_overlay_directory(entry: Entry) -> bool:
    return entry.tree is Tree.OVERLAY and entry.source.is_directory
