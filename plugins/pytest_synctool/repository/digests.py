"""MD5 digests of files. A run reads each file once. Later runs do not read large files that have not changed.

The digests of large files are kept in a file in this user's cache directory, which nobody else can write to. Any change
of a file's content sets the change time of its inode, and no program can set that time itself. A digest is kept only if
the file was not changed in the last two seconds: two changes within one tick of the clock have the same time.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from pytest_synctool.common.cache_directory import SAFE, cache_directory, is_own

_READ_SIZE: Final = 1 << 20
_LARGE: Final = 1 << 20  # bytes; reading a smaller file takes about as long as looking its digest up
_STILL: Final = 2_000_000_000  # nanoseconds without a change
_MOST: Final = 1 << 20  # bytes of the file of digests; a larger one is emptied
_LINE: Final = re.compile(r"(\d+) (\d+) (\d+) (\d+) (\d+) ([0-9a-f]{32})")


class FileVersion(NamedTuple):
    """One version of a file's content. Sizes are in bytes, times in nanoseconds since 1970.

    It is a tuple because it is hashed for every source.
    """

    device: int
    inode: int
    size: int
    content_changed: int
    inode_changed: int


class DigestFile:
    """The digests that earlier runs have kept, one line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[FileVersion, str] | None = None

    @classmethod
    def of_user(cls) -> DigestFile:
        """Return the file in this user's cache directory."""
        return cls(cache_directory() / "digests")

    def get(self, version: FileVersion) -> str | None:
        """Return the MD5 of a version of a file, or None if the file of digests does not have it."""
        if self._known is None:
            self._known = self._read()
        return self._known.get(version)

    def put(self, version: FileVersion, md5: str) -> None:
        """Keep an MD5. An error is ignored: the next run then reads the file again."""
        line = f"{' '.join(map(str, version))} {md5}\n".encode()
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | SAFE, 0o600)
            try:
                status = os.fstat(descriptor)
                if is_own(status):
                    if status.st_size > _MOST:
                        os.truncate(descriptor, 0)
                    os.write(descriptor, line)  # one write(), so that lines of several processes do not mix
            finally:
                os.close(descriptor)

    def _read(self) -> dict[FileVersion, str]:
        known: dict[FileVersion, str] = {}
        with suppress(OSError), open(os.open(self._path, os.O_RDONLY | SAFE), "rb") as file:
            if is_own(os.fstat(file.fileno())):
                for line in file.read(2 * _MOST).decode("ascii", "replace").splitlines():
                    if match := _LINE.fullmatch(line):
                        known[FileVersion(*map(int, match.groups()[:5]))] = match[6]
        return known


class Digests:
    """Sizes and MD5 digests of files. A file with several names is read once."""

    def __init__(self, file: DigestFile | None = None) -> None:
        self._file = file
        self._known: dict[FileVersion, tuple[int, str]] = {}

    def of(self, path: bytes) -> tuple[int, str]:
        """Return the size in bytes and the MD5 (32 hex digits) of a file. Raises OSError."""
        content = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(content)
            version = _version(status)
            known = self._known.get(version) or self._kept(version) or self._read(content, version)
            if status.st_nlink > 1:
                self._known[version] = known
            return known
        finally:
            os.close(content)

    def _kept(self, version: FileVersion) -> tuple[int, str] | None:
        if self._file is None or version.size < _LARGE:
            return None
        md5 = self._file.get(version)
        return None if md5 is None else (version.size, md5)

    def _read(self, content: int, version: FileVersion) -> tuple[int, str]:
        is_still = time.time_ns() - max(version.content_changed, version.inode_changed) > _STILL
        import hashlib  # not at the top: it loads OpenSSL, and commands that compare nothing do without

        digest, size = hashlib.md5(usedforsecurity=False), 0
        while size < version.size and (block := os.read(content, min(_READ_SIZE, version.size - size))):
            digest.update(block)
            size += len(block)
        md5 = digest.hexdigest()
        if self._file is not None and size >= _LARGE and is_still and _version(os.fstat(content)) == version:
            self._file.put(version, md5)
        return size, md5


def _version(status: os.stat_result) -> FileVersion:
    return FileVersion(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
