"""The plan of a repair as a value: ordered actions, then triggers. Pure: this module contacts no node."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from pytest_synctool.audit import owed_commands
from pytest_synctool.audit.compare import compare
from pytest_synctool.model import ABSENT, Absent, FileState, Kind
from pytest_synctool.repair.kept_names import kept_path
from pytest_synctool.repository.entry import Entry, lowest_followed
from pytest_synctool.repository.entry_commands import Command, OwnedCommand, directory_of, fired_by
from pytest_synctool.repository.secrecy import secret
from pytest_synctool.repository.source import Tree, by_component, parents

Make = Literal["file", "link", "directory"]
Old = Literal["keep", "swap", "leave", "nothing", "missing"]


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A new version, made in the stage, that replaces the present one.

    `source` is the path of a file's contents on the node, or the target of a link. `old` is the fate of the present
    version: it is kept; swapped, where no rename can replace it; left if it leads to a directory; or known not to
    exist. With `missing` nothing happens if there is one. `validate` is the shell text, with the path as `$f`, that has
    to accept a file; `silent` hides its output. `replaces_a_file` is True if a regular file makes room;
    with `in_place` it stays, and its contents change.
    """

    make: Make
    state: FileState
    source: bytes
    old: Old
    validate: bytes = b""
    silent: bool = False
    replaces_a_file: bool = False
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class NewAttributes:
    """Another owner, group or mode; `name` is that of the path, with `/.` behind a link that may be followed.

    `owner` and `mode` tell which of them differ.
    """

    state: FileState
    name: bytes
    owner: bool
    mode: bool


@dataclass(frozen=True, slots=True)
class Removal:
    """The removal of anything but a directory."""


@dataclass(frozen=True, slots=True)
class MovingAway:
    """The move of a path in no entry to where old versions are kept. With `directory`, the path has to be one."""

    directory: bool


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """An old version on a node: its path, the script's record of its owner, mode and identity, and who kept it."""

    path: bytes
    record: bytes
    by: bytes = field(default=b"", compare=False)


@dataclass(frozen=True, slots=True)
class Erasure:
    """The removal of an old version: the path whose it is, and the identity by which the script knows it.

    The identity is DEVICE:INODE:SIZE. It is SIZE alone where no rename led to: that counts only where root alone may
    write.
    """

    version: bytes
    identity: bytes


Work = NewVersion | NewAttributes | Removal | MovingAway | KeptVersion | Erasure


