"""Texts for people: hints at the nearest known word, spellings of yes and no, plurals, printable names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

TRUTHS: Final = {
    **dict.fromkeys(("yes", "on", "true", "1"), True),
    **dict.fromkeys(("no", "off", "false", "0"), False),
}
LONGEST_NODE_TEXT: Final = 1000  # bytes; messages and lines of output are shorter, and nobody reads more
_MOST_HINTS: Final = 50  # a hint takes some milliseconds among thousands of names, and nobody reads more


class Hints:
    """nearest() with a memory, for a file or tree with many mistakes. After 50 different words it gives no hints."""

    def __init__(self) -> None:
        self._hints: dict[tuple[str, str], str] = {}

    def nearest(self, kind: str, word: str, known: Iterable[str]) -> str:
        """Return ` (did you mean 'batch'?)`, or an empty text. `kind` is that of the known words, such as "group"."""
        key = (kind, word)
        if key not in self._hints:
            self._hints[key] = nearest(word, known) if len(self._hints) < _MOST_HINTS else ""
        return self._hints[key]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'batch'?)`, or an empty text if no known word is near."""
    close = close_match(word, known)
    return f" (did you mean '{close}'?)" if close else ""


def close_match(word: str, known: Iterable[str]) -> str:
    """Return the known word that is nearest to a misspelt one, or an empty text."""
    return next(iter(difflib.get_close_matches(word, list(known), 1)), "")


def nodes_in_words(number: int) -> str:
    """Return `1 node` or `2 nodes`."""
    return f"{number} node{'' if number == 1 else 's'}"


def in_brackets(nodes: Sequence[str]) -> str:
    """Return ` (3 nodes)`, to follow a text about the nodes, or an empty text for one node."""
    return f" ({nodes_in_words(len(nodes))})" if len(nodes) > 1 else ""


def printable(name: bytes) -> str:
    """Return a file name as text for any terminal, log or XML file.

    UTF-8 stays as it is. Control characters and bytes that are not UTF-8 become `\\xNN`.
    """
    return printable_text(name.decode("utf-8", "backslashreplace"))


def printable_text(text: str) -> str:
    """Return text with control characters and lone surrogates as `\\xNN` and `\\uNNNN`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def account(name: str | None, number: int) -> str:
    """Return the name of an owner or group, printable, or its number if it has no name."""
    return str(number) if name is None else printable(name.encode("utf-8", "surrogateescape"))


def node_text(text: bytes, longest: int = LONGEST_NODE_TEXT) -> str:
    """Return text that a node has sent, printable, cut after `longest` bytes with a remark."""
    if len(text) <= longest:
        return printable(text)
    return f"{printable(text[:longest])}... ({len(text):,} bytes)"


def internal_error(error: Exception) -> str:
    """Return `ValueError: reason` for a fault of this program. The reason may quote a node, so it is cut."""
    return node_text(f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
