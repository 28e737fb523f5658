"""A source in the masterdir, its destination, and the expected state that it defines."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.digests import Digests


class Tree(Enum):
    """The subdirectories of the masterdir that hold entries, each with its own meaning."""

    OVERLAY = "overlay"
    DELETE = "delete"
    TASKS = "tasks"

    __hash__ = object.__hash__  # that of an Enum is a function, and each destination is hashed many times


class Destination(NamedTuple):
    """An absolute path on nodes, as raw bytes, and the tree that has sources or triggers for it.

    It is a tuple because a masterdir has many, and a tuple is hashed faster than a dataclass.
    """

    tree: Tree
    path: bytes


@dataclass(frozen=True)
class Source:
    """A file, directory or symbolic link in the masterdir that defines one destination on the nodes it applies to.

    `masterdir` is an absolute path on the controller and `relative` the path below it. `destination` is the absolute
    path on a node. All three are raw bytes because file names have no encoding. `state` is the state at the time of the
    walk, without a digest.
    """

    tree: Tree
    masterdir: bytes
    relative: bytes
    destination: bytes
    state: FileState
    digests: Digests = field(default_factory=Digests, repr=False, compare=False)

    @cached_property
    def expected(self) -> FileState:
        """The expected state on a node. The first use reads a regular file for its size and MD5.

        Raises RepositoryError if the file cannot be read.
        """
        if self.state.kind is not Kind.FILE:
            return self.state
        try:
            size, md5 = self.digests.of(os.path.join(self.masterdir, self.relative))
        except OSError as error:
            raise RepositoryError(f"cannot read {self.shown}: {error.strerror}") from error
        state = self.state
        return FileState(state.kind, state.mode, size, state.uid, state.gid, state.owner, state.group, md5)

    @property
    def is_directory(self) -> bool:
        """True for a directory. A symbolic link to a directory is not one."""
        return self.state.kind is Kind.DIRECTORY

    @cached_property
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


def parents(path: bytes) -> list[bytes]:
    """Return the directories above an absolute path, topmost first, without `/`."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(2, len(parts))]
