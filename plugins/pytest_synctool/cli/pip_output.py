"""A parser of pip's output about the releases of this program. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from packaging.version import InvalidVersion, Version

NAME: Final = "pytest-synctool"

_AVAILABLE: Final = re.compile(r"^Available versions: (.*)$", re.MULTILINE)
# Patterns of pip's errors and our messages; the first match counts. {} is the group of the pattern.
_REASONS: Final = (
    (re.compile(r"No module named '?pip"), "there is no pip for this Python: install it"),
    (
        re.compile(r"DO NOT MATCH THE HASHES"),
        "the downloaded file does not have the digest of the package index: nothing was kept, try again later",
    ),
    (
        re.compile(r"connection broken by '.*?([^':\[\]]+?)(?: \([^()']*\))?\W*': /"),
        "the package index cannot be reached: {}",
    ),
    (re.compile(r"Could not fetch URL \S+: (.*?)(?: - skipping)?$", re.MULTILINE), "the package index failed: {}"),
    (re.compile(r"No matching distribution"), f"the package index that pip uses has no release of {NAME}"),
)


def latest(output: str) -> str | None:
    """Return the latest version in the output of `pip index versions`, or None if it lists none."""
    match = _AVAILABLE.search(output)
    words = match[1].split(",") if match else []
    return max((word.strip() for word in words if _is_version(word)), key=Version, default=None)


def _is_version(word: str) -> bool:
    try:
        Version(word)
    except InvalidVersion:
        return False
    return True


def comparison(installed: str, release: str) -> list[str]:
    """Return lines that compare the installed version with the latest release."""
    if Version(release) == Version(installed):
        return [f"{NAME} {installed} is installed: that is the latest release"]
    if Version(release) < Version(installed):
        return [f"{NAME} {installed} is installed, which is newer than the latest release, {release}"]
    return [
        f"{NAME} {installed} is installed, {release} is available",
        f"to install it: pip install --upgrade {NAME}; to get the file: synctool --download",
    ]


def failure(stderr: str) -> str:
    """Return the reason of a failure, from pip's standard error."""
    for pattern, text in _REASONS:
        if match := pattern.search(stderr):
            return text.format(*(group.strip() for group in match.groups()))
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
    return f"pip failed: {errors[0].removeprefix('ERROR: ')}" if errors else "pip failed without a message"


def is_wheel(names: Sequence[str]) -> bool:
    """Return True if the only downloaded file is a wheel of this program."""
    return len(names) == 1 and re.fullmatch(r"pytest_synctool-[A-Za-z0-9_.!+-]+\.whl", names[0]) is not None
