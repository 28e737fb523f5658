"""The plan of a repair as a value: ordered actions, then triggers. Pure: this module contacts no node."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_synctool.audit import owed_commands
from pytest_synctool.common.shell import quote, words
from pytest_synctool.model import ABSENT, Absent, FileState, Kind
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.entry_commands import Command, OwnedCommand, fired_by, is_overlay_directory
from pytest_synctool.repository.secrecy import secret
from pytest_synctool.repository.source import Tree, parents

Save = Literal["keep", "aside", "leave", "nothing"]


@dataclass(frozen=True, slots=True)
class Action:
    """One change of one path. `verb` is the log's word for it.

    `text` is its shell text, which runs in the directory of the path. With a `save`, the text makes the new version as
    `$1`, which then replaces the old one. `save` is the fate of the old one: kept, moved aside, left if it leads to a
    directory, or known to be absent. The contents of a `synced` action are flushed to disk before. An action with
    `if_missing` does nothing if the path exists. A `private` action without a save also needs the private directory. Of
    the directories above, only `through` may be a symbolic link.
    """

    path: bytes
    verb: str
    text: bytes
    save: Save | None = None
    synced: bool = False
    if_missing: bool = False
    needs_mirror: bool = False
    private: bool = False
    through: bytes = b""

    @property
    def directory(self) -> bytes:
        """The directory in which the change happens."""
        return os.path.dirname(self.path)

    @property
    def name(self) -> bytes:
        """The name that changes in it."""
        return os.path.basename(self.path)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A command of `path` to run once, in `directory`, if one of `causes` changed.

    An `owed` trigger runs in any case: it comes from an earlier run, or it is a task.
    """

    path: bytes
    command: Command
    directory: bytes
    causes: frozenset[bytes]
    owed: bool = False

    @property
    def name(self) -> bytes:
        """The name of its file in the journal."""
        return owed_commands.name(self.path, self.command.kind)


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in order, then triggers: those of files before those of directories.

    A `restoring` plan puts back old versions that another plan kept.
    """

    actions: tuple[Action, ...]
    triggers: tuple[Trigger, ...]
    restoring: bool = False

    @property
    def needs_mirror(self) -> bool:
        """True if the plan needs files of the masterdir on the node."""
        return bool(self.triggers) or any(action.needs_mirror for action in self.actions)


def plan(
    drifted: Sequence[tuple[Entry, FileState | Absent]],
    entries: Mapping[bytes, Entry],
    masterdir: bytes,
    owed: Sequence[OwnedCommand] = (),
    tasks: Sequence[OwnedCommand] = (),
) -> Plan:
    """Return the plan that brings drifted entries to their expected state.

    `entries` are all overlay entries of the node by destination. A missing parent directory of a drifted entry is made
    as they describe it, and triggers are looked up in them. `masterdir` is the mirror's path on the node. Directories
    are never deleted. `owed` are commands that an earlier run owes. `tasks` run after everything else, in their order.
    """
    deletes = [_remove(e) for e, state in drifted if e.tree is Tree.DELETE and _removable(state)]
    wanted = {entry.destination: (entry, state) for entry, state in drifted if entry.tree is Tree.OVERLAY}
    above = {
        parent: entries[parent]
        for path, (_, state) in wanted.items()
        if state is ABSENT
        for parent in parents(path)
        if parent in entries and parent not in wanted
    }
    in_order = sorted(wanted.values(), key=lambda pair: _order(pair[0]))
    changes = [*deletes, *(_bring(entry, state, masterdir) for entry, state in in_order)]
    if not changes and not owed and not tasks:
        return Plan((), ())
    deleted = {entry.destination: entry for entry, _ in drifted if entry.tree is Tree.DELETE}
    triggers = _triggers({action.path for action in changes}, entries, deleted, owed)
    needed = [_make_if_missing(above[path]) for path in sorted(above, key=lambda path: path.split(b"/"))]
    last = (Trigger(each.owner.destination, each.command, b"/", frozenset(), owed=True) for each in tasks)
    return Plan(tuple(_allowed(action, entries) for action in (*needed, *changes)), (*triggers, *last))


def restore(saved: Sequence[tuple[Entry, bytes]], entries: Mapping[bytes, Entry]) -> Plan:
    """Return the plan that puts back old versions, given with their paths on the node.

    `entries` are all overlay entries of the node by destination.
    """
    actions = [
        Action(e.destination, "restored", words(b"back", old, os.path.basename(e.destination)), private=True)
        for e, old in sorted(saved, key=lambda pair: _order(pair[0]))
    ]
    triggers = _triggers({action.path for action in actions}, entries, {}, ())
    return Plan(tuple(_allowed(action, entries) for action in actions), tuple(triggers), restoring=True)


def _allowed(action: Action, entries: Mapping[bytes, Entry]) -> Action:
    """Return the action with `through` set to the lowest directory above it that may be a link."""
    links = [parent for parent in parents(action.path) if parent in entries and entries[parent].follow]
    return replace(action, through=links[-1]) if links else action


def _order(entry: Entry) -> tuple[bool, list[bytes], bytes]:
    """Return a sort key: parents first, and the entries of one directory together."""
    directory, name = os.path.split(entry.destination)
    return entry.expected.kind is not Kind.DIRECTORY, directory.rstrip(b"/").split(b"/"), name


def _removable(state: FileState | Absent) -> bool:
    return isinstance(state, FileState) and state.kind is not Kind.DIRECTORY


def _remove(entry: Entry) -> Action:
    return Action(entry.destination, "deleted", words(b"rm", b"-f", b"--", os.path.basename(entry.destination)))


def _make_if_missing(entry: Entry) -> Action:
    """Return the action that makes a directory which was not selected but which a selected entry needs."""
    return Action(entry.destination, "created", _make(entry), "nothing", if_missing=True)


def _bring(entry: Entry, actual: FileState | Absent, masterdir: bytes) -> Action:
    expected, path = entry.expected, entry.destination
    if isinstance(actual, FileState) and _same_content(expected, actual):
        seen = os.path.basename(path) + entry.probed_path.removeprefix(path)
        return Action(path, "owner and mode set", _attributes(expected, quote(seen)))
    verbs = {Kind.FILE: "created" if actual is ABSENT else "updated", Kind.LINK: "linked"}
    is_file = expected.kind is Kind.FILE
    verb, save = verbs.get(expected.kind, "created"), _save(entry, actual)
    return Action(path, verb, _make(entry, masterdir), save, synced=is_file, needs_mirror=is_file)


def _same_content(expected: FileState, actual: FileState) -> bool:
    """Return True if only owner, group or mode can differ."""
    if expected.kind is Kind.FILE:
        same = (actual.size, actual.md5) == (expected.size, expected.md5)
    else:
        same = actual.target == expected.target
    return same and actual.kind is expected.kind


def _save(entry: Entry, actual: FileState | Absent) -> Save:
    """Return the fate of the present version. Nothing is thrown away."""
    expected = entry.expected.kind
    if actual is ABSENT:
        return "nothing" if expected is Kind.DIRECTORY else "keep"
    if Kind.DIRECTORY not in (expected, actual.kind):
        return "keep"
    # A link such as /lib or /var/run is the system's: moving it away would break the node.
    return "leave" if actual.kind is Kind.LINK and entry.follow is None else "aside"


def _attributes(state: FileState, path: bytes) -> bytes:
    """Return the shell text that sets owner, group and mode.

    chown comes before chmod, since it clears setuid and setgid. The mode has five digits, since with four GNU chmod
    does not clear these bits on a directory.
    """
    text = b"own %s %s" % (_account(state), path)
    return text if state.kind is Kind.LINK else text + b" && real %s && chmod -- %05o %s" % (path, state.mode, path)


def _account(state: FileState) -> bytes:
    """Return owner and group by name, then both by number."""
    owner = str(state.uid) if state.owner is None else state.owner
    group = str(state.gid) if state.group is None else state.group
    return words(os.fsencode(owner), os.fsencode(group), b"%d" % state.uid, b"%d" % state.gid)


def _make(entry: Entry, masterdir: bytes = b"") -> bytes:
    """Return the shell text that makes the entry, complete, as `$1`."""
    state = entry.expected
    account = _account(state)
    if state.kind is Kind.LINK:
        return b'ln -s -- %s "$1" && own %s "$1"' % (quote(state.target or b""), account)
    if state.kind is Kind.DIRECTORY:
        return b'folder %s %05o "$1"' % (account, state.mode)
    source = quote(os.path.join(masterdir, entry.source.relative))
    text = b'copy %s %s %05o "$1"' % (source, account, state.mode)
    if entry.attributes is not None and entry.attributes.validate is not None:
        command = os.fsencode(entry.attributes.validate.replace("%s", '"$f"'))
        # Its output may repeat the file's contents.
        silent = b" silent" if secret(entry, state, ABSENT) is not None else b""
        text += b' && accept %s "$1"%s' % (quote(command), silent)
    return text


def _triggers(
    changed: set[bytes],
    entries: Mapping[bytes, Entry],
    deleted: Mapping[bytes, Entry],
    owed: Sequence[OwnedCommand],
) -> Iterable[Trigger]:
    """Return the triggers of files in the order of paths, then those of directories."""
    fired: dict[OwnedCommand, set[bytes]] = {each: set() for each in owed}
    for path in changed:
        entry = entries.get(path) or deleted.get(path)
        if entry is not None:
            for each in fired_by(entry, entries):
                fired.setdefault(each, set()).add(path)

    def order(each: OwnedCommand) -> tuple[bool, bytes, bool]:
        return is_overlay_directory(each.owner), each.owner.destination, each.command.kind == "on_update"

    for each in sorted(fired, key=order):
        path = each.owner.destination
        directory = path if is_overlay_directory(each.owner) else os.path.dirname(path)
        yield Trigger(path, each.command, directory, frozenset(fired[each]), each in owed)
