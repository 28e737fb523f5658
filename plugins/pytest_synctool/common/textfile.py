"""Reading of text files that people write and a run obeys."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pytest_synctool.common import trusted_files
from pytest_synctool.common.trust import Trust
from pytest_synctool.errors import ConfigError

_MOST: Final = 64 << 20  # bytes


def read(path: Path, trust: Trust | None = None) -> str:
    """Return the text of a trusted UTF-8 file, without a byte order mark. Raises ConfigError if it cannot be read.

    Without `trust`, a file is trusted that belongs to root or to the caller.
    """
    try:
        content = trusted_files.read(path, trust or Trust.of_caller(), _MOST)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # an impossible file name
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"{path}:{line}: not a text file in UTF-8 (byte {error.start}): convert it, or correct this line"
        raise ConfigError(message) from error
