"""tar streams with files of the masterdir, for GNU tar and BusyBox."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import BinaryIO

from pytest_synctool.common.shell import COMPLETE


def archive(stream: BinaryIO) -> tarfile.TarFile:
    """Return an archive that writes to a stream. BusyBox does not know the newer pax format."""
    return tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape")


def complete(tar: tarfile.TarFile) -> None:
    """Write the last member. A stream without it is not complete."""
    tar.addfile(tarfile.TarInfo(COMPLETE))


def write(stream: BinaryIO, masterdir: bytes, files: Sequence[bytes], made: Mapping[bytes, bytes]) -> None:
    """Write files, directories and links of the masterdir, by their names in it, and all directories above them.

    Skip names that do not exist any more. `made` maps the names of additional files to their contents. Raise OSError if
    something cannot be read or written.
    """
    with archive(stream) as tar:
        above = {name[:at] for name in files for at in range(len(name)) if name[at : at + 1] == b"/"}
        for name in sorted(above | {*files}, key=lambda name: name.split(b"/")):
            try:
                _add(tar, masterdir, name, follow=name in above)
            except (FileNotFoundError, NotADirectoryError):
                continue
        for name, content in made.items():
            member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, BytesIO(content))
        complete(tar)


def _add(tar: tarfile.TarFile, masterdir: bytes, name: bytes, *, follow: bool) -> None:
    path = os.path.join(masterdir, name)
    # A symbolic link above other names becomes a directory on the node.
    status = os.lstat(os.path.realpath(path) if follow else path)
    member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
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
