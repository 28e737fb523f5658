"""Texts that a browser breaks after `/` and `,` only."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

from pytest_synctool.common.wording import printable_text

_BETWEEN: Final = re.compile(r"(?<=[^/,\s][/,])(?=[^/,\s])")
_MOST: Final = 400  # parts of a text; a longer one is broken anywhere


def breakable(text: str) -> Markup:
    """Return a name, path or list of nodes whose parts stay in one piece, unless one is longer than a line."""
    shown = printable_text(text)
    words = shown.split(" ")
    if sum(word.count("/") + word.count(",") for word in words) > _MOST:
        return Markup(escape(shown))
    return Markup(" ").join(_word(word) for word in words)


def _word(word: str) -> Markup:
    parts = _BETWEEN.split(word)
    if len(parts) == 1 and "-" not in word:
        return Markup(escape(word))
    return Markup("").join(Markup('<span class="part">{}</span>').format(part) for part in parts)
