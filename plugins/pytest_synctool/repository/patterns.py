"""Patterns of paths: `*`, `?` and `[...]` within one component; `**` stands for any number of components."""

from __future__ import annotations

import re

from pytest_synctool.common.wording import printable_text


class PatternError(ValueError):
    """An invalid pattern; the message is the reason."""


def is_pattern(name: str) -> bool:
    """Return True if a `path` or `source` is a pattern, False if it is an exact name."""
    return any(character in name for character in "*?[")


def regex(pattern: str) -> str:
    """Return the regular expression of a pattern, to match a path that begins with a slash. Raises PatternError."""
    components = pattern.removeprefix("/").split("/")
    return "".join("(?:/[^/]+)*" if c == "**" else "/" + _component(c) for c in components)


def _component(pattern: str) -> str:
    pieces, position = [""], 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            pieces.append("")
        elif character == "?":
            pieces[-1] += "[^/]"
        elif character == "[":
            end = pattern.find("]", position + (2 if pattern[position : position + 1] == "!" else 1))
            if end < 0:
                raise PatternError("a '[' has no ']' (the character itself is written as [[])")
            pieces[-1] += _choice(pattern[position:end])
            position = end + 1
        else:
            pieces[-1] += re.escape(character)
    first, *between = pieces
    if not between:
        return first
    # For each star but the last, the first match is as good as any. The atomic group keeps it: no pattern takes long.
    return first + "".join(f"(?>[^/]*?{piece})" for piece in between[:-1] if piece) + "[^/]*" + between[-1]


def _choice(content: str) -> str:
    """Return the regular expression of the content of [...]. It never matches a slash, even within a range."""
    negated = content.startswith("!")
    ranges = re.findall(r"(.)-(.)|(.)", content[negated:], re.DOTALL)
    items = ""
    for low, high, single in ranges:
        if high < low:
            raise PatternError(f"the range '{printable_text(low)}-{printable_text(high)}' is empty")
        items += f"{re.escape(low)}-{re.escape(high)}" if low else re.escape(single)
    return f"(?!/)[{'^' if negated else ''}{items}]"


def escape(name: bytes) -> str:
    """Return the pattern for a literal name. A byte that is not UTF-8, which YAML cannot hold, becomes `?`."""
    escaped = re.sub(r"([*?\[])", r"[\1]", name.decode("utf-8", "surrogateescape"))
    return re.sub("[\udc80-\udcff]", "?", escaped)
