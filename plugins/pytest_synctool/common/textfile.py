"""Text files that people write, read whole."""

from __future__ import annotations

from pathlib import Path

from pytest_synctool.errors import ConfigError


def read(path: Path) -> str:
    """The text of a file in UTF-8, without a byte order mark. Raises ConfigError with the reason if there is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a name that no file can have
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8 (byte {error.start})") from error
