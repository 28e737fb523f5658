"""Names in directories of a node that may have nothing else: the shell text that lists them, and its parser.

The shell lists them itself, and enters nothing through a link. A node answers with at most as many names as there may
be and MOST_ROGUE more, whatever is there. The lines, beside those of a probe:

    e:KIND:NAME           KIND is f, d, l or o; a newline in NAME is a slash, which no name has
    l:NUMBER:COUNT        so many lines before are the names in the directory of this number
    l:NUMBER:+COUNT       there are too many names in it
    l:NUMBER:?            it cannot be entered without a link, or not be listed
    l:NUMBER:-SECONDS     its exclusive directory did not answer in this time

This module contacts nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pytest_synctool.common.shell import argument_size, quote, words
from pytest_synctool.common.wording import node_text
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import Kind

MOST_ROGUE: Final = 1000  # names in an exclusive directory, and below it in a tree, that are in no entry
_LONGEST_NAME: Final = 255  # bytes; Linux has no longer ones
_LINE: Final = _LONGEST_NAME + 8  # bytes, at most
_TICKS: Final = 2

_KINDS: Final = {b"f": Kind.FILE, b"d": Kind.DIRECTORY, b"l": Kind.LINK, b"o": Kind.OTHER}
_NAME: Final = re.compile(rb"([fdlo]):([^\0]{1,%d})" % _LONGEST_NAME)
_END: Final = re.compile(rb"([0-9]{1,9}):(?:([0-9]{1,9})|\+([0-9]{1,12})|(\?)|-([0-9]{1,6}))")

FUNCTIONS: Final = rb"""
list_all() { # NUMBER MOST DIRECTORY...: the names in these directories, of all together at most so many
  k=$1 room=$2
  shift 2
  for d; do
    n=0
    if cd -P -- "$d" 2>&- && where && [ "$at" = "$d" ]; then
      set +f
      list * && list .[!.]* && list ..?*
      set -f
      # No name: either there is none, or it cannot be listed.
      if [ "$n" = 0 ] && ! t=$(ls -a -- . 2>&1); then n='?'
      elif [ "$n" -gt "$room" ]; then printf 'l:%s:+%s\n' "$k" "$n"; return 0
      else room=$((room - n)); fi
    else n='?'; fi
    printf 'l:%s:%s\n' "$k" "$n"
    k=$((k + 1))
  done
}
list() { # NAME...: one that is the pattern itself stands for none
  case $1 in '*' | '.[!.]*' | '..?*') [ $# -gt 1 ] || [ -L "./$1" ] || [ -e "./$1" ] || return 0 ;; esac
  n=$((n + $#))
  [ "$n" -le "$room" ] || return 0
  for x; do
    if [ -L "./$x" ]; then t=l; elif [ -d "./$x" ]; then t=d; elif [ -f "./$x" ]; then t=f; else t=o; fi
    while :; do case $x in *"$nl"*) x=${x%%"$nl"*}/${x#*"$nl"} ;; *) break ;; esac; done
    printf 'e:%s:%s\n' "$t" "$x"
  done
}
"""


@dataclass(frozen=True, slots=True)
class Listing:
    """Directories to list, an exclusive one first, and the number of names that they may have all together."""

    directories: tuple[bytes, ...]
    expected: int

    @property
    def most(self) -> int:
        """The number of names that a node answers with at most."""
        return self.expected + MOST_ROGUE


class NotListed(Enum):
    """The answer about a directory that has no names: it was not entered, or not listed."""

    NOT_ENTERED = "not entered"


@dataclass(frozen=True, slots=True)
class TooMany:
    """The answer about a directory that has too many names."""

    count: int


@dataclass(frozen=True, slots=True)
class Silent:
    """The answer about a directory that did not answer in `seconds`."""

    seconds: int


Names = Mapping[bytes, Kind]
Listed = Names | TooMany | Silent | NotListed


def commands(listings: Iterable[Listing], tick: int) -> Iterator[bytes]:
    """Yield the shell text that lists directories; `tick` is in seconds."""
    number = 0
    for listing in listings:
        line = words(b"timed", b"%d" % _TICKS, b"list_all", b"%d" % number, b"%d" % listing.most, *listing.directories)
        # A line that was cut before ends here.
        yield line + b" || printf '\\nl:%d:-%d\\n'" % (number, _TICKS * tick)
        number += len(listing.directories)


def largest_answer(listings: Iterable[Listing]) -> int:
    """Return the number of bytes that an honest answer has at most."""
    return sum(listing.most * _LINE + 40 * (len(listing.directories) + 1) for listing in listings)


def split(listings: Iterable[Listing], limit: int) -> Iterator[list[Listing]]:
    """Split listings into parts whose shell text has at most an argument_size() of `limit`, or one directory."""
    part: list[Listing] = []
    size = 0
    for listing in listings:
        directories: list[bytes] = []
        for directory in listing.directories:
            cost = argument_size(quote(directory)) + 1 + (0 if directories else 80)
            if (part or directories) and size + cost > limit:
                yield [*part, *([Listing(tuple(directories), listing.expected)] if directories else [])]
                part, directories, size = [], [], 0
                cost = argument_size(quote(directory)) + 81
            directories.append(directory)
            size += cost
        part.append(Listing(tuple(directories), listing.expected))
    if part:
        yield part


def parse(listings: Sequence[Listing], answer: bytes) -> dict[bytes, Listed]:
    """Parse a node's answer about these directories; it has nothing about one that the node did not get to.

    Raises RemoteError if a line is malformed.
    """
    directories = [directory for listing in listings for directory in listing.directories]
    listed: dict[bytes, Listed] = {}
    names: dict[bytes, Kind] = {}
    for line in answer.split(b"\n"):
        if line.startswith(b"e:"):
            if (match := _NAME.fullmatch(line, 2)) is None or match[2] in (b".", b".."):
                raise _unparsable(line)
            names[match[2].replace(b"/", b"\n")] = _KINDS[match[1]]
        elif line.startswith(b"l:"):
            if (end := _END.fullmatch(line, 2)) is None:
                raise _unparsable(line)
            if int(end[1]) < len(directories):
                listed[directories[int(end[1])]] = _listed(end, names)
            names = {}
    return listed


def _listed(end: re.Match[bytes], names: Names) -> Listed:
    _, count, too_many, _, seconds = end.groups()
    if count is not None and int(count) == len(names):
        return names
    if too_many is not None:
        return TooMany(int(too_many))
    return NotListed.NOT_ENTERED if seconds is None else Silent(int(seconds))


def _unparsable(line: bytes) -> RemoteError:
    return RemoteError(f"cannot parse a line of the node's answer: {node_text(line)}")
