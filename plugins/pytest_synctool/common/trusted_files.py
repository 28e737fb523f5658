"""Files that are opened only if they are regular and trusted: those that decide what a run does, and those it writes.

A name is looked up component by component. Each directory is judged before a name in it is looked up, so nobody who is
not trusted can change what a name leads to between the look and the use.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.wording import printable
from pytest_synctool.errors import ConfigError, TrustError

_MOST_LINKS: Final = 40  # as in the kernel
_FLAGS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK: Final = 1 << 20
_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_missing(path: str | bytes | Path) -> bool:
    """Return True if nothing is at a path; False also if it cannot be looked at, as on a dead mount.

    os.path.lexists() takes that for missing: whoever then reads the path would not be told.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # an impossible name
        return False
    return False


def fault(path: str | bytes | Path, status: os.stat_result, trust: Trust) -> str | None:
    """Return the reason why a path with this lstat() result must not be obeyed, or None."""
    may_have_acl = status.st_mode & stat.S_IWGRP and not stat.S_ISLNK(status.st_mode)
    return trust.fault(status, acl=bool(may_have_acl) and _has_acl(path))


def is_closed(path: str | bytes | Path, status: os.stat_result, trust: Trust) -> bool:
    """Return True for a directory that only trusted accounts can enter."""
    return trust.is_closed(status) and not (status.st_mode & stat.S_IRWXG and _has_acl(path))


def _has_acl(path: str | bytes | Path) -> bool:
    """Return True if the mode is not all that decides who may write."""
    try:
        return bool(os.getxattr(path, "system.posix_acl_access", follow_symlinks=False))
    except (AttributeError, OSError):  # no such list, or a system without them
        return False


def resolve(path: Path, trust: Trust) -> tuple[str, os.stat_result]:
    """Return the path without links, and its lstat() result, which has no fault.

    All directories and links on the way are judged, and so are the places that links lead to. Raises TrustError, and
    OSError if there is no such file.
    """
    place, status = "/", os.lstat("/")
    _judge(place, status, trust, path)
    waiting = _absolute(path).split("/")[::-1]
    links = 0
    while waiting:
        name = waiting.pop()
        if name in ("", "."):
            continue
        place = os.path.dirname(place) if name == ".." else os.path.join(place, name)
        status = os.lstat(place)
        _judge(place, status, trust, path)
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), place)
            target = os.readlink(place)
            waiting += target.split("/")[::-1]
            place = "/" if target.startswith("/") else os.path.dirname(place)
            status = os.lstat(place)
    return place, status


def _absolute(path: str | Path) -> str:
    """Return an absolute path; `..` behind a link stays what it is."""
    return os.path.join(Path.cwd(), path)


def _judge(place: str, status: os.stat_result, trust: Trust, wanted: Path) -> None:
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        _check_kind(place, status)
    reason = fault(place, status, trust)
    if reason is not None:
        shown, whole = (printable(os.fsencode(_absolute(each))) for each in (place, wanted))
        way = "" if shown == whole else f", on the way to {whole},"
        raise TrustError(f"{shown}{way} is not trusted: {reason}")


def read(path: Path, trust: Trust, limit: int) -> bytes:
    """Return the content of a trusted regular file. Raises ConfigError, TrustError and OSError.

    The file is judged again after opening. One of more than `limit` bytes is an error.
    """
    place, _ = resolve(path, trust)
    descriptor = open_regular(place, os.O_RDONLY, trust)
    try:
        return read_limited(descriptor, limit)
    except OverflowError as error:
        raise ConfigError(f"{path}: {error}") from error
    finally:
        os.close(descriptor)


def read_limited(descriptor: int, limit: int) -> bytes:
    """Return everything that a descriptor has. Raises OverflowError, with the reason, for more than `limit` bytes."""
    blocks, size = [], 0
    while block := os.read(descriptor, _BLOCK):
        blocks.append(block)
        size += len(block)
        if size > limit:
            raise OverflowError(f"more than {limit >> 20} MiB")
    return b"".join(blocks)


