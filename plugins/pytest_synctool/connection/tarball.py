"""tar streams with files of the masterdir, for GNU tar and BusyBox."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import RawIOBase
from operator import le
from typing import Any, BinaryIO, Final

from pytest_synctool.common.shell import COMPLETE

_FORMAT: Final = tarfile.GNU_FORMAT  # BusyBox does not know the newer pax format
_PIECE: Final = 64 << 10  # bytes
# The header of a file as it begins, and as it ends after the checksum: the type, no link, GNU's magic.
_FIELDS: Final = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0"
_REST: Final = b"0".ljust(101, tarfile.NUL) + tarfile.GNU_MAGIC.ljust(255, tarfile.NUL)
_SUM: Final = sum(_REST) + 8 * ord(" ")  # the checksum is that of a header with blanks in its place
_LARGEST: Final = (0o7777777, 0o7777777, 0o7777777, 0o77777777777, 0o77777777777)


def archive(stream: BinaryIO, encoding: str = "utf-8") -> tarfile.TarFile:
    """Return an archive that writes to a stream.

    `encoding` is the one by which names have become text. What it cannot decode was escaped with surrogates.
    """
    return tarfile.open(fileobj=stream, mode="w", format=_FORMAT, encoding=encoding, errors="surrogateescape")


def complete(tar: tarfile.TarFile) -> None:
    """Write the last member. A stream without it is not complete."""
    tar.addfile(_member(b"", COMPLETE.encode()))


def files(
    masterdir: bytes, names: Sequence[bytes], place: bytes = b"", present: Mapping[bytes, bytes] | None = None
) -> Iterator[bytes]:
    """Yield a stream with files, directories and links of the masterdir, by their names in it.

    It has all directories above them, too. Names in the stream begin with `place`. Names that do not exist any more
    are skipped. The files in `present` become hard links to the names there, which whoever unpacks has. Raises OSError
    if something cannot be read.
    """
    above = _above(names)
    for name in sorted(above | {*names}, key=lambda name: name.split(b"/")):
        member = _member(place, name)
        if present and name in present:
            member.type, member.linkname = tarfile.LNKTYPE, present[name].decode("utf-8", "surrogateescape")
            yield _header(member)
            continue
        try:
            yield from _contents(member, os.path.join(masterdir, name), follow=name in above)
        except (FileNotFoundError, NotADirectoryError):
            continue
    yield _header(_member(place, COMPLETE.encode()))
    yield tarfile.NUL * (2 * tarfile.BLOCKSIZE)


def made_files(made: Mapping[bytes, bytes], place: bytes) -> Iterator[bytes]:
    """Yield the beginning of a stream: files with these contents, for which only root has rights."""
    for name, content in made.items():
        member = _member(place, name)
        member.size, member.mode = len(content), 0o600
        yield _header(member) + content + _filling(len(content))


class Stream(RawIOBase):
    """A file that yields these pieces of bytes."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._rest = iter(pieces), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        filled = 0
        while filled < len(view):
            if not self._rest and not (piece := next(self._pieces, b"")):
                break
            if not self._rest:
                self._rest = memoryview(piece)
            part = self._rest[: len(view) - filled]
            view[filled : filled + len(part)] = part
            self._rest = self._rest[len(part) :]
            filled += len(part)
        return filled


def _above(names: Iterable[bytes]) -> set[bytes]:
    above: set[bytes] = set()
    for name in names:
        while (name := os.path.dirname(name)) and name not in above:
            above.add(name)
    return above


def _member(place: bytes, name: bytes) -> tarfile.TarInfo:
    return tarfile.TarInfo((place + name).decode("utf-8", "surrogateescape"))


def _header(member: tarfile.TarInfo) -> bytes:
    return member.tobuf(_FORMAT, "utf-8", "surrogateescape")


def _plain_header(member: tarfile.TarInfo) -> bytes | None:
    """Return what _header() returns for a file, in a seventh of the time; None if a field is too long for that."""
    name = member.name.encode("utf-8", "surrogateescape")
    fields = (member.mode, member.uid, member.gid, member.size, int(member.mtime))
    if len(name) > tarfile.LENGTH_NAME or not all(map(le, fields, _LARGEST)) or min(fields) < 0:
        return None
    head = _FIELDS % (name.ljust(tarfile.LENGTH_NAME, tarfile.NUL), *fields)
    return b"%b%06o\0 %b" % (head, sum(head) + _SUM, _REST)


def _filling(size: int) -> bytes:
    return tarfile.NUL * (-size % tarfile.BLOCKSIZE)


def _contents(member: tarfile.TarInfo, path: bytes, *, follow: bool) -> Iterator[bytes]:
    # A symbolic link above other names becomes a directory on the node.
    status = os.lstat(os.path.realpath(path) if follow else path)
    if stat.S_ISREG(status.st_mode):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            yield from _file(member, path, descriptor)
        finally:
            os.close(descriptor)
        return
    if stat.S_ISLNK(status.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path).decode("utf-8", "surrogateescape")
    elif stat.S_ISDIR(status.st_mode):
        member.type = tarfile.DIRTYPE
    else:
        return
    yield _header(_with_attributes(member, status))


def _file(member: tarfile.TarInfo, path: bytes, descriptor: int) -> Iterator[bytes]:
    status = os.fstat(descriptor)
    member.size = left = status.st_size
    member = _with_attributes(member, status)
    begun = _plain_header(member) or _header(member)  # goes with the first piece: most files have only one
    while left:
        if not (piece := os.read(descriptor, min(left, _PIECE))):
            raise OSError(errno.EIO, "it has become shorter meanwhile", path)
        left -= len(piece)
        yield begun + piece if left else begun + piece + _filling(member.size)
        begun = b""
    if begun:
        yield begun


def _with_attributes(member: tarfile.TarInfo, status: os.stat_result) -> tarfile.TarInfo:
    """Set mode, time and the numbers of the owners. The repair later sets owners by name."""
    member.mode, member.uid, member.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    member.mtime = int(status.st_mtime)
    return member
