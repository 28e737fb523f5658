"""Shell text that makes many new versions in the stage, or sets many owners and modes, with few programs.

Programs take their paths in parts: a command line is bounded. This module contacts no node.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

from pytest_synctool.common import acl
from pytest_synctool.common.capabilities import NO_CAPABILITIES
from pytest_synctool.common.shell import quote, words
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repair.plan import Action, NewAttributes, NewVersion
from pytest_synctool.repository.attributes.rules import is_account, is_number

TOGETHER: Final = 500  # paths of one command line
_COPIED: Final = 5000  # files that one tar copies: each copy is a sign of life for the controller
# Bytes of a file that is worth a program of its own: cp may share its blocks, tar does not.
_LARGE: Final = 1 << 20
# An extension that a simple rule takes off.
_SIMPLE_EXTENSION: Final = re.compile(rb"\._[^./]+")

T = TypeVar("T")
_Accounts = tuple[str | None, int, str | None, int]


def make_all(groups: Sequence[tuple[bytes, Sequence[Action]]], masterdir: bytes) -> bytes:
    """Return the shell function that makes new versions in $base, each group below its place."""
    making = _Making(masterdir)
    for place, actions in groups:
        for action in actions:
            making.add(action, quote(place + b"/" + action.name))
    return making.function([place for place, _ in groups], making.owners.lines())


def make_trees(places: Sequence[bytes], actions: Sequence[Action], masterdir: bytes) -> bytes:
    """Return the shell function that makes new directories, with all that belongs below them, below $base.

    Each has there the path that it gets on the node; `places` are the directories in which they will be.
    """
    making = _Making(masterdir)
    for action in actions:
        making.add(action, quote(action.path))
    return making.function(places, making.owners.lines_of_new())


def set_all(actions: Sequence[Action]) -> bytes:
    """Return the shell function that sets all owners and modes in a directory where nobody else may write."""
    lines, attributes = [], _Attributes()
    for action in actions:
        work = action.work
        if isinstance(work, NewAttributes):
            place = b"./" + quote(work.name)
            if work.state.kind is Kind.FILE:
                lines.append(b"[ ! -L %s ]" % place)
            attributes.add(work.state, place, owner=work.owner)
    return _function([*lines, *attributes.lines()])


def in_parts(command: bytes, arguments: Sequence[bytes], length: int = TOGETHER) -> Iterator[bytes]:
    """Return the lines of a command that each take at most `length` of the arguments, which are shell text."""
    for start in range(0, len(arguments), length):
        yield b" ".join((command, *arguments[start : start + length]))


def mode_text(mode: int) -> bytes:
    """Return a mode in five digits, since with four GNU chmod does not clear setuid and setgid of a directory."""
    return b"%05o" % mode


def attributes_text(state: FileState) -> bytes:
    """Return owner, group, mode and, if they are expected, capabilities in one word."""
    mode = b"" if state.kind is Kind.LINK else mode_text(state.mode)
    more = [(state.capabilities or "").encode()] if state.has_more else []
    more += [] if state.acl is None else [os.fsencode(acl.whole(state.acl, state.mode))]
    return b":".join((*owner_and_group(state), mode, *more))


def owner_and_group(state: FileState) -> tuple[bytes, bytes]:
    """Return owner and group by name. One that has no name is `+` and its number, so that no name is taken for it."""
    return _account(state.owner, state.uid), _account(state.group, state.gid)


def _account(name: str | None, number: int) -> bytes:
    """Return an account as chown takes it; by number, too, if chown would not take the name for one."""
    return b"+%d" % number if name is None or is_number(name) or not is_account(name) else os.fsencode(name)


def _function(lines: Sequence[bytes]) -> bytes:
    return b"all() {\n  " + b" &&\n  ".join(lines) + b"\n}"


def _modes(by_mode: Mapping[int, Sequence[bytes]]) -> Iterator[bytes]:
    for mode, paths in by_mode.items():
        yield from in_parts(b"change_mode " + mode_text(mode), paths)


def _commonest(by_value: Mapping[T, Sequence[bytes]]) -> T:
    return max(by_value, key=lambda value: len(by_value[value]))


class _Making:
    """The commands that make new versions in $base."""

    def __init__(self, masterdir: bytes) -> None:
        self.owners = _Attributes()
        self._above = masterdir.rstrip(b"/") + b"/"
        self._directories: list[bytes] = []
        self._sources: list[bytes] = []
        self._single: list[bytes] = []

    def add(self, action: Action, place: bytes) -> None:
        """Add a new version; `place` is the shell text of its path below $base. Parents come first."""
        work, path = action.work, b'"$base"' + place
        if not isinstance(work, NewVersion):
            return
        self.owners.add(work.state, path, owner=True)
        if work.make == "directory":
            self._directories.append(path)
        elif work.make == "link":
            self._single.append(b"ln -s -- %s %s" % (quote(work.source), path))
        elif work.state.size >= _LARGE:
            self._single.append(b"copy_of %s %s" % (quote(work.source), path))
        elif (relative := self._plain(work.source, action.path)) is not None:
            self._sources.append(quote(relative))
        else:
            self._single.append(b"is_file %s && cp -- %s %s" % (quote(work.source), quote(work.source), path))

    def function(self, places: Sequence[bytes], owners: Iterator[bytes]) -> bytes:
        """Return the shell function. `places` are made first; `owners` are the commands for owners and modes."""
        lines = [
            *in_parts(b"mkdir -p --", [b'"$base"' + quote(place) for place in places if place]),
            *in_parts(b"mkdir --", self._directories),
            *in_parts(b"fill", self._sources, _COPIED),
            *self._single,
            *owners,
        ]
        if self.owners.has_files:
            lines.append(b'{ sync -f -- "$base" 2>&- || sync; }')
        return _function(lines) + b"\nbase="

    def _plain(self, source: bytes, path: bytes) -> bytes | None:
        """Return the source's name in the masterdir if it is `overlay`, the path on the node and a simple extension."""
        relative = source.removeprefix(self._above)
        extension = relative.removeprefix(b"overlay" + path)
        return relative if extension != relative and _SIMPLE_EXTENSION.fullmatch(extension) else None