@dataclass(frozen=True, slots=True)
class Action:
    """One change of one path. `verb` is the log's word for it. A KeptVersion as its `work` comes back.

    Of the directories above, only `through` may be a symbolic link. With `aside` no old version is kept beside the new
    one, where it would be no better than what is in no entry, or would take the place of an entry.
    """

    path: bytes
    verb: str
    work: Work
    through: bytes = b""
    aside: bool = False

    @property
    def directory(self) -> bytes:
        """The directory in which the change happens."""
        return os.path.dirname(self.path)

    @property
    def name(self) -> bytes:
        """The name that changes in it."""
        return os.path.basename(self.path)

    @property
    def may_lose_attributes(self) -> bool:
        """True if it could take away what a file has beside owner and mode."""
        work = self.work
        if isinstance(work, NewAttributes):
            return work.owner and work.state.kind is Kind.FILE
        return isinstance(work, NewVersion) and work.replaces_a_file

    @property
    def needs_mirror(self) -> bool:
        """True if the contents come from the mirror."""
        return isinstance(self.work, NewVersion) and self.work.make == "file"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A command of `path` to run once, in `directory`, if one of `causes` changed.

    An `owed` trigger runs in any case: it comes from an earlier run, or it is a task. Of the directories down to its
    own, only `through` may be a symbolic link. `obstacle` is the reason why it can run on no node, in a rehearsal.
    """

    path: bytes
    command: Command
    directory: bytes
    causes: frozenset[bytes]
    owed: bool = False
    through: bytes = b""
    obstacle: str = ""

    @property
    def announced(self) -> str:
        """Return the line of a log: `running command $masterdir/overlay/etc/x.post`."""
        if self.obstacle:
            return f"not running {self.command.announced}: {self.obstacle}"
        return f"running {self.command.announced}"

    @property
    def name(self) -> bytes:
        """The name of its file in the journal."""
        return owed_commands.name(self.path, self.command.kind)


@dataclass(frozen=True)
class Plan:
    """Actions in order, then triggers: those of files before those of directories.

    A plan `of_old_versions` puts back what other plans kept, or erases it.
    """

    actions: tuple[Action, ...]
    triggers: tuple[Trigger, ...]
    of_old_versions: bool = False

    def numbers(self, *, post: bool) -> list[int]:
        """Return the numbers of the steps; without `post` not those of triggers, which the node only notes as owed."""
        first = len(self.actions)
        triggers = enumerate(self.triggers, first)
        return [*range(first), *(n for n, trigger in triggers if post or not trigger.command.follows_a_change)]

    @cached_property
    def _by_path(self) -> Mapping[bytes, Sequence[int]]:
        numbers: dict[bytes, list[int]] = {}
        for number, action in enumerate(self.actions):
            numbers.setdefault(action.path, []).append(number)
        return numbers

    def causes(self, triggers: Iterable[Trigger]) -> list[int]:
        """Return the numbers of the actions that are causes of these triggers, in order."""
        paths = {path for trigger in triggers for path in trigger.causes}
        return sorted(number for path in paths for number in self._by_path.get(path, ()))

    def with_obstacles(self, obstacle: Callable[[Command], str]) -> Plan:
        """Return the plan with the obstacles of its triggers, for a rehearsal."""
        return replace(self, triggers=tuple(replace(each, obstacle=obstacle(each.command)) for each in self.triggers))

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
    rogue: Sequence[Entry] = (),
    exclusive: Collection[bytes] = (),
    made_in: bytes | None = None,
    reserved: Collection[bytes] = (),
) -> Plan:
    """Return the plan that brings drifted entries to their expected state.

    `entries` are all overlay entries of the node by destination. A missing parent directory of a drifted entry is made
    as they describe it, and triggers are looked up in them. `masterdir` is the mirror's path on the node, `made_in`
    that of the contents which the controller makes, if it is another one. Directories are never deleted. `owed` are
    commands that an earlier run owes. `tasks` run after everything else, in their order. `rogue` are paths in no entry
    that are moved away. In the directories in `exclusive` nothing is kept, nor is anything under a path in `reserved`.
    """
    deletes = [_remove(e) for e, state in drifted if e.tree is Tree.DELETE and _removable(state)]
    wanted = {entry.destination: (entry, state) for entry, state in drifted if entry.tree is Tree.OVERLAY}
    directories = {path[: path.rfind(b"/") + 1] for path, (_, state) in wanted.items() if state is ABSENT}
    above = {
        parent: entries[parent]
        for directory in directories
        for parent in parents(directory)
        if parent in entries and parent not in wanted
    }
    mirror, made = os.path.join(masterdir, b""), os.path.join(made_in or b"", b"")
    in_order = sorted(wanted.values(), key=lambda pair: _order(pair[0]))
    changes = [
        *deletes,
        *(_move_away(each) for each in rogue),
        *(_bring(entry, state, made if made and entry.source.made else mirror) for entry, state in in_order),
    ]
    if not changes and not owed and not tasks:
        return Plan((), ())
    deleted = {entry.destination: entry for entry in (*(e for e, _ in drifted if e.tree is Tree.DELETE), *rogue)}
    triggers = _triggers({action.path for action in changes}, entries, deleted, owed)
    needed = [_make_if_missing(above[path]) for path in sorted(above, key=by_component)]
    last = (Trigger(each.owner.destination, each.command, b"/", frozenset(), owed=True) for each in tasks)
    actions = _all_allowed((*needed, *changes), entries)
    if exclusive or reserved:
        actions = tuple(replace(a, aside=True) if _is_kept_aside(a, exclusive, reserved) else a for a in actions)
    return Plan(actions, (*triggers, *last))


def _is_kept_aside(action: Action, exclusive: Collection[bytes], reserved: Collection[bytes]) -> bool:
    return action.directory in exclusive or kept_path(action.path) in reserved


def restore(saved: Sequence[tuple[Entry, KeptVersion]], entries: Mapping[bytes, Entry]) -> Plan:
    """Return the plan that puts back old versions.

    `entries` are all overlay entries of the node by destination.
    """
    actions = [Action(e.destination, "restored", kept) for e, kept in sorted(saved, key=lambda pair: _order(pair[0]))]
    by_path = {entry.destination: entry for entry, _ in saved if entry.tree is Tree.DELETE}
    triggers = _triggers({action.path for action in actions}, entries, by_path, ())
    return Plan(_all_allowed(actions, entries), tuple(triggers), of_old_versions=True)


def erase(versions: Mapping[bytes, Erasure], entries: Mapping[bytes, Entry]) -> Plan:
    """Return the plan that removes old versions, by their own paths.

    `entries` are all overlay entries of the node by destination.
    """
    actions = (Action(path, "erased", versions[path]) for path in sorted(versions))
    return Plan(_all_allowed(actions, entries), (), of_old_versions=True)


def _all_allowed(actions: Iterable[Action], entries: Mapping[bytes, Entry]) -> tuple[Action, ...]:
    """Return the actions with `through` set. `entries` are all overlay entries of the node by destination."""
    followed = {path: entry for path, entry in entries.items() if entry.follow}
    return tuple([_allowed(action, followed) for action in actions] if followed else actions)


def _allowed(action: Action, followed: Mapping[bytes, Entry]) -> Action:
    through = lowest_followed(parents(action.path), followed)
    return replace(action, through=through) if through else action


def _order(entry: Entry) -> tuple[bool, bytes, bytes]:
    """Return a sort key: parents first, and the entries of one directory together."""
    directory, _, name = entry.destination.rpartition(b"/")
    return entry.expected.kind is not Kind.DIRECTORY, by_component(directory), name


def _removable(state: FileState | Absent) -> bool:
    return isinstance(state, FileState) and state.kind is not Kind.DIRECTORY


def _remove(entry: Entry) -> Action:
    return Action(entry.destination, "deleted", Removal())


def _move_away(entry: Entry) -> Action:
    return Action(entry.destination, "removed", MovingAway(entry.source.is_directory))


def _make_if_missing(entry: Entry) -> Action:
    """Return the action that makes a directory which was not selected but which a selected entry needs."""
    return Action(entry.destination, "created", NewVersion("directory", entry.expected, b"", "missing"))


def _bring(entry: Entry, actual: FileState | Absent, above: bytes) -> Action:
    """Return the action for an entry, whose new contents are in the mirror or directory `above`, with its slash."""
    expected, path = entry.expected, entry.destination
    if isinstance(actual, FileState) and same_content(expected, actual):
        name = os.path.basename(path) + entry.probed_path.removeprefix(path)
        differing = {change.what for change in compare(expected, actual)}
        return Action(
            path,
            "owner and mode set",
            NewAttributes(expected, name, bool(differing & {"owner", "group"}), "mode" in differing),
        )
    verbs = {Kind.FILE: "created" if actual is ABSENT else "updated", Kind.LINK: "linked"}
    return Action(path, verbs.get(expected.kind, "created"), _new_version(entry, actual, above))


def _new_version(entry: Entry, actual: FileState | Absent, above: bytes) -> NewVersion:
    state, old = entry.expected, _old(entry, actual)
    replaces = isinstance(actual, FileState) and actual.kind is Kind.FILE
    in_place = replaces and entry.attributes is not None and entry.attributes.in_place is True
    if state.kind is Kind.LINK:
        return NewVersion("link", state, state.target or b"", old, replaces_a_file=replaces)
    if state.kind is Kind.DIRECTORY:
        return NewVersion("directory", state, b"", old, replaces_a_file=replaces)
    source = above + entry.source.mirrored
    if entry.attributes is None or entry.attributes.validate is None:
        return NewVersion("file", state, source, old, replaces_a_file=replaces, in_place=in_place)
    command = os.fsencode(entry.attributes.validate.replace("%s", '"$f"'))
    # Its output may repeat the file's contents.
    return NewVersion("file", state, source, old, command, secret(entry, state, ABSENT) is not None, replaces, in_place)


def same_content(expected: FileState, actual: FileState) -> bool:
    """Return True if only owner, group or mode can differ."""
    if expected.kind is Kind.FILE:
        same = (actual.size, actual.md5) == (expected.size, expected.md5)
    else:
        same = actual.target == expected.target
    return same and actual.kind is expected.kind


def _old(entry: Entry, actual: FileState | Absent) -> Old:
    """Return the fate of the present version. Nothing is thrown away."""
    expected = entry.expected.kind
    if actual is ABSENT:
        return "nothing" if expected is Kind.DIRECTORY else "keep"
    if Kind.DIRECTORY not in (expected, actual.kind):
        return "keep"
    # A link such as /lib or /var/run is the system's: moving it away would break the node.
    return "leave" if actual.kind is Kind.LINK and entry.follow is None else "swap"


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
        return each.owner.source.is_directory, each.owner.destination, each.command.kind == "on_update"

    for each in sorted(fired, key=order):
        path, directory = each.owner.destination, directory_of(each.owner)
        through = lowest_followed([*parents(directory), directory], entries)
        yield Trigger(path, each.command, directory, frozenset(fired[each]), each in owed, through)
