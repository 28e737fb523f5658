"""Obstacles to running the programs of the masterdir on a node, as far as the controller can know."""

from __future__ import annotations

import os
import re
import shutil
import stat
from functools import lru_cache
from typing import Final

from pytest_synctool.repository.entry_commands import Command

_SCRIPTS: Final = b"scripts"
# The first word of a command, if the shell takes it as it is.
_WORD: Final = re.compile(rb"([A-Za-z0-9_.+-]+)(?=[; \n]|$)")
_LONGEST_LINE: Final = 4096  # bytes
_NO_PROGRAM: Final = "it is not an executable file"
_CARRIAGE_RETURN: Final = "its first line ends with a carriage return, as Windows writes it"


def obstacle(command: Command, masterdir: bytes) -> str:
    """Return the reason why a command can run on no node; empty if none is known. A repair would give the same one.

    A node can have other programs than the controller, and other files where a link leads.
    """
    if not command.is_text:
        return _obstacle_of(os.path.join(masterdir, command.text))
    word = _WORD.match(command.text)
    if word is None:
        return ""
    reason = _obstacle_of(os.path.join(masterdir, _SCRIPTS, word[1]))
    # A program of the node that has the same name would run in its place.
    return f"scripts/{os.fsdecode(word[1])}: {reason}" if reason and shutil.which(word[1]) is None else ""


def _obstacle_of(path: bytes) -> str:
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    if not stat.S_ISREG(status.st_mode):
        return ""
    return _obstacle_in(path, status.st_mode, status.st_ino, status.st_ctime_ns)


@lru_cache(maxsize=4096)
def _obstacle_in(path: bytes, mode: int, *version: int) -> str:
    """Return the reason why a file cannot run. `version` changes with the file."""
    del version
    if not mode & 0o111:
        return _NO_PROGRAM
    try:
        with open(path, "rb") as file:
            first = file.read(_LONGEST_LINE).partition(b"\n")[0]
    except OSError:
        return ""
    return _CARRIAGE_RETURN if first.startswith(b"#!") and first.endswith(b"\r") else ""
