"""A walk of the masterdir: every source and trigger with its destination and groups, for all nodes at once.

Names have the same meaning as in synctool 4.x: a file `name._group` applies to the nodes of the group, and `name.post`
is the trigger of `name` (documentation, "fstab._node5" and ".post").
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pytest_synctool.common.accounts import group_name, owner_name
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import is_missing
from pytest_synctool.common.wording import Hints, printable
from pytest_synctool.config.ignore import IgnoreRules
from pytest_synctool.config.model import Config, Layout
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository import later_releases
from pytest_synctool.repository.candidates import (
    TRIGGER,
    Candidate,
    LeftOut,
    Masterdir,
    Reason,
    split_extension,
    split_template,
)
from pytest_synctool.repository.digests import Digests
from pytest_synctool.repository.inspector import Inspector
from pytest_synctool.repository.litter import is_litter
from pytest_synctool.repository.source import SUBDIRECTORIES, TEMPLATE, Destination, Source, Tree, kind_of

_NO_TRIGGER: Final = "a trigger cannot be a template: call it like reload.post._all"
_NO_FILE: Final = "a template must be a regular file"
_LITTER: Final = "left by an editor or version control"


def scan_configured(config: Config, *, cached: bool = True) -> Masterdir:
    """Walk the masterdir of a configuration. Raises what scan() raises. Unless `cached`, every source is read anew."""
    return scan(
        config.masterdir,
        config.known_groups,
        config.ignore,
        config.trust,
        require_extension=config.require_extension,
        layout=config.layout,
        directories=config.directories,
        cached=cached,
    )


def scan(
    path: Path,
    known_groups: Collection[str],
    ignore: IgnoreRules,
    trust: Trust | None = None,
    *,
    require_extension: bool = True,
    layout: Layout | None = None,
    directories: Mapping[str, Sequence[str]] = MappingProxyType({}),
    cached: bool = False,
) -> Masterdir:
    """Walk overlay/, delete/ and tasks/ of a masterdir, or their `directories`. Only overlay/ must exist.

    Files with an unknown or missing group are left out. With `cached`, digests that earlier runs have kept are used.

    Raises RepositoryError for missing or unreadable trees, for names that later releases read otherwise, and for names
    that no destination can have. Its message has a line for each problem. Raises TrustError if accounts that are not
    trusted can change something that is read here, or in scripts/.
    """
    try:
        is_directory = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        is_directory = False
    except OSError as error:
        raise RepositoryError(f"masterdir {path} cannot be looked at: {error.strerror}") from error
    if not is_directory:
        raise RepositoryError(f"masterdir {path} is not a directory: create it, or correct 'masterdir'")
    masterdir = Masterdir(path, Digests.of_masterdir(path) if cached else Digests())
    inspector = Inspector(path, trust or Trust.of_caller())
    walker = _Walker(masterdir, os.fsencode(path), known_groups, ignore, require_extension, inspector)
    tops = {each: [os.fsencode(name) for name in directories.get(each.value, (each.value,))] for each in SUBDIRECTORIES}
    walker.trees(tops, layout)
    if layout is Layout.GROUPS and later_releases.purges(path, ignore):
        is_closed = False
        with suppress(OSError):  # the walk reports it
            is_closed = inspector.top(later_releases.PURGE)
        walker.groups(Tree.OVERLAY, _Place(later_releases.PURGE.encode(), b"", (), is_closed, purged=True))
    masterdir.digests.walked()
    inspector.scripts()
    inspector.finish()
    trees = [top for tree in later_releases.GROUP_TREES for top in tops[tree]]
    if (reason := later_releases.refusal(path, layout, trees, known_groups, ignore, walker.later)) is not None:
        walker.errors.insert(0, reason)
    if walker.errors:
        raise RepositoryError("\n".join(walker.errors))
    return masterdir


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory of the masterdir, the groups of all names that lead there, and whether only trusted accounts can."""

    relative: bytes
    destination: bytes
    groups: tuple[str | None, ...]
    closed: bool
    purged: bool = False  # in purge/, where names have no extensions


