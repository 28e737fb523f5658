"""Digests of files: each file is read once, and a large one not again by later runs as long as it does not change.

What is remembered stands in a file of lines in this user's cache directory, which nobody else can write to. Any change
of a file's content changes the time that its inode was changed, which nobody can set. Only what has kept still for a
while is remembered: a clock that has not moved on would not tell two versions apart.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

_READ_SIZE: Final = 1 << 20
_LARGE: Final = 1 << 20  # bytes; what is smaller is read about as fast as it is looked up
_STILL: Final = 2_000_000_000  # nanoseconds
_MOST: Final = 1 << 20  # bytes of the file of lines, which begins anew then
_LINE: Final = re.compile(r"(\d+) (\d+) (\d+) (\d+) (\d+) ([0-9a-f]{32})")

# Device, inode, size, and the times of the last change of content and inode in nanoseconds.
Version = tuple[int, int, int, int, int]


class Memory:
    """What earlier runs have found out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[Version, str] | None = None

    @classmethod
    def of_user(cls) -> Memory:
        """That in this user's cache directory."""
        given = os.environ.get("XDG_CACHE_HOME", "")
        cache = Path(given) if given.startswith("/") else Path("~/.cache").expanduser()
        return cls(cache / "pytest-synctool" / "digests")

    def get(self, version: Version) -> str | None:
        """The MD5 of a version of a file, if it is remembered."""
        if self._known is None:
            self._known = self._read()
        return self._known.get(version)

    def put(self, version: Version, md5: str) -> None:
        """Remember an MD5, where that is possible."""
        line = f"{' '.join(map(str, version))} {md5}\n".encode()
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            try:
                found = os.fstat(descriptor)
                if _is_own(found):
                    if found.st_size > _MOST:
                        os.truncate(descriptor, 0)
                    os.write(descriptor, line)  # as a whole, whoever else writes
            finally:
                os.close(descriptor)

    def _read(self) -> dict[Version, str]:
        known: dict[Version, str] = {}
        with suppress(OSError), open(os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            if _is_own(os.fstat(file.fileno())):
                for line in file.read(2 * _MOST).decode("ascii", "replace").splitlines():
                    if match := _LINE.fullmatch(line):
                        device, inode, size, modified, changed = map(int, match.groups()[:5])
                        known[device, inode, size, modified, changed] = match[6]
        return known


def _is_own(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


class Digests:
    """Size and MD5 of files; those with several names are read once."""

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory
        self._known: dict[Version, tuple[int, str]] = {}

    def of(self, path: bytes) -> tuple[int, str]:
        """Size in bytes and MD5 (32 hex digits) of a file. Raises OSError."""
        with open(path, "rb") as content:
            version = _version(content)
            if version not in self._known:
                self._known[version] = self._remembered(version) or self._read(content, version)
            return self._known[version]

    def _remembered(self, version: Version) -> tuple[int, str] | None:
        size = version[2]
        if self._memory is None or size < _LARGE:
            return None
        md5 = self._memory.get(version)
        return None if md5 is None else (size, md5)

    def _read(self, content: BinaryIO, version: Version) -> tuple[int, str]:
        is_still = time.time_ns() - max(version[3:]) > _STILL
        digest, size = hashlib.md5(usedforsecurity=False), 0
        while block := content.read(_READ_SIZE):
            digest.update(block)
            size += len(block)
        md5 = digest.hexdigest()
        if self._memory is not None and size >= _LARGE and is_still and _version(content) == version:
            self._memory.put(version, md5)
        return size, md5


def _version(content: BinaryIO) -> Version:
    found = os.fstat(content.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
