"""POSIX shell text: quoting, and the two ways a script travels to a node."""

from __future__ import annotations

import re
from typing import Final

# The last member of a tar stream: one that broke off between two files looks like a complete one to tar.
COMPLETE: Final = ".synctool-complete"

_SAFE = re.compile(rb"[A-Za-z0-9@%+=:,./_-]+")
_ASCII = re.compile(rb"[\t\n\x20-\x7e]*")


def quote(word: bytes) -> bytes:
    """One word of shell text that stands for exactly these bytes."""
    if _SAFE.fullmatch(word):
        return word
    return b"'" + word.replace(b"'", b"'\\''") + b"'"


def words(*arguments: bytes) -> bytes:
    """A command line of quoted words."""
    return b" ".join(quote(argument) for argument in arguments)


def whole(script: bytes) -> bytes:
    """A script that a shell runs whole or not at all.

    The shell has to read up to the closing brace before it runs the first command, so a connection that breaks
    while the script travels cannot leave it with half a command.
    """
    return b"{\n" + script + b"\nexit\n}\n"


def ascii_command(script: bytes) -> str:
    """The script as one ASCII command line, for connections that have no standard input."""
    if _ASCII.fullmatch(script):
        return script.decode("ascii")
    escaped = b"".join(
        b"\\\\" if byte == 0x5C else bytes((byte,)) if byte < 0x7F and byte >= 0x20 else b"\\0%03o" % byte
        for byte in script
    )
    return (b"eval \"$(printf '%b' " + quote(escaped) + b')"').decode("ascii")
