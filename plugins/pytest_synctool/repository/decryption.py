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
from typing import TYPE_CHECKING, Final

from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RepositoryError

if TYPE_CHECKING:
    import subprocess

LARGEST: Final = 16 << 20  # bytes of a decrypted file
LONGEST: Final = 60.0  # seconds
_PIECE: Final = 1 << 16
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
            content, problem = _output(words, self.masterdir)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RepositoryError(f"{shown}: cannot run '{words[0]}' to decrypt it: {reason}") from error
        if problem:
            by_hand = printable(os.fsencode(shlex.join(words)))
            raise RepositoryError(f"{shown} is not decrypted: '{words[0]}' {problem} (by hand: {by_hand})")
        return content


def _output(words: list[str], directory: Path) -> tuple[bytes, str]:
    """Return the output of a command, and the reason why it is not to be used, or an empty text."""
    import subprocess  # most runs decrypt nothing

    process = subprocess.Popen(
        words, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    try:
        content, problem = _read(process)
        if not problem:
            process.wait(LONGEST)
    except subprocess.TimeoutExpired:
        content, problem = b"", f"has not ended within {LONGEST:g} s"
    finally:
        # Not its children: they may be an agent. Their output goes nowhere from now on.
        process.kill()
        assert process.stdout is not None
        process.stdout.close()
        status = process.wait()
    if not problem and status:
        problem = f"ended with status {status}" if status > 0 else f"was killed by signal {-status}"
    return content, problem


def _read(process: subprocess.Popen[bytes]) -> tuple[bytes, str]:
    """Return what a command prints, and which limit it has exceeded, or an empty text."""
    import select
    import time

    assert process.stdout is not None
    content, end = bytearray(), time.monotonic() + LONGEST
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    while True:
        left = end - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return b"", f"has not ended within {LONGEST:g} s"
        piece = os.read(process.stdout.fileno(), _PIECE)
        if not piece:
            return bytes(content), ""
        content += piece
        if len(content) > LARGEST:
            return b"", f"prints more than {LARGEST:,} bytes"
