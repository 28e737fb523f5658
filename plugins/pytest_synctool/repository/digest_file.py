"""The digests that earlier runs have kept: a file for each masterdir, in this user's cache directory.

It decides what a run takes for the contents of a source. So it is read only if nobody but root and this user can change
it. Each record has a version of a file and its MD5. A file that is damaged, or of another release, counts as empty.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Final

from pytest_synctool.common import cache_directory
from pytest_synctool.errors import SynctoolError

_FORMAT: Final = b"pytest-synctool digests 1\n"
_RECORD: Final = struct.Struct("40s16s")
_CHECKSUM: Final = struct.Struct("<I")
_MOST_RECORDS: Final = 200_000
_MOST_FILES: Final = 16  # in the directory; the oldest go
_MOST_BYTES: Final = len(_FORMAT) + _CHECKSUM.size + _MOST_RECORDS * _RECORD.size
_VERSION: Final = struct.Struct("<QQQQQ")
_64_BITS: Final = (1 << 64) - 1
_PREFIX: Final = "digests-"


def version_of(status: os.stat_result) -> bytes:
    """Return one version of a file's content: device, inode, size, and the times of the last changes, in 40 bytes.

    Any change of the content sets the change time of the inode, and no program can set that time itself.
    """
    times = status.st_mtime_ns & _64_BITS, status.st_ctime_ns & _64_BITS
    return _VERSION.pack(status.st_dev, status.st_ino, status.st_size, *times)


class DigestFile:
    """The file of one masterdir. Errors are no trouble: a run then reads all sources."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, masterdir: os.stat_result) -> DigestFile | None:
        """Return the file for a masterdir in this user's cache directory; None for a user who has none."""
        try:
            return cls(cache_directory.of_user() / f"{_PREFIX}{masterdir.st_dev:x}-{masterdir.st_ino:x}")
        except OSError:
            return None

    def read(self) -> dict[bytes, bytes]:
        """Return the MD5 (16 bytes) of each version."""
        try:
            data = cache_directory.read(self._path, _MOST_BYTES)
        except (OSError, SynctoolError):
            return {}
        checksum, records = data[len(_FORMAT) :][: _CHECKSUM.size], memoryview(data)[len(_FORMAT) + _CHECKSUM.size :]
        if not data.startswith(_FORMAT) or len(records) % _RECORD.size or checksum != _checksum(records):
            return {}
        return dict(_RECORD.iter_unpack(records))

    def write(self, digests: Mapping[bytes, bytes]) -> None:
        """Keep these digests in the place of all others: the last ones, if there are too many."""
        kept = islice(digests.items(), max(0, len(digests) - _MOST_RECORDS), None)
        records = b"".join(chain.from_iterable(kept))
        with suppress(OSError, SynctoolError):
            cache_directory.made(self._path.parent)
            cache_directory.replace(self._path, (_FORMAT, _checksum(records), records))
            # Those of runs that were killed have a name that begins with a dot.
            cache_directory.remove_oldest(self._path.parent, f"*{_PREFIX}*", _MOST_FILES)


def _checksum(records: bytes | memoryview) -> bytes:
    return _CHECKSUM.pack(zlib.crc32(records))
