"""A file, directory or link of a node with all that is in it: the script that sends it, and the reader of its answer.

The answer is that of a probe, for the path and the directories above it, and behind it the stream of the node's tar
(GNU or BusyBox). It lies in a file, however large; nothing of it is unpacked: what may be named, and how, is looked at
here, and contents are read where they lie.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import IO, BinaryIO, Final

from pytest_synctool.audit import probe
from pytest_synctool.common.shell import quote
from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, Actual, FileState, Kind
from pytest_synctool.repository.attributes.rules import LARGEST_ID
from pytest_synctool.repository.source import parents

_END: Final = b"\nsynctool-tar-end\n"
_PROBE_END: Final = b"synctool-probe-end\n"
_READ_SIZE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """Something of a node under its absolute path; files with size and MD5."""

    path: bytes
    state: FileState


def script(path: bytes) -> bytes:
    """The shell text that sends an absolute path and all below it."""
    name = quote(b"." + path)
    lines = [probe.script([probe.Request(each) for each in (*parents(path), path)])]
    lines.append(b"cd / || exit 1")
    # GNU's tar takes \\n in a name for a newline unless it is told not to, in a way that others do not know.
    lines.append(b"plainly=; case $(tar --version 2>&1) in *GNU*) plainly=--no-unquote ;; esac")
    lines.append(b"if [ -e %s ] || [ -L %s ]; then tar $plainly -cf - %s || exit 1; fi" % (name, name, name))
    lines.append(b"printf '%s'" % _END.replace(b"\n", b"\\n"))
    return b"\n".join(lines)


@dataclass
class Intake:
    """What has come of `path`. `above` are the states of the directories above it, `state` is its own."""

    path: bytes
    above: Mapping[bytes, Actual]
    state: Actual
    found: list[Found] = field(default_factory=list)
    special: list[bytes] = field(default_factory=list)
    _members: dict[bytes, tarfile.TarInfo] = field(default_factory=dict)
    _tar: tarfile.TarFile | None = None

    def open(self, found: Found) -> IO[bytes]:
        """The contents of a file. Raises RemoteError where the stream is damaged."""
        content = None if self._tar is None else self._tar.extractfile(self._members[found.path])
        if content is None:
            raise RemoteError(f"{printable(found.path)} has no contents in what the node has sent")
        return content


def read(path: bytes, stream: BinaryIO) -> Intake:
    """What a node has sent for a path, in a file that has to stay open.

    Raises RemoteError for what is not whole or not understood, and for names that nobody has asked for.
    """
    length = max(stream.seek(0, os.SEEK_END) - len(_END), 0)
    stream.seek(length)
    if stream.read() != _END:
        raise RemoteError("the node's answer is not whole")
    stream.seek(0)
    lines = []
    for line in stream:
        lines.append(line)
        if line == _PROBE_END:
            break
    requests = [probe.Request(each) for each in (*parents(path), path)]
    states = probe.parse(requests, b"".join(lines))
    intake = Intake(path, {each: states[each] for each in parents(path)}, states[path])
    if intake.state is ABSENT:
        return intake
    try:
        intake._tar = tarfile.TarFile(fileobj=stream, mode="r", encoding="utf-8", errors="surrogateescape")
        for member in intake._tar:
            _take(intake, member)
        _check_end(stream, intake._tar.offset, length)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise RemoteError(f"the tar stream of the node is not understood: {error}") from error
    if path not in intake._members:
        raise RemoteError(f"the tar stream of the node has no {printable(path)}")
    intake.found.sort(key=lambda each: each.path.split(b"/"))
    return intake


def _check_end(stream: BinaryIO, start: int, end: int) -> None:
    """Raise RemoteError unless a tar ends at `start`, with nothing but zeros from there to `end` (offsets in bytes).

    tarfile ends silently at a header that it refuses, and versions of Python refuse different ones: the entry and
    all behind it would be missing without a message.
    """
    stream.seek(start)
    rest = max(end - start, 0)
    damaged = rest < tarfile.BLOCKSIZE
    while rest and not damaged:
        block = stream.read(min(rest, _READ_SIZE))
        rest -= len(block)
        damaged = not block or any(block)
    if damaged:
        raise RemoteError("the tar stream of the node is not understood: it does not end where tar ends one")


def _take(intake: Intake, member: tarfile.TarInfo) -> None:
    name = _name(member.name, intake.path)
    if name in intake._members:
        raise RemoteError(f"the node has sent {printable(name)} twice")
    if member.islnk():  # another name of a file that has come already
        target = _name(member.linkname, intake.path)
        if target not in intake._members:
            raise RemoteError(f"the node has sent {printable(name)} as another name of what has not come")
        intake._members[name] = intake._members[target]
    else:
        intake._members[name] = member
    member = intake._members[name]
    if member.issparse() or not (member.size >= 0 <= member.uid <= LARGEST_ID and 0 <= member.gid <= LARGEST_ID):
        raise RemoteError(f"the node has sent {printable(name)} in a way that no tar does by itself")
    if not (member.isreg() or member.isdir() or member.issym()):
        intake.special.append(name)
        return
    intake.found.append(Found(name, _state(intake, name, member)))


def _name(raw: str, path: bytes) -> bytes:
    """The absolute path that a name in the stream stands for; it has to be the path asked for or below it."""
    name = raw.encode("utf-8", "surrogateescape").removeprefix(b".").rstrip(b"/")
    odd = b"\0" in name or any(part in (b"", b".", b"..") for part in name.split(b"/")[1:])
    if odd or not (name == path or name.startswith(path + b"/")):
        raise RemoteError(f"the node has sent {printable(name) or 'a file without a name'}, which nobody has asked for")
    return name


def _state(intake: Intake, name: bytes, member: tarfile.TarInfo) -> FileState:
    if "\0" in member.linkname:
        raise RemoteError(f"the node has sent {printable(name)} as a link to what no link can lead to")
    (uid, owner), (gid, group) = _account(member.uid, member.uname), _account(member.gid, member.gname)
    state = FileState(
        kind=Kind.FILE if member.isreg() else Kind.DIRECTORY if member.isdir() else Kind.LINK,
        mode=member.mode & 0o7777,
        size=member.size,
        uid=uid,
        gid=gid,
        owner=owner,
        group=group,
        md5=_md5(intake, member) if member.isreg() else None,
        target=member.linkname.encode("utf-8", "surrogateescape") if member.issym() else None,
    )
    if name != intake.path:
        return state
    if not isinstance(intake.state, FileState) or state.kind is not intake.state.kind:
        raise RemoteError(f"{printable(name)} changed while it was looked at")
    return replace(intake.state, size=state.size, md5=state.md5, target=state.target)  # it has the longest names whole


def _account(number: int, name: str) -> tuple[int, str | None]:
    """Number and name of an owner. For one without a name BusyBox has the number there, which may be cut off here."""
    if name.isdecimal() and int(name) <= LARGEST_ID:
        return int(name), None
    return number, name or None


def _md5(intake: Intake, member: tarfile.TarInfo) -> str:
    assert intake._tar is not None
    digest = hashlib.md5(usedforsecurity=False)
    content = intake._tar.extractfile(member)
    assert content is not None
    while block := content.read(_READ_SIZE):
        digest.update(block)
    return digest.hexdigest()