def open_regular(path: str | bytes | Path, flags: int, trust: Trust, mode: int = 0o600) -> int:
    """Open a regular file that only trusted accounts can change; no pipe, device or link. Return the descriptor.

    A new file gets `mode`. Raises OSError, whose `strerror` is the reason.
    """
    with suppress(FileNotFoundError):
        _check_regular(path, os.lstat(path), trust)  # before opening: some devices act when they are opened
    descriptor = os.open(path, flags | _FLAGS, mode)
    try:
        _check_regular(path, os.fstat(descriptor), trust)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def check_regular(path: str | Path, trust: Trust) -> os.stat_result | None:
    """Return the lstat() result of a regular file that only trusted accounts can change, or None if there is no file.

    Raises OSError for any other file.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    _check_regular(path, status, trust)
    return status


def _check_regular(path: str | bytes | Path, status: os.stat_result, trust: Trust) -> None:
    _check_kind(path, status)
    if (reason := fault(path, status, trust)) is not None:
        raise OSError(errno.EPERM, reason, os.fsdecode(path))


def _check_kind(path: str | bytes | Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fsdecode(path))
    for is_kind, name in _KINDS:
        if is_kind(status.st_mode):
            raise OSError(errno.EINVAL, f"it is {name}, not a regular file", os.fsdecode(path))


def check_directory(path: Path, trust: Trust) -> str:
    """Check a directory in which a run makes files by name: only trusted accounts may write there, sticky or not.

    Return the path without links. Raises TrustError and OSError.
    """
    place, status = resolve(path, trust)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if status.st_mode & stat.S_ISVTX and status.st_mode & (stat.S_IWOTH | stat.S_IWGRP):
        raise TrustError(f"{printable(os.fsencode(place))}: others may write in this directory: make one in it")
    return place


def follow_named(path: str, trust: Trust) -> str:
    """Return the place of an output that the user has named: without the links of trusted owners.

    The directories may belong to anybody. A name below /proc or /dev/fd stays as it is: the kernel follows it. Raises
    OSError for a link of another owner.
    """
    place, links = _absolute(path), 0
    while not is_descriptor(place):
        link = _first_link(place)
        if link is None:
            break
        if os.lstat(link).st_uid not in trust.uids or links > _MOST_LINKS:
            raise OSError(errno.ELOOP, f"{printable(os.fsencode(link))} is a symbolic link of another user", path)
        links += 1
        place = os.path.join(os.path.dirname(link), os.readlink(link)) + place[len(link) :]
    return place


def is_descriptor(place: str | Path) -> bool:
    """Return True for a name of an open file, such as /dev/fd/1."""
    return str(place).startswith(("/proc/", "/dev/fd/"))


def open_named(path: str, flags: int, trust: Trust, mode: int) -> int:
    """Open an output that the user has named. A pipe or a device is then wanted, such as /dev/stdout.

    Only links of trusted owners are followed. Raises OSError.
    """
    place = follow_named(path, trust)
    if is_descriptor(place):
        return os.open(place, flags | os.O_CLOEXEC, mode)
    descriptor = os.open(place, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    status, above = os.fstat(descriptor), Path(place).parent.stat()
    if stat.S_ISREG(status.st_mode) and above.st_mode & stat.S_ISVTX and status.st_uid not in trust.uids:
        os.close(descriptor)
        raise OSError(errno.EPERM, "it belongs to another user, in a directory where everybody may write", path)
    return descriptor


def read_regular(path: str | Path, limit: int) -> bytes:
    """Return at most `limit` bytes of a regular file, whoever it belongs to; links are followed. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_kind(path, os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(descriptor)


def _first_link(path: str) -> str | None:
    """Return the first part of an absolute path that is a symbolic link, or None."""
    parts = path.split("/")
    places = ("/".join(parts[:count]) for count in range(2, len(parts) + 1))
    return next((place for place in places if Path(place).is_symlink()), None)
