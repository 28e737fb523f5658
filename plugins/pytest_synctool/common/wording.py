"""Words for people: the nearest known one to one that is not known, the ways to say yes and no, and plurals."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

TRUTHS: Final = {
    **dict.fromkeys(("yes", "on", "true", "1"), True),
    **dict.fromkeys(("no", "off", "false", "0"), False),
}


_MOST_HINTS: Final = 50  # one takes some milliseconds among thousands of names, and nobody reads more


class Hints:
    """nearest() for a file or tree that may be full of the same and other mistakes; after many it says nothing."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], str] = {}

    def nearest(self, kind: str, word: str, known: Iterable[str]) -> str:
        """` (did you mean 'batch'?)`, or nothing; `kind` is of what there are known ones."""
        key = (kind, word)
        if key not in self._found:
            self._found[key] = nearest(word, known) if len(self._found) < _MOST_HINTS else ""
        return self._found[key]


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'batch'?)`, or nothing where nothing is near."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def nodes_in_words(number: int) -> str:
    """`1 node`, `2 nodes`."""
    return f"{number} node{'' if number == 1 else 's'}"


def in_brackets(nodes: Sequence[str]) -> str:
    """` (3 nodes)`, to go behind a text about them; nothing for one."""
    return f" ({nodes_in_words(len(nodes))})" if len(nodes) > 1 else ""


def printable(name: bytes) -> str:
    """A file name as text that any terminal, log or XML file can hold.

    UTF-8 is shown as it is; control characters and bytes that are not UTF-8 as `\\xNN`.
    """
    return printable_text(name.decode("utf-8", "backslashreplace"))


def printable_text(text: str) -> str:
    """Text with control characters and lone surrogates as `\\xNN` and `\\uNNNN`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
