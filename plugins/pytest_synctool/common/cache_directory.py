"""The directory in which this user's runs keep what they can compute again: nobody else can write there."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SAFE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""The flags with which a file there is opened: a link or a pipe in its place misleads and blocks nobody."""


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of this project below $XDG_CACHE_HOME, or else ~/.cache. It need not exist."""
    home = environment.get("XDG_CACHE_HOME", "")
    cache = Path(home) if home.startswith("/") else Path("~/.cache").expanduser()
    return cache / "pytest-synctool"


def is_own(status: os.stat_result) -> bool:
    """Return True for a regular file that only this user can write to."""
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
