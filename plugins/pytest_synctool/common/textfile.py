"""Reading of text files that people write."""

from __future__ import annotations

from pathlib import Path

from pytest_synctool.errors import ConfigError


def read(path: Path) -> str:
    """Return the text of a UTF-8 file, without a byte order mark. Raises ConfigError if it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # an impossible file name
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8 (byte {error.start})") from error
