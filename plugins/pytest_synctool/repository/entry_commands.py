"""Commands that belong to entries: triggers, `on_update`, tasks and `always_run`. No input or output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_synctool.common.wording import printable
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Source, Tree


@dataclass(frozen=True, slots=True)
class Command:
    """A command on a node: a script below the masterdir (`post`, `task`), or shell text (`on_update`, `always`)."""

    kind: Literal["post", "on_update", "task", "always"]
    text: bytes

    @property
    def shown(self) -> str:
        """The script below the masterdir, or the shell text, printable."""
        return printable(self.text)

    @property
    def announced(self) -> str:
        """The command in the words of the documentation: `command $masterdir/overlay/etc/x.post`."""
        return f"command {'' if self.is_text else '$masterdir/'}{self.shown}"

    @property
    def is_text(self) -> bool:
        """True for shell text, False for a script."""
        return self.kind in ("on_update", "always")

    @property
    def follows_a_change(self) -> bool:
        """True if a change owes the command; False if it runs on request."""
        return self.kind in ("post", "on_update")


@dataclass(frozen=True, slots=True)
class OwnedCommand:
    """A command with the entry that it belongs to."""

    owner: Entry
    command: Command


def commands_of(entry: Entry) -> list[Command]:
    """Return the commands of an entry's own destination, in the order in which they run."""
    post = [] if entry.trigger is None else [Command("post", entry.trigger)]
    return post if entry.on_update is None else [*post, Command("on_update", entry.on_update)]


def owners(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield all that can have commands: the entries, and the directories in delete/ that they are in, each once."""
    directories: set[Entry] = set()
    for entry in entries:
        yield entry
        if entry.directory is not None and entry.directory not in directories:
            directories.add(entry.directory)
            yield entry.directory


def fired_by(entry: Entry, entries: Mapping[bytes, Entry]) -> Iterator[OwnedCommand]:
    """Yield the commands that a change of an entry runs: its own, then those of the directory that it is in.

    `entries` are all overlay entries of the node by destination.
    """
    above = entries.get(entry.destination[: entry.destination.rfind(b"/")])
    for owner in (entry, entry.directory, above):
        if owner is None or (owner.trigger is None and owner.on_update is None):
            continue
        for command in commands_of(owner):
            # Of a directory in overlay/ and in delete/, on_update is one command.
            if owner is not entry.directory or above is None or command.kind != "on_update":
                yield OwnedCommand(owner, command)


def task(entry: Entry) -> Command:
    """Return the command of an entry of tasks/."""
    return Command("task", entry.source.relative)


def always(text: str, masterdir: bytes) -> OwnedCommand:
    """Return a command that every repair runs. Its owner is an entry without a file in the masterdir."""
    name = os.fsencode(text)
    no_file = FileState(Kind.OTHER, 0, 0, 0, 0)
    return OwnedCommand(Entry(Source(Tree.TASKS, masterdir, name, name, no_file)), Command("always", name))


def directory_of(owner: Entry) -> bytes:
    """Return the directory in which the commands of an entry run: a directory itself, else the one that it is in."""
    path = owner.destination.rstrip(b"/")
    return (path if owner.source.is_directory else os.path.dirname(path)) or b"/"
