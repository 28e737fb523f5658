"""What is written into a masterdir: never half, and never through a symbolic link in overlay/."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind

_TEMPORARY: Final = b".synctool-upload-"
_BLOCK: Final = 1 << 20
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Store:
    """Writes below a masterdir. Names are relative to it; of directories above them only overlay/ may be a link."""

    def __init__(self, masterdir: Path) -> None:
        self._masterdir = masterdir

    def check(self, relative: bytes, existing: FileState | None) -> None:
        """Raises RepositoryError unless there is what was seen before: something in this state, or nothing."""
        found = None
        try:
            with self._parent(relative) as (directory, name):
                found = os.lstat(name, dir_fd=directory)
        except RepositoryError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        if found is None and existing is None:
            return
        if found is None or existing is None:
            why = "has gone since it was looked at: try again"
            if existing is None:
                why = "is there already, and stands for nothing: move it away first"
            raise RepositoryError(f"{printable(relative)} {why}")
        seen = (existing.mode, existing.size, existing.uid, existing.gid)
        if seen != (stat.S_IMODE(found.st_mode), found.st_size, found.st_uid, found.st_gid):
            raise RepositoryError(f"{printable(relative)} has changed since it was looked at: try again")

    def directory(self, relative: bytes, mode: int, owners: tuple[int, int]) -> None:
        """Make a directory that is not there. Raises RepositoryError."""
        with self._parent(relative) as (directory, name):
            os.mkdir(name, 0o700, dir_fd=directory)
            self._set(directory, name, mode, owners)
            os.fsync(directory)

    def file(self, relative: bytes, content: IO[bytes], mode: int, owners: tuple[int, int]) -> None:
        """Put a file in its place, complete, with its owner and mode. Raises RepositoryError."""
        with self._parent(relative) as (directory, name), self._temporary(directory) as temporary:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600, dir_fd=directory), "wb") as file:
                while block := content.read(_BLOCK):
                    file.write(block)
                file.flush()
                os.fchown(file.fileno(), *owners)
                os.fchmod(file.fileno(), mode)  # after chown, which takes setuid away
                os.fsync(file.fileno())
            self._rename(directory, temporary, name)

    def link(self, relative: bytes, target: bytes, owners: tuple[int, int]) -> None:
        """Put a symbolic link in its place. Raises RepositoryError."""
        with self._parent(relative) as (directory, name), self._temporary(directory) as temporary:
            os.symlink(target, temporary, dir_fd=directory)
            os.chown(temporary, *owners, dir_fd=directory, follow_symlinks=False)
            self._rename(directory, temporary, name)

    def attributes(self, relative: bytes, state: FileState, owners: tuple[int, int]) -> None:
        """Set owner, group and mode of what is there. Raises RepositoryError."""
        with self._parent(relative) as (directory, name):
            if state.kind is Kind.LINK:
                os.chown(name, *owners, dir_fd=directory, follow_symlinks=False)
            else:
                self._set(directory, name, state.mode, owners)

    def _set(self, directory: int, name: bytes, mode: int, owners: tuple[int, int]) -> None:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
        try:
            os.fchown(descriptor, *owners)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _rename(self, directory: int, temporary: bytes, name: bytes) -> None:
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)

    @contextmanager
    def _temporary(self, directory: int) -> Iterator[bytes]:
        name = _TEMPORARY + secrets.token_hex(8).encode("ascii")
        try:
            yield name
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)

    @contextmanager
    def _parent(self, relative: bytes) -> Iterator[tuple[int, bytes]]:
        """The directory that something lies in, open, and its name there.

        Raises RepositoryError for links above it, and in the place of any OSError while it is in use.
        """
        try:
            with self._opened(relative) as opened:
                yield opened
        except OSError as error:
            raise RepositoryError(f"{printable(relative)}: {error.strerror}") from error

    @contextmanager
    def _opened(self, relative: bytes) -> Iterator[tuple[int, bytes]]:
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
                    raise RepositoryError(f"{shown} is not a directory, and nothing is written through it") from error
                os.close(descriptor)
                descriptor = inner
            yield descriptor, name
        finally:
            os.close(descriptor)
