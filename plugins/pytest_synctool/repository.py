"""The masterdir: which source stands for which destination on which node.

The tree is walked once; nodes that agree in the groups that the tree uses share one resolved list.
The meaning of names is the one of synctool 4.x: a file `name._group` applies to the nodes of the group, the most
important group wins, `name.post` is the trigger of `name` (documentation, "fstab._node5" and ".post").
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from pytest_synctool.accounts import group_name, owner_name
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind, Node, printable

_SEPARATOR = b"._"
_TRIGGER = b".post"
_READ_SIZE = 1 << 20


class Tree(Enum):
    """The subdirectories of the masterdir that hold entries, each with its own meaning."""

    OVERLAY = "overlay"
    DELETE = "delete"


@dataclass(frozen=True)
class Source:
    """A file, directory or link in the masterdir that stands for one destination on the nodes it applies to.

    `masterdir` and `relative` (below it) say where it is on this machine, `destination` is the absolute path on a
    node; all are raw bytes, since file names have no encoding. `state` is the state at the time of the walk,
    without a digest.
    """

    tree: Tree
    masterdir: bytes
    relative: bytes
    destination: bytes
    state: FileState

    @cached_property
    def expected(self) -> FileState:
        """The state a node must show; a regular file is read for its size and MD5 on first use.

        Raises RepositoryError if the file cannot be read.
        """
        if self.state.kind is not Kind.FILE:
            return self.state
        digest = hashlib.md5(usedforsecurity=False)
        size = 0
        try:
            with open(os.path.join(self.masterdir, self.relative), "rb") as content:
                while block := content.read(_READ_SIZE):
                    digest.update(block)
                    size += len(block)
        except OSError as error:
            raise RepositoryError(f"cannot read {self.shown}: {error.strerror}") from error
        return replace(self.state, size=size, md5=digest.hexdigest())

    @cached_property
    def shown(self) -> str:
        """The source below the masterdir, printable."""
        return printable(self.relative)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the masterdir says of one destination: its source, and below the masterdir the trigger, if any."""

    source: Source
    trigger: bytes | None = None

    @property
    def tree(self) -> Tree:
        """The subdirectory of the masterdir that the entry comes from."""
        return self.source.tree

    @property
    def destination(self) -> bytes:
        """The absolute path on the node."""
        return self.source.destination

    @property
    def expected(self) -> FileState:
        """The state that the destination of an overlay entry must show. Raises RepositoryError."""
        return self.source.expected


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """Names that are left out of the walk. `patterns` are names and shell patterns."""

    patterns: tuple[str, ...] = ()
    dotfiles: bool = False
    dotdirs: bool = False

    def match(self, names: Sequence[bytes], directory: bool) -> bool:
        """Whether an entry is left out; `names` are its name with and without the group extension."""
        if names[0].startswith(b".") and (self.dotdirs if directory else self.dotfiles):
            return True
        return any(fnmatchcase(os.fsdecode(name), pattern) for name in names for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A source or trigger with the group of each component of its path; None stands for no extension."""

    groups: tuple[str | None, ...]
    relative: bytes
    source: Source | None  # None for a trigger

    def rank(self, ranks: dict[str, int], lowest: int) -> tuple[tuple[int, ...], bytes] | None:
        """How important it is (smallest wins), or None where it does not apply."""
        found = []
        for group in self.groups:
            position = lowest if group is None else ranks.get(group)
            if position is None:
                return None
            found.append(position)
        return tuple(found), self.relative


@dataclass
class Repository:
    """A walked masterdir. `warnings` name what was left out, and why."""

    masterdir: Path
    warnings: list[str] = field(default_factory=list)
    _candidates: dict[tuple[Tree, bytes], list[_Candidate]] = field(default_factory=dict)
    _triggers: dict[tuple[Tree, bytes], list[_Candidate]] = field(default_factory=dict)
    _used_groups: set[str] = field(default_factory=set)
    _resolved: dict[tuple[str, ...], tuple[Entry, ...]] = field(default_factory=dict)

    def entries(self, node: Node) -> tuple[Entry, ...]:
        """The entries of a node, in order of tree and destination. One destination of a tree has one entry."""
        groups = tuple(group for group in node.groups if group in self._used_groups)
        if groups not in self._resolved:
            self._resolved[groups] = tuple(self._resolve(groups))
        return self._resolved[groups]

    def _resolve(self, groups: tuple[str, ...]) -> Iterator[Entry]:
        ranks = {group: position for position, group in enumerate(groups)}
        lowest = ranks.get("all", len(groups))
        overlay = {entry.destination: entry for entry in self._below_directories(ranks, lowest)}
        for key in sorted((key for key in self._candidates if key[0] is Tree.DELETE), key=lambda key: key[1]):
            entry = self._entry(key, ranks, lowest)
            if entry is None:
                continue
            if (kept := overlay.get(key[1])) is not None:
                self.warn(f"{entry.source.shown}: skipped, {kept.source.shown} is for the same destination")
            else:
                yield entry
        yield from overlay.values()

    def _below_directories(self, ranks: dict[str, int], lowest: int) -> Iterator[Entry]:
        """The overlay entries, parents first, without those inside what is not a directory."""
        blocked: bytes | None = None
        keys = [key for key in self._candidates if key[0] is Tree.OVERLAY]
        for key in sorted(keys, key=lambda key: key[1].split(b"/")):
            entry = self._entry(key, ranks, lowest)
            if entry is None:
                continue
            if blocked is not None and key[1].startswith(blocked):
                self.warn(f"{entry.source.shown}: skipped, {printable(blocked[:-1])} is not a directory on some nodes")
                continue
            if entry.source.state.kind is not Kind.DIRECTORY:
                blocked = key[1] + b"/"
            yield entry

    def _entry(self, key: tuple[Tree, bytes], ranks: dict[str, int], lowest: int) -> Entry | None:
        best = _most_important(self._candidates[key], ranks, lowest)
        if best is None or best.source is None:
            return None
        trigger = _most_important(self._triggers.get(key, ()), ranks, lowest)
        return Entry(best.source, None if trigger is None else trigger.relative)

    def warn(self, message: str) -> None:
        """Take up a warning, once."""
        if message not in self.warnings:
            self.warnings.append(message)

    def add(self, key: tuple[Tree, bytes], candidate: _Candidate) -> None:
        """Take up what the walk found."""
        table = self._triggers if candidate.source is None else self._candidates
        table.setdefault(key, []).append(candidate)
        self._used_groups.update(group for group in candidate.groups if group is not None)


def _most_important(candidates: Sequence[_Candidate], ranks: dict[str, int], lowest: int) -> _Candidate | None:
    ranked = [(rank, c) for c in candidates if (rank := c.rank(ranks, lowest)) is not None]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def split_extension(name: bytes) -> tuple[bytes, str | None]:
    """Split `fstab._node5` into its name and its group; the group is None without an extension."""
    base, separator, group = name.rpartition(_SEPARATOR)
    return (base, os.fsdecode(group)) if separator else (name, None)


def walk(masterdir: Path, known_groups: Callable[[str], bool], ignore: IgnoreRules) -> Repository:
    """Walk overlay/ and delete/ of a masterdir.

    Files with an unknown or missing group are left out with a warning. Raises RepositoryError, naming every
    offender at once, for an unreadable or missing tree and for names that no destination can have.
    """
    if not masterdir.is_dir():
        raise RepositoryError(f"masterdir {masterdir} is not a directory: create it, or correct 'masterdir'")
    repository = Repository(masterdir)
    walker = _Walker(repository, os.fsencode(masterdir), known_groups, ignore)
    for tree in Tree:
        top = masterdir / tree.value
        if tree is Tree.DELETE and not os.path.lexists(top):
            continue
        walker.directory(tree, os.fsencode(tree.value), b"", ())
    if walker.errors:
        raise RepositoryError("\n".join(walker.errors))
    return repository


@dataclass
class _Walker:
    repository: Repository
    masterdir: bytes
    known_groups: Callable[[str], bool]
    ignore: IgnoreRules
    errors: list[str] = field(default_factory=list)

    def directory(self, tree: Tree, relative: bytes, destination: bytes, groups: tuple[str | None, ...]) -> None:
        """Take up everything in one directory, and below it."""
        try:
            with os.scandir(os.path.join(self.masterdir, relative)) as listing:
                children = sorted(listing, key=lambda child: child.name)
        except OSError as error:
            self.errors.append(f"cannot read {printable(relative)}/ in the masterdir: {error.strerror}")
            return
        for child in children:
            try:
                self._child(tree, child, relative + b"/" + child.name, destination, groups)
            except OSError as error:
                self.errors.append(f"cannot read {printable(relative + b'/' + child.name)}: {error.strerror}")

    def _child(
        self,
        tree: Tree,
        child: os.DirEntry[bytes],
        relative: bytes,
        parent: bytes,
        parent_groups: tuple[str | None, ...],
    ) -> None:
        is_directory = child.is_dir(follow_symlinks=False)
        base, group = split_extension(child.name)
        if self.ignore.match((child.name, base), is_directory):
            return
        is_trigger = base.endswith(_TRIGGER) and not is_directory
        if is_trigger:
            base = base.removesuffix(_TRIGGER)
        if not self._usable(relative, base, group, group_needed=not is_directory and not is_trigger):
            return
        destination = parent + b"/" + base
        groups = (*parent_groups, group)
        if is_trigger:
            self.repository.add((tree, destination), _Candidate(groups, relative, None))
            return
        state = _state(child)
        if state.kind is Kind.OTHER:
            self._warn(relative, "neither a file, a directory nor a symbolic link")
            return
        if b"\n" in (state.target or b""):
            self.errors.append(f"{printable(relative)}: a newline in a link target is not supported")
            return
        if not (tree is Tree.DELETE and is_directory):  # directories in delete/ only lead to names
            source = Source(tree, self.masterdir, relative, destination, state)
            self.repository.add((tree, destination), _Candidate(groups, relative, source))
        if is_directory:
            self.directory(tree, relative, destination, groups)

    def _usable(self, relative: bytes, base: bytes, group: str | None, group_needed: bool) -> bool:
        if b"\n" in base:
            self.errors.append(f"{printable(relative)}: a newline in a file name is not supported: rename it")
            return False
        if base in (b"", b".", b".."):
            self.errors.append(
                f"{printable(relative)}: without its group extension the name would be "
                f"{printable(base) or 'empty'!r}, which cannot be a destination: rename it"
            )
            return False
        if group is None:
            if group_needed:
                self._warn(relative, "no group extension (expected a name like fstab._all)")
            return not group_needed
        if not self.known_groups(group):
            shown = printable(os.fsencode(group))
            self._warn(relative, f"unknown group '{shown}'" if group else "empty group extension")
            return False
        return True

    def _warn(self, relative: bytes, reason: str) -> None:
        self.repository.warn(f"{printable(relative)}: skipped, {reason}")


def _state(child: os.DirEntry[bytes]) -> FileState:
    found = child.stat(follow_symlinks=False)
    return FileState(
        kind=kind_of(found.st_mode),
        mode=stat.S_IMODE(found.st_mode),
        size=found.st_size,
        uid=found.st_uid,
        gid=found.st_gid,
        owner=owner_name(found.st_uid),
        group=group_name(found.st_gid),
        target=os.readlink(child.path) if stat.S_ISLNK(found.st_mode) else None,
    )


def kind_of(mode: int) -> Kind:
    """The file type in a st_mode."""
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.LINK if stat.S_ISLNK(mode) else Kind.OTHER
