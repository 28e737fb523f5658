"""The directory in which this user's runs keep what they can compute again."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of this project below $XDG_CACHE_HOME, or else ~/.cache. It need not exist.

    Raises OSError for a user without a home directory.
    """
    home = environment.get("XDG_CACHE_HOME", "")
    try:
        cache = Path(home) if home.startswith("/") else Path("~/.cache").expanduser()
    except RuntimeError:
        raise OSError(errno.ENOENT, "this user has no home directory") from None
    return cache / "pytest-synctool"
