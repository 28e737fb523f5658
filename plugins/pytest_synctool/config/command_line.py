"""Command lines of a configuration, such as that of `ssh_cmd`."""

from __future__ import annotations

import shlex
from pathlib import Path

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import resolve


def split(text: str, trust: Trust, directory: Path = Path()) -> tuple[str, ...]:
    """Return the words of a command line that runs in a directory.

    Each file that a word names by its path decides what the command does: the program, or the configuration of ssh.
    Raises TrustError if accounts that are not trusted can change one, and ValueError if the text cannot be split.
    """
    words = tuple(shlex.split(text))
    for path in (directory / word for word in words if "/" in word):
        if _is_file(path):
            resolve(path, trust)
    return words


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # an impossible name is no file
        return False
