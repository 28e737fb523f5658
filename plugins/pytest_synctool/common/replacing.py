"""Files that are written under a temporary name and renamed, so that no reader sees half a file."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

SECRET: Final = 0o600
PUBLIC: Final = 0o644


@contextmanager
def replacing(path: Path, mode: int = SECRET, like: Path | None = None) -> Iterator[Path]:
    """Yield the path of a new, empty file to write to; rename it to `path` at the end, or remove it after an exception.

    If `like` is a file of this user, the new one takes over its group and its mode, but no right of others to write.
    Raises OSError.
    """
    temporary = temporary_name(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        if like is not None:
            _take_over(like, descriptor)
        os.close(descriptor)
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """Return a new name beside a file."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}")


def _take_over(path: Path, descriptor: int) -> None:
    with suppress(OSError):
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            os.fchown(descriptor, -1, status.st_gid)
            os.fchmod(descriptor, status.st_mode & PUBLIC)