class _Attributes:
    """Owners and modes of many paths, by commands that each take all that are alike."""

    def __init__(self) -> None:
        self._by_account: dict[bytes, list[bytes]] = {}
        self._owned: dict[_Accounts, list[bytes]] = {}  # the same lists: few accounts have many paths
        self._directories_by_mode: dict[int, list[bytes]] = {}
        self._files_by_mode: dict[int, list[bytes]] = {}
        self._more: list[bytes] = []

    def add(self, state: FileState, place: bytes, *, owner: bool) -> None:
        """Add a path as shell text; with `owner`, set owner and group too."""
        if owner:
            self._places_of(state).append(place)
        if state.acl is not None and state.acl != acl.NO_ACL:
            entries = os.fsencode(acl.whole(state.acl, state.mode))
            self._more.append(words(b"setfacl", b"-k", b"--set", entries) + b" " + place)
        if state.capabilities is not None and state.capabilities != NO_CAPABILITIES:
            self._more.append(words(b"setcap", state.capabilities.encode()) + b" " + place)
        if state.kind is Kind.FILE:
            self._files_by_mode.setdefault(state.mode, []).append(place)
        elif state.kind is Kind.DIRECTORY:
            self._directories_by_mode.setdefault(state.mode, []).append(place)

    def _places_of(self, state: FileState) -> list[bytes]:
        """Return the list of the paths with the owner and group of a state."""
        accounts = state.owner, state.uid, state.group, state.gid
        places = self._owned.get(accounts)
        if places is None:
            places = self._owned[accounts] = self._by_account.setdefault(words(*owner_and_group(state)), [])
        return places

    @property
    def has_files(self) -> bool:
        """True if there is a regular file."""
        return bool(self._files_by_mode)

    def lines(self) -> Iterator[bytes]:
        """Return the commands. chown comes before chmod, since it clears setuid and setgid."""
        for account, places in self._by_account.items():
            yield from in_parts(b"own " + account, places)
        yield from _modes(self._files_by_mode)
        yield from _modes(self._directories_by_mode)
        yield from self._last()

    def _last(self) -> Iterator[bytes]:
        """Return the commands that come last: a chown takes capabilities away."""
        yield from self._more

    def lines_of_new(self) -> Iterator[bytes]:
        """Return the commands where nothing else is in $base: the commonest owner and mode of files are set first."""
        usual = _commonest(self._by_account)
        yield b"own_below " + usual
        for account, places in self._by_account.items():
            if account != usual:
                yield from in_parts(b"own " + account, places)
        if self._files_by_mode:
            mode = _commonest(self._files_by_mode)
            yield b'find "$base" -type f ! -perm %s -exec chmod -- %s {} +' % (mode_text(mode), mode_text(mode))
            yield from _modes({each: places for each, places in self._files_by_mode.items() if each != mode})
        yield from _modes(self._directories_by_mode)
        yield from self._last()
