"""MD5 digests of sources. A run reads each file once, and later runs do not read what has not changed.

An earlier run's digest counts only for the same version of a file. It is kept only if the file was not changed in the
last two seconds: two changes within one tick of the clock have the same time. A file in an image has no change time of
its own, and is read by each run.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Final

from pytest_synctool.repository.digest_file import DigestFile, version_of

_READ_SIZE: Final = 1 << 20
_LARGE: Final = 1 << 20  # bytes
_STILL: Final = 2_000_000_000  # nanoseconds without a change
# File systems on which lstat() always knows the last change. On a network, it may be that of a minute ago.
_LOCAL: Final = frozenset((b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"zfs", b"f2fs", b"bcachefs", b"overlay"))
_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")


class Digests:
    """Sizes and MD5 digests of files. A file with several names is read once.

    `file` has those of earlier runs; None reads every file. What lies on the device `local` was not changed if its
    lstat() result says so. Elsewhere only large files are kept, and each is opened before its version is looked up.
    """

    def __init__(self, file: DigestFile | None = None, local: int | None = None) -> None:
        self._file, self._local = file, local
        self._known: dict[bytes, bytes] | None = None  # those of earlier runs that were not asked for yet
        self._asked = 0
        self._new: dict[bytes, bytes] = {}
        self._shared: dict[bytes, bytes] = {}  # of files with several names

    @classmethod
    def of_masterdir(cls, path: Path) -> Digests:
        """Return those of a masterdir, with the digests that earlier runs of this user have kept. Raises OSError."""
        status = path.stat()
        return cls(DigestFile.of(status), status.st_dev if is_local(os.fsencode(path)) else None)

    def kept(self, status: os.stat_result) -> str | None:
        """Return the MD5 of a regular file with this lstat() result, if it is known without opening the file."""
        if self._file is None or status.st_dev != self._local:
            return None
        md5 = self._earlier(version_of(status), status.st_nlink)
        return None if md5 is None else md5.hex()

    def of(self, path: bytes) -> tuple[int, str]:
        """Return the size in bytes and the MD5 (32 hex digits) of a file. Raises OSError."""
        content = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(content)
            version = version_of(status)
            is_kept = self._file is not None and (status.st_size >= _LARGE or status.st_dev == self._local)
            md5 = self._earlier(version, status.st_nlink) if is_kept else self._shared.get(version)
            if md5 is not None:
                return status.st_size, md5.hex()
            is_still = is_old(status.st_mtime_ns, status.st_ctime_ns, time.time_ns())
            size, md5 = _read(content, status.st_size)
            if is_kept and is_still and size == status.st_size and version_of(os.fstat(content)) == version:
                self._new[version] = md5
            if status.st_nlink > 1:
                self._shared[version] = md5
            return size, md5.hex()
        finally:
            os.close(content)

    def _earlier(self, version: bytes, names: int) -> bytes | None:
        if self._known is None:
            self._known = {} if self._file is None else self._file.read()
        if (md5 := self._shared.get(version)) is not None:
            return md5
        if (md5 := self._known.pop(version, None)) is not None:
            self._asked += 1
            if names > 1:
                self._shared[version] = md5
        return md5

    def walked(self) -> None:
        """Give back the memory of what a walk of all files has asked for."""
        self._known = None if self._known is None else dict(self._known)

    def store(self) -> None:
        """Keep the digests for later runs."""
        if self._file is None:
            return
        others = list(self._known or ())  # a node that is still at work after an interrupt may ask for more
        are_stale = self._local is not None and len(others) > self._asked + len(self._new)  # the walk asked for all
        if not (self._new or are_stale):
            return
        kept = self._file.read()
        for version in others if are_stale else ():
            kept.pop(version, None)
        self._file.write({**kept, **self._new})


def _read(content: int, most: int) -> tuple[int, bytes]:
    """Return the number of the bytes that are left in an open file, but at most so many, and their MD5."""
    import hashlib  # not at the top: it loads OpenSSL, and commands that compare nothing do without

    digest, size = hashlib.md5(usedforsecurity=False), 0
    while size < most and (block := os.read(content, min(_READ_SIZE, most - size))):
        digest.update(block)
        size += len(block)
    return size, digest.digest()


def is_old(modified: int, changed: int, now: int) -> bool:
    """Return True if the times of a file, in nanoseconds, show each later change of it.

    If both are the same whole second, the file system may have only the one, as squashfs, erofs and ISO 9660 do: an
    image with other contents may have the same times.
    """
    has_both = modified != changed or modified % 1_000_000_000 != 0
    return has_both and now - max(modified, changed) > _STILL


def is_local(path: bytes) -> bool:
    """Return True if a directory is on a disk of this machine, in a file system that is known for its change times."""
    try:
        mounts = [line.split(b" ") for line in _MOUNTS.read_bytes().splitlines()]
    except OSError:
        return False
    real, place, kind = os.path.realpath(path) + b"/", b"", b""
    for fields in mounts:
        point = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), fields[4]).rstrip(b"/") + b"/"
        if real.startswith(point) and len(point) >= len(place):  # a later one covers an earlier one
            place, kind = point, fields[fields.index(b"-") + 1]
    return kind in _LOCAL
