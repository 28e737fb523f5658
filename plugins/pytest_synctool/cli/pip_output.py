"""What pip says of the releases of this program, understood. No input or output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from packaging.version import InvalidVersion, Version

NAME: Final = "pytest-synctool"

_AVAILABLE: Final = re.compile(r"^Available versions: (.*)$", re.MULTILINE)
# Why pip has given up, the telling ones first; a group is told instead of its whole line.
_REASONS: Final = (
    (re.compile(r"No module named '?pip"), "there is no pip for this Python: install it"),
    (
        re.compile(r"DO NOT MATCH THE HASHES"),
        "what came is not what the package index says that it is: nothing was kept, try again later",
    ),
    (
        re.compile(r"connection broken by '.*?([^':\[\]]+?)(?: \([^()']*\))?\W*': /"),
        "the package index cannot be reached: {}",
    ),
    (re.compile(r"Could not fetch URL \S+: (.*?)(?: - skipping)?$", re.MULTILINE), "the package index failed: {}"),
    (re.compile(r"No matching distribution"), f"the package index that pip uses has no release of {NAME}"),
)


def latest(output: str) -> str | None:
    """The latest version in the output of `pip index versions`; None if it has none."""
    found = _AVAILABLE.search(output)
    words = found[1].split(",") if found else []
    return max((word.strip() for word in words if _is_version(word)), key=Version, default=None)


def _is_version(word: str) -> bool:
    try:
        Version(word)
    except InvalidVersion:
        return False
    return True


def compared(installed: str, there: str) -> list[str]:
    """What there is to say of the installed version and the latest release, line by line."""
    if Version(there) <= Version(installed):
        than = "" if Version(there) == Version(installed) else f", which is newer than the latest release, {there}"
        return [f"{NAME} {installed} is installed{than or ': that is the latest release'}"]
    return [
        f"{NAME} {installed} is installed, {there} is there",
        f"to install it: pip install --upgrade {NAME}; to get the file: synctool --download",
    ]


def reason(complaints: str) -> str:
    """Why pip has failed, from what it has said on standard error."""
    for pattern, text in _REASONS:
        if found := pattern.search(complaints):
            return text.format(*(group.strip() for group in found.groups()))
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
    return f"pip failed: {errors[0].removeprefix('ERROR: ')}" if errors else "pip failed without a word"


def is_wheel(names: Sequence[str]) -> bool:
    """Whether one file has come, and is a wheel of this program."""
    return len(names) == 1 and re.fullmatch(r"pytest_synctool-[A-Za-z0-9_.!+-]+\.whl", names[0]) is not None
