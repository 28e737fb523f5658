"""One --fix of a masterdir at a time on this machine: the lock is held until the run is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_synctool.locking import MasterdirLock, who

__all__ = ["lock", "who"]


class _Held:
    def __init__(self, held: MasterdirLock) -> None:
        self._held = held

    def pytest_unconfigure(self) -> None:
        """Release it."""
        self._held.close()


def lock(config: pytest.Config, masterdir: Path) -> None:
    """Lock a masterdir until the run is over. Raises LockError."""
    config.pluginmanager.register(_Held(MasterdirLock(masterdir)), "synctool-lock")
