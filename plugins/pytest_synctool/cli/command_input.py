"""Commands from standard input, one a line: typed on a terminal behind a prompt, or from a pipe or a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Final

from pytest_synctool.errors import SynctoolError

_LONGEST: Final = 128 << 10  # bytes; the kernel takes no longer argument
_LAST: Final = ("exit", "quit")


def is_terminal() -> bool:
    """Return True if somebody types the commands."""
    return os.isatty(0)


def commands(prompt: str) -> Iterator[str]:
    """Yield the commands until the input ends, or a line is `exit` or `quit`. Leave out empty lines and comments.

    Raise SynctoolError for a line that cannot be a command.
    """
    for line in _typed(prompt) if is_terminal() else _piped():
        command = line.strip()
        if command in _LAST:
            return
        if command and not command.startswith("#"):
            yield line


def _typed(prompt: str) -> Iterator[str]:
    """Yield the lines of a terminal, which has a history of them if standard output is a terminal too."""
    sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # a terminal is a text stream
    if sys.stdout.isatty():
        import readline  # noqa: F401  # input() edits lines with it
    else:
        prompt, shown = "", prompt
    while True:
        try:
            if not prompt:
                print(shown, end="", file=sys.stderr, flush=True)
            yield input(prompt)
        except EOFError:
            print(file=sys.stdout if prompt else sys.stderr)
            return


def _piped() -> Iterator[str]:
    with open(0, "rb", closefd=False) as stream:
        number = 0
        while line := stream.readline(_LONGEST):
            number += 1
            if b"\0" in line or len(line) == _LONGEST:
                problem = "a NUL byte" if b"\0" in line else f"more than {_LONGEST:,} bytes"
                raise SynctoolError(f"standard input: line {number} has {problem}, so it is not a command")
            yield os.fsdecode(line.removesuffix(b"\n").removesuffix(b"\r"))
