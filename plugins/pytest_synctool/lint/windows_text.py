"""A rule about programs that were written on Windows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from pytest_synctool.common.trusted_files import read_regular
from pytest_synctool.common.wording import printable
from pytest_synctool.config.model import Place
from pytest_synctool.lint.context import SCRIPTS, Finding, LintContext

_MOST: Final = 1 << 20  # bytes
_BOM: Final = b"\xef\xbb\xbf"
_REMEDY: Final = "convert it, for example with dos2unix"
# Interpreters that take a carriage return at the end of a line as white space.
_TOLERANT: Final = (b"node", b"perl", b"php", b"python", b"ruby")


class _BadLine(NamedTuple):
    line: int
    message: str


def windows_text(context: LintContext) -> Iterator[Finding]:
    """Find triggers, tasks and scripts with line ends or a byte order mark of Windows."""
    for relative in dict.fromkeys(context.programs):
        path = context.path_of(relative)
        try:
            text = read_regular(path, _MOST)
        except OSError:  # another rule covers links without a target, special files and unreadable ones
            continue
        is_data = relative.startswith(SCRIPTS + b"/") and not os.access(path, os.X_OK)
        problem = None if is_data and not text.startswith((b"#!", _BOM)) else _problem(text)
        if problem is not None:
            place = Place(path, problem.line)
            yield context.finding("windows-text", printable(relative), f"{problem.message}: {_REMEDY}", place)


def _problem(text: bytes) -> _BadLine | None:
    """Return the first problem of a program's text; None for a program that is no text."""
    if b"\0" in text:
        return None
    if text.startswith(_BOM):
        return _BadLine(1, "begins with a byte order mark, so no `#!` line is seen")
    first = text.partition(b"\n")[0]
    if first.startswith(b"#!") and b"\r" in first:
        return _BadLine(1, "its `#!` line has a carriage return (\\r), so its interpreter is not found")
    if first.startswith(b"#!") and any(os.path.basename(word).startswith(_TOLERANT) for word in first[2:].split()):
        return None
    at = text.find(b"\r\n")
    if at < 0:
        return None
    message = "a line ends in a carriage return (\\r), as on Windows, which shells take as a part of its last word"
    return _BadLine(text.count(b"\n", 0, at) + 1, message)
