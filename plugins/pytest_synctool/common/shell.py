"""POSIX shell text: quoting, and the two forms in which a script is sent to a node."""

from __future__ import annotations

import re
from typing import Final

# The last member of every tar stream. Without it tar would accept a stream that ends between two files.
COMPLETE: Final = ".synctool-complete"

_SAFE = re.compile(rb"[A-Za-z0-9@%+=:,./_-]+")
_ASCII = re.compile(rb"[\t\n\x20-\x7e]*")


def quote(word: bytes) -> bytes:
    """Return shell text for one word of exactly these bytes."""
    if _SAFE.fullmatch(word):
        return word
    return b"'" + word.replace(b"'", b"'\\''") + b"'"


def words(*arguments: bytes) -> bytes:
    """Return a command line of quoted words."""
    return b" ".join(quote(argument) for argument in arguments)


def whole(script: bytes) -> bytes:
    """Return a script that a shell runs completely or not at all.

    The shell must read the closing brace before it runs the first command. So it runs nothing if the connection breaks
    while it receives the script.
    """
    return b"{\n" + script + b"\nexit\n}\n"


def ascii_command(script: bytes) -> str:
    """Return the script as one ASCII command line, for connections without standard input."""
    if _ASCII.fullmatch(script):
        return script.decode("ascii")
    escaped = b"".join(
        b"\\\\" if byte == 0x5C else bytes((byte,)) if byte < 0x7F and byte >= 0x20 else b"\\0%03o" % byte
        for byte in script
    )
    return (b"eval \"$(printf '%b' " + quote(escaped) + b')"').decode("ascii")
