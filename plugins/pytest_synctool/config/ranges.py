"""Ranges of nodes, `n[001-100]`, and of values for each of these nodes, `ipaddress:192.168.1.[20]`."""

from __future__ import annotations

import re
from itertools import product
from math import prod
from typing import Final

from ClusterShell.RangeSet import RangeSet, RangeSetException

from pytest_synctool.common.nodenames import MOST_NODES, range_length

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}")
_BRACKETS: Final = re.compile(r"\[([^\]]*)\]")
_PART: Final = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?(?:/\d{1,9})?")
_COUNTED: Final = re.compile(r"([^\[\]]*)\[(\d{1,9})\]([^\[\]]*)")
# An IPv6 address in brackets: something with a colon that is not in brackets of its own.
_IPV6: Final = re.compile(r"((?:.*@|\w+://)?)\[([0-9A-Fa-f]*:(?:[^\[\]]|\[[^\[\]]*\])*)\](.*)")
_DOTTED: Final = re.compile(r"\d+(?:\.\d+){3}")


class RangeError(ValueError):
    """A range is invalid; the message has the reason."""


def is_name(word: str) -> bool:
    """Return True if a word can be the name of a node or group."""
    return _NAME.fullmatch(word) is not None


def expand(word: str) -> list[str]:
    """Expand the ranges in brackets of a word, in order. A word without ranges is one name. Raises RangeError."""
    literals = _BRACKETS.split(word)
    if any(c in literal for literal in literals[::2] for c in "[]"):
        raise RangeError(f"'{word}': expected ranges in brackets, like n[001-100]")
    for text in literals[1::2]:
        _check_range(text, word)
    if prod(range_length(text) or 0 for text in literals[1::2]) > MOST_NODES:
        raise RangeError(f"'{word[:80]}' stands for more than {MOST_NODES:,} names")
    numbers = [_numbers(text, word) for text in literals[1::2]]
    return [
        "".join((*(a + b for a, b in zip(literals[::2], n, strict=False)), literals[-1])) for n in product(*numbers)
    ]


def _check_range(text: str, word: str) -> None:
    """Raise RangeError for an invalid or too long range. Nothing is expanded."""
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise RangeError(f"'{word}': '{text}' is not a range, expected one like [001-100] or [1-3,7]")
        if match[2] and not 0 <= int(match[2]) - int(match[1]) < MOST_NODES:
            reason = "goes backwards" if int(match[2]) < int(match[1]) else f"has more than {MOST_NODES:,} numbers"
            raise RangeError(f"'{word}': '{part}' {reason}")


def _numbers(text: str, word: str) -> list[str]:
    try:
        return list(RangeSet(text).striter())
    except RangeSetException as error:
        raise RangeError(f"'{word}': {error}") from error


def spread(value: str, count: int) -> list[str]:
    """Expand a value to one value for each of `count` nodes.

    A single number in brackets is the first of `count` numbers; a range has one number per node. Leading zeros stay.
    The brackets of an IPv6 address, as in `[fe80::[20]]:22`, are no range. Raises RangeError if the numbers of values
    and nodes differ.
    """
    if (address := _IPV6.fullmatch(value)) is not None:
        before, inside, after = address.groups()
        if "[" not in after:
            return [f"{before}[{each}]{after}" for each in spread(inside, count)]
    match = _COUNTED.fullmatch(value)
    if match is not None:
        start, width = int(match[2]), len(match[2])
        values = [f"{match[1]}{number:0{width}}{match[3]}" for number in range(start, start + count)]
        if bad := [v for v in values if _DOTTED.fullmatch(v) and any(int(part) > 255 for part in v.split("."))]:
            raise RangeError(f"'{value}' counts up to '{bad[0]}', which is no address")
        return values
    if "[" not in value:
        if count > 1:
            raise RangeError(f"'{value}' would be the same for {count} nodes: expected a range, like 192.168.1.[20]")
        return [value]
    values = expand(value)
    if len(values) != count:
        raise RangeError(f"'{value}' stands for {len(values)}, expected one for each of {count} nodes")
    return values
