"""One change to, or repair from, a masterdir at a time on this machine, so that nobody works on two states of it."""

from __future__ import annotations

import fcntl
import os
from datetime import datetime
from pathlib import Path
from socket import gethostname
from typing import Final

from pytest_synctool.common.accounts import user_name
from pytest_synctool.errors import LockError

# The mirror does not take names that begin so for part of a repository.
_NAME: Final = ".synctool-lock"


def who() -> str:
    """Whose the locks are that this run takes."""
    now = datetime.now().astimezone()
    return f"{user_name()}@{gethostname()}, process {os.getpid()}, since {now:%Y-%m-%d %H:%M:%S %z}"


class MasterdirLock:
    """Held from its making to its release, or to the end of the process, however that comes.

    Raises LockError, telling whose it is, if another process holds it.
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
        """Release it."""
        os.close(self._descriptor)


def _opened(masterdir: Path) -> tuple[int, bool]:
    """A descriptor to lock, and whether it can hold a name: a masterdir that cannot be written to is locked itself."""
    try:
        return os.open(masterdir / _NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), True
    except OSError:
        return os.open(masterdir, os.O_RDONLY), False
