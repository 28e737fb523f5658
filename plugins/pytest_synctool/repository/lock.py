"""The lock of a masterdir: on one machine, one process at a time changes it or repairs nodes from it."""

from __future__ import annotations

import fcntl
import os
from datetime import datetime
from pathlib import Path
from socket import gethostname
from typing import Final

from pytest_synctool.common.accounts import user_name
from pytest_synctool.common.trust import EVERYBODY
from pytest_synctool.common.trusted_files import open_regular
from pytest_synctool.errors import LockError

# A mirror ignores names that begin with `.synctool`.
_NAME: Final = ".synctool-lock"


def who() -> str:
    """Return the name of this process for its locks, with the local time.

    For example `root@admin1, process 4711, since 2026-11-25 03:14:15 +0100`.
    """
    now = datetime.now().astimezone()
    return f"{user_name()}@{gethostname()}, process {os.getpid()}, since {now:%Y-%m-%d %H:%M:%S %z}"


class MasterdirLock:
    """A lock that is taken by creating it, and released by close() or by the end of the process, even a crash.

    Raises LockError, which names the holder, if another process holds it.
    """

    def __init__(self, masterdir: Path) -> None:
        self._descriptor, writable = _opened(masterdir)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 1000).decode(errors="replace").strip() if writable else ""
            os.close(self._descriptor)
            raise LockError(f"another --fix of {masterdir} is under way: {holder or 'it does not say whose'}") from None
        if writable:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{who()}\n".encode(), 0)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def _opened(masterdir: Path) -> tuple[int, bool]:
    """Return a descriptor to lock, and True if the holder can write its name into the file.

    In a masterdir that is read-only for this user, the descriptor is that of the directory itself. The lock of another
    user excludes too: only trusted users can make one in a masterdir that a run obeys.
    """
    try:
        return open_regular(masterdir / _NAME, os.O_RDWR | os.O_CREAT, EVERYBODY), True
    except OSError:
        return os.open(masterdir, os.O_RDONLY), False
