"""A source in the masterdir, its destination, and the expected state that it defines."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.digests import Digests

if TYPE_CHECKING:
    from pytest_synctool.repository.rendering import Rendering

TEMPLATE: Final = b"._template"  # before the group extension of a template


class Tree(Enum):
    """The subdirectories of the masterdir that hold entries, each with its own meaning.

    No subdirectory is EXCLUSIVE: it is for the contents of directories of overlay/ that may have nothing else in them.
    """

    OVERLAY = "overlay"
    DELETE = "delete"
    TASKS = "tasks"
    EXCLUSIVE = "exclusive"

    __hash__ = object.__hash__  # that of an Enum is a function, and each destination is hashed many times


SUBDIRECTORIES: Final = (Tree.OVERLAY, Tree.DELETE, Tree.TASKS)


class Destination(NamedTuple):
    """An absolute path on nodes, as raw bytes, and the tree that has sources or triggers for it.

    It is a tuple because a masterdir has many, and a tuple is hashed faster than a dataclass.
    """

    tree: Tree
    path: bytes


@dataclass(eq=False)
class Made:
    """Contents that the controller makes from a source, on first use. It equals only itself.

    `make` raises RepositoryError. `rendering` is that of a template. Contents that are `decrypted` are in memory only.
    `origin` has what else decides them, without any contents.
    """

    make: Callable[[], bytes]
    rendering: Rendering | None = None
    decrypted: bool = False
    origin: tuple[object, ...] = ()

    @cached_property
    def content(self) -> bytes:
        """The contents. Raises RepositoryError."""
        return self.make()

    @cached_property
    def md5(self) -> str:
        """The MD5 of the contents, 32 hex digits. Raises RepositoryError."""
        import hashlib

        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Source:
    """A file, directory or symbolic link in the masterdir that defines one destination on the nodes it applies to.

    `masterdir` is an absolute path on the controller and `relative` the path below it. `destination` is the absolute
    path on a node. All three are raw bytes because file names have no encoding. `state` is the state at the time of the
    walk, with the digest of a file that has not changed since an earlier run. `is_template` is True for a name like
    `ntp.conf._template._all`. `made` are the contents that nodes get, if these are not those of the file.
    """

    tree: Tree
    masterdir: bytes
    relative: bytes
    destination: bytes
    state: FileState
    digests: Digests = field(default_factory=Digests, repr=False, compare=False)
    is_template: bool = False
    made: Made | None = field(default=None, repr=False, compare=False)
    _expected: FileState | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def expected(self) -> FileState:
        """The expected state on a node. The first use reads a regular file for its size and MD5.

        Raises RepositoryError if the file cannot be read.
        """
        if self.state.kind is not Kind.FILE or (self.made is None and self.state.md5 is not None):
            return self.state
        expected = self._expected
        if expected is None:
            expected = self._find_expected()
            object.__setattr__(self, "_expected", expected)
        return expected

    def _find_expected(self) -> FileState:
        if self.made is not None:
            return replace(self.state, size=len(self.made.content), md5=self.made.md5)
        try:
            size, md5 = self.digests.of(os.path.join(self.masterdir, self.relative))
        except OSError as error:
            raise RepositoryError(f"cannot read {self.shown}: {error.strerror}") from error
        state = self.state
        return FileState(state.kind, state.mode, size, state.uid, state.gid, state.owner, state.group, md5)

    def read(self) -> bytes:
        """Return the contents that nodes get. Raises RepositoryError if they cannot be read or made."""
        if self.made is not None:
            return self.made.content
        try:
            path = os.path.join(self.masterdir, self.relative)
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                return file.read()
        except OSError as error:
            raise RepositoryError(f"cannot read {self.shown}: {error.strerror}") from error

    @property
    def mirrored(self) -> bytes:
        """The path below a node's mirror: a rendered template has no mark of a template there."""
        return self.relative if self.made is None else b"".join(self.relative.rsplit(TEMPLATE, 1))

    @property
    def is_directory(self) -> bool:
        """True for a directory. A symbolic link to a directory is not one."""
        return self.state.kind is Kind.DIRECTORY

    @property
    def shown(self) -> str:
        """The path below the masterdir, printable."""
        return printable(self.relative)


def kind_of(mode: int) -> Kind:
    """Return the file type of a st_mode."""
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.LINK if stat.S_ISLNK(mode) else Kind.OTHER


def file_type(kind: Kind) -> int:
    """Return the file type of a st_mode for a kind that has one; else 0."""
    return {Kind.FILE: stat.S_IFREG, Kind.DIRECTORY: stat.S_IFDIR, Kind.LINK: stat.S_IFLNK}.get(kind, 0)


def by_component(path: bytes) -> bytes:
    """Return a sort key for paths: they are compared name by name, so that a directory comes right before all in it."""
    return path.replace(b"/", b"\0")


def parents(path: bytes) -> list[bytes]:
    """Return the directories above an absolute path, topmost first, without `/`."""
    above, end = [], path.find(b"/", 1)
    while end > 0:
        above.append(path[:end])
        end = path.find(b"/", end + 1)
    return above