@dataclass
class _Walker:
    masterdir: Masterdir
    path: bytes
    known_groups: Collection[str]
    ignore: IgnoreRules
    require_extension: bool
    inspector: Inspector
    errors: list[str] = field(default_factory=list)
    later: list[bytes] = field(default_factory=list)
    hints: Hints = field(default_factory=Hints)
    all_groups: dict[tuple[str | None, ...], tuple[str | None, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.has_templates = later_releases.TEMPLATE not in self.known_groups

    def trees(self, tops: Mapping[Tree, Sequence[bytes]], layout: Layout | None) -> None:
        """Add everything in the directories of each tree."""
        for tree, name in ((each, name) for each, names in tops.items() for name in names):
            if tree is not Tree.OVERLAY and is_missing(os.path.join(self.path, name)):
                continue
            is_closed = False
            with suppress(OSError):  # the walk reports it
                is_closed = self.inspector.top(os.fsdecode(name)) and tree is Tree.OVERLAY
            place = _Place(name, b"", (), is_closed)
            if layout is Layout.GROUPS and tree in later_releases.GROUP_TREES:
                self.groups(tree, place)
            else:
                self.directory(tree, place)

    def groups(self, tree: Tree, top: _Place) -> None:
        """Add everything in the trees of groups, as synctool 6 and 7 have them: `overlay/GROUP/etc/...`."""
        for child in self._opened(top)[1]:
            relative = top.relative + b"/" + child.name
            try:
                place = self._group_tree(tree, child, relative, top)
            except OSError as error:
                self.errors.append(f"cannot read {printable(relative)}: {error.strerror}")
                continue
            if place is not None and top.purged:
                self._purged(place)
            elif place is not None:
                self.directory(tree, place)

    def _purged(self, top: _Place) -> None:
        """Add the highest directories in the tree of a group in purge/ that have files, with all in them."""
        waiting = [top]
        while waiting:
            place = waiting.pop()
            names = [(c, c.is_dir(follow_symlinks=False)) for c in self._opened(place)[1]]  # a link may lead to itself
            children = [child for child, is_directory in names if self.ignore.why((child.name,), is_directory) is None]
            if all(child.is_dir(follow_symlinks=False) for child in children):
                waiting += filter(None, (self._purged_below(child, place) for child in children))
            elif not place.destination:
                shown = printable(place.relative)
                self.errors.append(f"{shown}/ has files, so that nodes could have nothing else at all: move them away")
            else:
                self._add_purged(place)

    def _add_purged(self, place: _Place) -> None:
        path = os.path.join(self.path, place.relative)
        try:
            status = os.lstat(path)
        except OSError as error:
            self.errors.append(f"cannot read {printable(place.relative)}: {error.strerror}")
            return
        self._add(Tree.OVERLAY, place.relative, place.destination, place.groups, self._state(path, status))
        self.masterdir.purged.add(place.relative)
        self.directory(Tree.OVERLAY, place)

    def _purged_below(self, child: os.DirEntry[bytes], place: _Place) -> _Place | None:
        relative, path = (each + b"/" + child.name for each in (place.relative, place.destination))
        try:
            status = child.stat(follow_symlinks=False)
        except OSError as error:
            self.errors.append(f"cannot read {printable(relative)}: {error.strerror}")
            return None
        if not self.inspector.accepts(child.path, status, closed=place.closed):
            return None
        if not self._usable(relative, path, child.name, None, group_needed=False):
            return None
        closed = place.closed or self.inspector.is_closed(child.path, status)
        return _Place(relative, path, (*place.groups, None), closed, purged=True)

    def _group_tree(self, tree: Tree, child: os.DirEntry[bytes], relative: bytes, top: _Place) -> _Place | None:
        """Return the tree of a group, or leave out a name that is none."""
        group, is_directory = os.fsdecode(child.name), child.is_dir(follow_symlinks=False)
        if (rule := self.ignore.why((child.name,), is_directory)) is not None:
            self._leave_out(relative, b"/", Reason.IGNORED, rule)
        elif is_litter(tree, child.name, child.name):
            self._leave_out(relative, b"/", Reason.LITTER, _LITTER)
        elif not is_directory:
            self._leave_out(relative, b"/", Reason.NO_EXTENSION, "not in the directory of a group, such as all/")
        elif group not in self.known_groups:
            self._leave_out_group(relative, b"/", group)
        else:
            status = child.stat(follow_symlinks=False)
            if self.inspector.accepts(child.path, status, closed=top.closed):
                closed = top.closed or (tree is Tree.OVERLAY and self.inspector.is_closed(child.path, status))
                return _Place(relative, b"", (group,), closed)
        return None

    def directory(self, tree: Tree, place: _Place) -> None:
        """Add everything in a directory and below it."""
        open_ = [self._opened(place)]
        while open_:  # however deep it is
            place, children = open_[-1]
            for child in children:
                inside = place.relative + b"/" + child.name
                try:
                    below = self._child(tree, child, inside, place)
                except OSError as error:
                    self.errors.append(f"cannot read {printable(inside)}: {error.strerror}")
                    continue
                if below is not None:
                    open_.append(self._opened(below))
                    break
            else:
                open_.pop()

    def _opened(self, place: _Place) -> tuple[_Place, Iterator[os.DirEntry[bytes]]]:
        try:
            with os.scandir(os.path.join(self.path, place.relative)) as listing:
                return place, iter(sorted(listing, key=lambda child: child.name))
        except OSError as error:
            self.errors.append(f"cannot read {printable(place.relative)}/ in the masterdir: {error.strerror}")
            return place, iter(())

    def _child(
        self,
        tree: Tree,
        child: os.DirEntry[bytes],
        relative: bytes,
        parent: _Place,
    ) -> _Place | None:
        """Add what is at a name in a directory. Return the directory there, if it is one that has entries below it."""
        is_directory = child.is_dir(follow_symlinks=False)
        base, group = (child.name, None) if parent.purged else split_extension(child.name)
        is_source = not (is_directory or parent.purged)
        is_template = False
        if TEMPLATE in child.name and tree is Tree.OVERLAY and is_source and self.has_templates:
            base, group, is_template = split_template(child.name)
        is_trigger = base.endswith(TRIGGER) and is_source
        name = base.removesuffix(TRIGGER) if is_trigger else base
        destination = parent.destination + b"/" + name
        if (rule := self.ignore.why((child.name, base), is_directory)) is not None:
            self._leave_out(relative, destination, Reason.IGNORED, rule)
            return None
        if not parent.purged and is_litter(tree, child.name, base):
            self._leave_out(relative, destination, Reason.LITTER, _LITTER)
            return None
        if tree is Tree.OVERLAY and is_source and later_releases.is_later(child.name, self.known_groups):
            self.later.append(relative)
        group_needed = self.require_extension and is_source and not is_trigger
        if not self._usable(relative, destination, name, group, group_needed=group_needed):
            return None
        groups = self._shared((*parent.groups, group))
        status = child.stat(follow_symlinks=False)
        if not self.inspector.accepts(child.path, status, closed=parent.closed and not is_trigger):
            return None
        if is_trigger and is_template:
            self.errors.append(f"{printable(relative)}: {_NO_TRIGGER}")
            return None
        if is_trigger:
            self.masterdir.triggers.setdefault(Destination(tree, destination), []).append(
                Candidate(groups, relative, None)
            )
            return None
        state = self._state(child.path, status)
        if is_template and state.kind is not Kind.FILE:
            self.errors.append(f"{printable(relative)}: {_NO_FILE}")
            return None
        if state.kind is Kind.OTHER:
            cause = "neither a file, a directory nor a symbolic link"
            self._leave_out(relative, destination, Reason.SPECIAL_FILE, cause)
            return None
        if b"\n" in (state.target or b""):
            self.errors.append(f"{printable(relative)}: a newline in a link target is not supported")
            return None
        if tree is Tree.OVERLAY or not is_directory:  # directories of delete/ and tasks/ are no entries
            self._add(tree, relative, destination, groups, state, is_template=is_template)
        if not is_directory:
            return None
        closed = parent.closed or (tree is Tree.OVERLAY and self.inspector.is_closed(child.path, status))
        return _Place(relative, destination, groups, closed, parent.purged)

    def _shared(self, groups: tuple[str | None, ...]) -> tuple[str | None, ...]:
        """Return the same object for equal groups: many names have the same."""
        return self.all_groups.setdefault(groups, groups)

    def _add(
        self,
        tree: Tree,
        relative: bytes,
        destination: bytes,
        groups: tuple[str | None, ...],
        state: FileState,
        *,
        is_template: bool = False,
    ) -> None:
        source = Source(tree, self.path, relative, destination, state, self.masterdir.digests, is_template)
        candidate, key = Candidate(groups, relative, source), Destination(tree, destination)
        if (others := self.masterdir.candidates.get(key)) is not None:
            others.append(candidate)
        else:  # a list that never grows needs least memory, and most have one candidate
            self.masterdir.candidates[key] = [candidate]

    def _usable(
        self, relative: bytes, destination: bytes, base: bytes, group: str | None, *, group_needed: bool
    ) -> bool:
        """Return True if a name and its group are valid. Otherwise note an error, or leave the name out."""
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
                cause = "no group extension (expected a name like fstab._all)"
                self._leave_out(relative, destination, Reason.NO_EXTENSION, cause)
            return not group_needed
        if not group:
            self._leave_out(relative, destination, Reason.EMPTY_EXTENSION, "empty group extension")
        elif group not in self.known_groups:
            self._leave_out_group(relative, destination, group)
        return group in self.known_groups and bool(group)

    def _leave_out_group(self, relative: bytes, destination: bytes, group: str) -> None:
        hint = self.hints.nearest("group", group, self.known_groups)
        cause = f"unknown group '{printable(os.fsencode(group))}'{hint}"
        self._leave_out(relative, destination, Reason.UNKNOWN_GROUP, cause)

    def _leave_out(self, relative: bytes, destination: bytes, reason: Reason, cause: str) -> None:
        self.masterdir.left_out.append(LeftOut(relative, destination, reason, cause))

    def _state(self, path: bytes, status: os.stat_result) -> FileState:
        kind, uid, gid = kind_of(status.st_mode), status.st_uid, status.st_gid
        md5 = self.masterdir.digests.kept(status) if kind is Kind.FILE else None
        target = os.readlink(path) if kind is Kind.LINK else None
        names = owner_name(uid), group_name(gid)
        return FileState(kind, stat.S_IMODE(status.st_mode), status.st_size, uid, gid, *names, md5, target)
