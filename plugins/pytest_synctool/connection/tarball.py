"""tar streams with files of the masterdir, for GNU tar and BusyBox."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Mapping, Sequence
from io import BufferedReader, BytesIO, RawIOBase
from typing import Any, BinaryIO

from pytest_synctool.common.shell import COMPLETE


def archive(stream: BinaryIO, encoding: str = "utf-8") -> tarfile.TarFile:
    """Return an archive that writes to a stream. BusyBox does not know the newer pax format.

    `encoding` is the one by which names have become text. What it cannot decode was escaped with surrogates.
    """
    return tarfile.open(
        fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, encoding=encoding, errors="surrogateescape"
    )


def complete(tar: tarfile.TarFile, place: bytes = b"") -> None:
    """Write the last member. A stream without it is not complete."""
    tar.addfile(_member(place, COMPLETE.encode()))


def write(
    stream: BinaryIO,
    masterdir: bytes,
    files: Sequence[bytes],
    place: bytes = b"",
    present: Mapping[bytes, bytes] | None = None,
) -> None:
    """Write files, directories and links of the masterdir, by their names in it, and all directories above them.

    Names in the stream begin with `place`. Skip names that do not exist any more. The files in `present` become hard
    links to the names there, which whoever unpacks has. Raise OSError if something cannot be read or written.
    """
    with archive(stream) as tar:
        above = {name[:at] for name in files for at in range(len(name)) if name[at : at + 1] == b"/"}
        for name in sorted(above | {*files}, key=lambda name: name.split(b"/")):
            member = _member(place, name)
            if present and name in present:
                member.type, member.linkname = tarfile.LNKTYPE, present[name].decode("utf-8", "surrogateescape")
                tar.addfile(member)
                continue
            try:
                _add(tar, member, os.path.join(masterdir, name), follow=name in above)
            except (FileNotFoundError, NotADirectoryError):
                continue
        complete(tar, place)


def begun_with(made: Mapping[bytes, bytes], place: bytes, stream: BinaryIO) -> BinaryIO:
    """Return a stream with additional files before those of another stream. Their contents stay in memory."""
    head = BytesIO()
    tar = archive(head)  # it stays open: its end would be that of the whole stream
    for name, content in made.items():
        member = _member(place, name)
        member.size, member.mode = len(content), 0o600
        tar.addfile(member, BytesIO(content))
    head.seek(0)
    return BufferedReader(_Joined(head, stream))


class _Joined(RawIOBase):
    """Two streams, one behind the other."""

    def __init__(self, first: BinaryIO, second: BinaryIO) -> None:
        self._first, self._second = first, second

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        data = self._first.read(len(view)) or self._second.read(len(view))
        view[: len(data)] = data
        return len(data)


def _member(place: bytes, name: bytes) -> tarfile.TarInfo:
    return tarfile.TarInfo((place + name).decode("utf-8", "surrogateescape"))


def _add(tar: tarfile.TarFile, member: tarfile.TarInfo, path: bytes, *, follow: bool) -> None:
    # A symbolic link above other names becomes a directory on the node.
    status = os.lstat(os.path.realpath(path) if follow else path)
    if stat.S_ISREG(status.st_mode):
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as content:
            status = os.fstat(content.fileno())
            member.size = status.st_size
            tar.addfile(_with_attributes(member, status), content)
        return
    if stat.S_ISLNK(status.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path).decode("utf-8", "surrogateescape")
    elif stat.S_ISDIR(status.st_mode):
        member.type = tarfile.DIRTYPE
    else:
        return
    tar.addfile(_with_attributes(member, status))


def _with_attributes(member: tarfile.TarInfo, status: os.stat_result) -> tarfile.TarInfo:
    """Set mode, time and the numbers of the owners. The repair later sets owners by name."""
    member.mode, member.uid, member.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    member.mtime = int(status.st_mtime)
    return member
