"""Foreign text for terminals and for the logs of CI systems: it must neither control the one nor command the other.

CI systems obey lines of a job's log: GitHub `::stop-commands::x` and `##[stop-commands]x`, Azure `##vso[...]`, TeamCity
`##teamcity[...]`, GitLab `section_start:...`. A backslash breaks such a command, and the text stays readable. A
character of no width would not do: .NET ignores it when it compares texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import BinaryIO, Final

from pytest_synctool.common.wording import printable_text

# Variables that CI systems set for their jobs.
CI_VARIABLES: Final = ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "TEAMCITY_VERSION")

# Characters that a comparison in .NET may skip, as parts of a set.
_IGNORED: Final = (
    r"\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff"
)
_BLANK: Final = r"\t\x0b\x0c\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000" + _IGNORED
# Each match is the part of a command before the backslash.
_COMMAND: Final = re.compile(
    rf"#(?=[{_IGNORED}]*#[A-Za-z{_IGNORED}]*\[)"
    r"|(?:section_(?:start|end)|travis_(?:fold|time))(?=:)"
    rf"|(?:^|(?<=\r))[{_BLANK}]*:(?=[{_IGNORED}]*:)",
    re.MULTILINE,
)
_ALL_BLANK: Final = re.compile(rf"[{_BLANK}]*")
_JOINERS: Final = "\u200c\u200d"  # of Persian, Hindi and emoji
_SPACES: Final = "\xa0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

LineFilter = Callable[[bytes], bytes]
"""A function from a line of output, without its newline, to the line to write."""


def unchanged(line: bytes) -> bytes:
    """Return the line itself: the filter of a pipe."""
    return line


def disarm(text: str, *, at_start: bool = True) -> str:
    """Return a text with a backslash in everything that a CI system would take for a command.

    `at_start` is True if the text is the beginning of a line.
    """
    if "#" not in text and ":" not in text:
        return text  # every command has one of them
    if at_start:
        return _COMMAND.sub(r"\g<0>\\", text)
    return _COMMAND.sub(r"\g<0>\\", f"-{text}")[1:]


def is_blank(text: str) -> bool:
    """Return True if GitHub would obey a command behind this beginning of a line."""
    return _ALL_BLANK.fullmatch(text) is not None


def shown(text: str) -> str:
    """Return a line of text for people: control characters but tabs become `\\xNN`, and commands are disarmed."""
    return disarm("\t".join(map(printable_text, text.split("\t"))))


def visible(line: bytes) -> bytes:
    """Return a line as `cat -v` shows it: control characters as `^X` and `M-x`. Text in UTF-8, and tabs, stay.

    Invisible characters in UTF-8 that control a terminal or reorder its text count as control characters.
    """
    text = line.decode("utf-8", "surrogateescape")
    if text.isprintable():
        return line
    return b"".join(_visible(char) for char in text)


def _visible(char: str) -> bytes:
    raw = char.encode("utf-8", "surrogateescape")
    if char.isprintable() or char in ("\t", *_JOINERS, *_SPACES):
        return raw
    return "".join(map(_caret, raw)).encode("ascii")


def _caret(byte: int) -> str:
    """Return a byte in the notation of `cat -v`."""
    if byte >= 0x80:
        return f"M-{_caret(byte - 0x80)}"
    return chr(byte) if 0x20 <= byte < 0x7F else f"^{chr(byte ^ 0x40)}"


def line_filter(stream: BinaryIO, environment: Mapping[str, str]) -> LineFilter:
    """Return the filter for lines of nodes: visible for a terminal, disarmed in a CI job, and unchanged for a pipe."""
    if stream.isatty():
        return lambda line: _disarm_bytes(visible(line))
    if any(environment.get(name) for name in CI_VARIABLES):
        return _disarm_bytes
    return unchanged


def _disarm_bytes(line: bytes) -> bytes:
    return disarm(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
