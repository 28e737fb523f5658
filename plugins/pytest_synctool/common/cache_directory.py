"""The directory in which this user's runs keep what they can compute again.

It is obeyed only where nobody but this user and root can write.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_synctool.common import trusted_files
from pytest_synctool.common.replacing import replacing
from pytest_synctool.common.trust import Trust


def of_user(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of this project below $XDG_CACHE_HOME, or else ~/.cache. It need not exist.

    Raises OSError for a user without a home directory.
    """
    home = environment.get("XDG_CACHE_HOME", "")
    try:
        cache = Path(home) if home.startswith("/") else Path("~/.cache").expanduser()
    except RuntimeError:
        raise OSError(errno.ENOENT, "this user has no home directory") from None
    return cache / "pytest-synctool"


def made(directory: Path) -> Path:
    """Make a directory in it unless it exists; return its path without links. Raises TrustError and OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(trusted_files.check_directory(directory, _own()))


def read(path: Path, limit: int) -> bytes:
    """Return the content of a file in it. Raises ConfigError for more than `limit` bytes, TrustError and OSError."""
    return trusted_files.read(path, _own(), limit)


def replace(path: Path, chunks: Iterable[bytes]) -> None:
    """Replace a file in a made() directory at once; only its owner can read it. Raises OSError."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.writelines(chunks)


def remove_oldest(directory: Path, pattern: str, most: int) -> None:
    """Remove the oldest files of such a name beyond `most`. Raises OSError."""
    files = sorted(directory.glob(pattern), key=lambda each: each.stat().st_mtime_ns)
    for each in files[:-most]:
        each.unlink()


def _own() -> Trust:
    return Trust(frozenset({0, os.geteuid()}))
