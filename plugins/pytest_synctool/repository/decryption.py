"""Commands that print the contents of encrypted files: `decrypt: gpg --decrypt %s` in attributes.yaml.

A command runs on the controller, as words and not through a shell, once for a file. Its output stays in memory. It has
the environment of the run: keys and agents are found by it. Neither its output nor its messages are shown.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_synctool.common.wording import printable
from pytest_synctool.config.command_output import command_output
from pytest_synctool.errors import RepositoryError

_FILE: Final = "%s"


@dataclass(frozen=True, slots=True)
class Decryption:
    """The function that decrypts. Commands run in the masterdir; only those in `allowed`, if it is not None."""

    masterdir: Path
    allowed: Collection[str] | None = None

    def __call__(self, path: bytes, command: str) -> bytes:
        """Return the output of a command for a file. Raises RepositoryError if it fails, or exceeds a limit."""
        shown, words = printable(path), [word.replace(_FILE, os.fsdecode(path)) for word in shlex.split(command)]
        if self.allowed is not None and command not in self.allowed:
            raise RepositoryError(f"{shown} is not decrypted: the present attributes.yaml has no '{command}'")
        try:
            content, problem = command_output(words, self.masterdir)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RepositoryError(f"{shown}: cannot run '{words[0]}' to decrypt it: {reason}") from error
        if problem:
            by_hand = printable(os.fsencode(shlex.join(words)))
            raise RepositoryError(f"{shown} is not decrypted: '{words[0]}' {problem} (by hand: {by_hand})")
        return content
