"""A writer of files in a masterdir. It writes a file completely or not at all, and never through a link in overlay/."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind

_TEMPORARY: Final = b".synctool-upload-"
_BLOCK: Final = 1 << 20
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class OwnerIds:
    """The user and the group of a file, by number."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class _DirectoryEntry:
    """A name in a directory; `directory` is the directory's open descriptor."""

    directory: int
    name: bytes


class MasterdirWriter:
    """Writes files below a masterdir; all names are relative to it.

    Of the directories in a name only the first one, overlay/, may be a link. Every method raises RepositoryError if it
    fails.
    """

    def __init__(self, masterdir: Path) -> None:
        self._masterdir = masterdir

    def check(self, relative: bytes, existing: FileState | None) -> None:
        """Raise RepositoryError unless the name still has the state `existing`; None stands for a missing name."""
        current = None
        try:
            with self._entry(relative) as entry:
                current = os.lstat(entry.name, dir_fd=entry.directory)
        except RepositoryError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        if current is None and existing is None:
            return
        if existing is None:
            raise RepositoryError(f"{printable(relative)} exists already but is not a source: move it away first")
        if current is None:
            raise RepositoryError(f"{printable(relative)} has vanished since it was read: try again")
        expected = (existing.mode, existing.size, existing.uid, existing.gid)
        if expected != (stat.S_IMODE(current.st_mode), current.st_size, current.st_uid, current.st_gid):
            raise RepositoryError(f"{printable(relative)} has changed since it was read: try again")

    def directory(self, relative: bytes, mode: int, owner: OwnerIds) -> None:
        """Create a directory."""
        with self._entry(relative) as entry:
            os.mkdir(entry.name, 0o700, dir_fd=entry.directory)
            _set_owner_and_mode(entry, mode, owner)
            os.fsync(entry.directory)

    def file(self, relative: bytes, content: IO[bytes], mode: int, owner: OwnerIds) -> None:
        """Create or replace a file. It gets content, owner and mode first and is then renamed into place."""
        with self._entry(relative) as entry, _temporary(entry.directory) as temporary:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600, dir_fd=entry.directory), "wb") as file:
                while block := content.read(_BLOCK):
                    file.write(block)
                file.flush()
                os.fchown(file.fileno(), owner.uid, owner.gid)
                os.fchmod(file.fileno(), mode)  # after chown, which clears setuid
                os.fsync(file.fileno())
            _rename(temporary, entry)

    def link(self, relative: bytes, target: bytes, owner: OwnerIds) -> None:
        """Create a symbolic link, or replace a file by one."""
        with self._entry(relative) as entry, _temporary(entry.directory) as temporary:
            os.symlink(target, temporary, dir_fd=entry.directory)
            os.chown(temporary, owner.uid, owner.gid, dir_fd=entry.directory, follow_symlinks=False)
            _rename(temporary, entry)

    def attributes(self, relative: bytes, state: FileState, owner: OwnerIds) -> None:
        """Set owner, group and mode of an existing file, or owner and group of a link."""
        with self._entry(relative) as entry:
            if state.kind is Kind.LINK:
                os.chown(entry.name, owner.uid, owner.gid, dir_fd=entry.directory, follow_symlinks=False)
            else:
                _set_owner_and_mode(entry, state.mode, owner)

    @contextmanager
    def _entry(self, relative: bytes) -> Iterator[_DirectoryEntry]:
        """Open the directory of a name. Raise RepositoryError for links above it, and for any OSError in the body."""
        try:
            with self._opened(relative) as entry:
                yield entry
        except OSError as error:
            raise RepositoryError(f"{printable(relative)}: {error.strerror}") from error

    @contextmanager
    def _opened(self, relative: bytes) -> Iterator[_DirectoryEntry]:
        *between, name = relative.split(b"/")
        descriptor = os.open(self._masterdir, _OPEN)
        try:
            for number, component in enumerate(between, 1):
                flags = _OPEN if number == 1 else _OPEN | os.O_NOFOLLOW
                try:
                    inner = os.open(component, flags, dir_fd=descriptor)
                except OSError as error:
                    if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                        raise
                    shown = printable(b"/".join(between[:number]))
                    raise RepositoryError(f"{shown} is not a directory, so nothing is written below it") from error
                os.close(descriptor)
                descriptor = inner
            yield _DirectoryEntry(descriptor, name)
        finally:
            os.close(descriptor)


def _set_owner_and_mode(entry: _DirectoryEntry, mode: int, owner: OwnerIds) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(entry.name, flags, dir_fd=entry.directory)
    try:
        os.fchown(descriptor, owner.uid, owner.gid)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(temporary: bytes, entry: _DirectoryEntry) -> None:
    os.rename(temporary, entry.name, src_dir_fd=entry.directory, dst_dir_fd=entry.directory)
    os.fsync(entry.directory)


@contextmanager
def _temporary(directory: int) -> Iterator[bytes]:
    name = _TEMPORARY + secrets.token_hex(8).encode("ascii")
    try:
        yield name
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
