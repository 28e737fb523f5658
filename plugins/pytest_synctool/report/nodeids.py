"""Destinations as a part of node ids, and back.

pytest and its plugins split node ids at `::` and `[`, and write them into files that can hold neither control
characters nor bytes that are not UTF-8. These characters are percent-encoded, and so is `%` itself.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_PLAIN = re.compile(r"[^%\[\x00-\x1f\x7f]*")


def encode(path: bytes) -> str:
    """Return a path as a part of a node id."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is not None and _PLAIN.fullmatch(text) and "::" not in text and text.isprintable():
        return text
    return "".join(_encoded(c) for c in path.decode("utf-8", "surrogateescape")).replace("::", "%3A%3A")


def _encoded(character: str) -> str:
    if character not in "%[" and character.isprintable():
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def decode(part: str) -> bytes:
    """Return the path that a part of a node id stands for."""
    return unquote_to_bytes(part)
