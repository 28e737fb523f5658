"""Digests of large files that an audit remembers (--trust-ctime), and what a node tells of such a file.

The kernel sets the change time (ctime) of a file at every change of its contents, owner, mode or names, and no program
can set it. So a file with the same device, inode, size, mtime and ctime as before has the same contents, if its ctime
was clearly older than the look at it: two changes within one tick of a clock have the same time. Images (squashfs,
erofs, ISO 9660) have no ctime: the kernel shows their mtime, which whoever makes an image can choose. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.errors import RemoteError

OPTION: Final = "--trust-ctime"
DAYS: Final = 7
MOST_DAYS: Final = 36_500
HELP: Final = (
    "do not read a file of 1 MiB or more that has the device, inode, size, mtime and ctime with which an audit read it "
    f"at most DAYS days ago (default: read all files; without a number: {DAYS} days); --fix reads all files in any case"
)

LARGE: Final = 1 << 20  # bytes; a smaller file is read in about the time that it takes to ask about it
LONGEST_STAMP: Final = 256  # bytes

# DEVICE:INODE:SIZE:MTIME:CTIME in seconds since 1970, and both times again as the node's stat prints them: with all
# their digits, as far as it knows these. The last two are only compared.
_STAMP: Final = re.compile(
    rb"[0-9]{1,20}:[0-9]{1,20}:(?P<size>[0-9]{1,19}):-?[0-9]{1,12}:(?P<changed>-?[0-9]{1,12}):[0-9 .:+-]{1,120}"
)
# Both times are the same whole second: seldom true where the file system keeps a ctime.
_NO_CTIME: Final = re.compile(
    rb".*?:(?P<time>-?[0-9]{1,12}):(?P=time):(?P<text>[^.]+?(\.0+)?( [+-][0-9]{4})?):(?P=text)"
)
_DIGEST: Final = re.compile(r"[0-9a-f]{32}")
_LINE: Final = re.compile(rb"v:([0-9]{1,9}):([0-9]{1,12}):(" + _STAMP.pattern + rb")")
_NUMBER: Final = re.compile(rb"[0-9]{1,9}")
_STILL: Final = 2  # seconds without a change; a file system may count whole ones


@dataclass(frozen=True, slots=True)
class Remembered:
    """The digest of a file (32 hex digits), and what the node's stat printed of it when an audit read it.

    `read` is the time of that audit in seconds since 1970, by the clock of this machine.
    """

    stamp: bytes
    md5: str
    read: float

    @property
    def is_valid(self) -> bool:
        """True if that is what an audit can have remembered."""
        return bool(_STAMP.fullmatch(self.stamp) and _DIGEST.fullmatch(self.md5))


NOTHING: Final = Remembered(b"", "", 0)
"""For a file whose digest is to be remembered, and is not yet."""


def number(text: bytes) -> int:
    """Return the number after `q:`. Raises RemoteError for anything else."""
    if _NUMBER.fullmatch(text) is None:
        raise RemoteError("cannot parse a line of the node's answer about a file that was not read")
    return int(text)


def stamps(paths: Sequence[bytes], sizes: dict[bytes, int | None], answer: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the files that the node has read, and that are to be remembered, each with its stamp.

    `paths` are those of the numbers in the answer. A file whose ctime is not clearly older than the look, by the node's
    own clock, is left out, and so is one of another size than in `sizes`, or without a ctime of its own.
    """
    for line in _lines(answer, b"v:"):
        match = _LINE.fullmatch(line)
        if match is None or int(match[1]) >= len(paths):
            continue
        path = paths[int(match[1])]
        if _NO_CTIME.fullmatch(match[3]):
            continue
        if int(match["size"]) == sizes.get(path) and int(match["changed"]) + _STILL < int(match[2]):
            yield path, match[3]


def unread(paths: Sequence[bytes], answer: bytes) -> Iterator[bytes]:
    """Yield the paths of the files that the node has not read, as they are what was remembered."""
    for line in _lines(answer, b"q:"):
        if (at := number(line[2:])) < len(paths):
            yield paths[at]


def _lines(answer: bytes, start: bytes) -> Iterable[bytes]:
    return (line for line in answer.split(b"\n") if line.startswith(start))
