"""Files of the masterdir as a tar stream, which GNU tar and BusyBox understand."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import BinaryIO

from pytest_synctool.common.shell import COMPLETE


def archive(stream: BinaryIO) -> tarfile.TarFile:
    """An archive to write to a stream. Not in the newer pax format: BusyBox does not know it."""
    return tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape")


def complete(tar: tarfile.TarFile) -> None:
    """Write the member that has to be the last."""
    tar.addfile(tarfile.TarInfo(COMPLETE))


def write(stream: BinaryIO, masterdir: bytes, files: Sequence[bytes], made: Mapping[bytes, bytes]) -> None:
    """Write these files, directories and links, named below the masterdir, with the directories above them.

    What is not there any more is left out. `made` are others, with their contents. Raises OSError where something
    cannot be read or written.
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
    # A link above other names is what leads to them here; on the node it is a directory.
    found = os.lstat(os.path.realpath(path) if follow else path)
    member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    if stat.S_ISREG(found.st_mode):
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as content:
            found = os.fstat(content.fileno())
            member.size = found.st_size
            tar.addfile(_with_attributes(member, found), content)
        return
    if stat.S_ISLNK(found.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path).decode("utf-8", "surrogateescape")
    elif stat.S_ISDIR(found.st_mode):
        member.type = tarfile.DIRTYPE
    else:
        return
    tar.addfile(_with_attributes(member, found))


def _with_attributes(member: tarfile.TarInfo, found: os.stat_result) -> tarfile.TarInfo:
    """Owners by number only: names are settled when a file is put in its place."""
    member.mode, member.uid, member.gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
    member.mtime = int(found.st_mtime)
    return member
