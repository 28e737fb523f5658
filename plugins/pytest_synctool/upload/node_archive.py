"""A file, link or directory tree of a node: the script that sends it, and the reader of the answer.

The answer is a probe of the path and of the directories above it, followed by a stream of the node's tar (GNU or
BusyBox). The reader keeps the answer in a file and never unpacks it. It checks every name, and reads contents in place.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BufferedReader, RawIOBase
from typing import IO, Any, BinaryIO, Final

from pytest_synctool.audit import probe
from pytest_synctool.common.shell import quote, words
from pytest_synctool.common.wording import node_text, printable
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, Actual, FileState, Kind, Unknown
from pytest_synctool.repository.attributes.rules import LARGEST_ID
from pytest_synctool.repository.source import parents

LARGEST_ANSWER: Final = 1 << 30  # bytes; it is kept in a temporary file
MOST_FILES: Final = 20_000
_MOST_NAMES: Final = 8 << 20  # bytes of all names and link targets
_LONGEST_NAME: Final = 4096  # bytes; Linux has no longer names and link targets
_LONGEST_ACCOUNT: Final = 256
_DEEPEST: Final = 100  # directories above a file
_LARGEST_HEADER: Final = 64 << 10  # bytes of a tar entry without its contents

_END: Final = b"\nsynctool-tar-end\n"
_PROBE_END: Final = b"\nsynctool-probe-end\n"
_MOST_NOISE: Final = 64 << 10  # bytes of the answer beside the probe: what a login shell prints
_READ_SIZE: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class NodeFile:
    """A file, directory or link of a node, by its absolute path. Regular files have size and MD5."""

    path: bytes
    state: FileState


@dataclass(frozen=True, slots=True)
class _Account:
    """A user or a group of the node."""

    number: int
    name: str | None


def script(path: bytes, through: bytes = b"") -> bytes:
    """Return the shell text that sends an absolute path and everything below it.

    Of the directories above it only `through` may be a symbolic link: the script sends nothing from behind another one.
    """
    request = probe.Request(path, through=through)
    top, directory, base = request.place
    name = quote(b"./" + base)
    lines = [probe.script([*(probe.Request(each) for each in parents(path)), request])]
    # GNU tar reads \\n in a name as a newline unless it gets an option that other tars do not know.
    lines.append(b"plainly=; case $(tar --version 2>&1) in *GNU*) plainly=--no-unquote ;; esac")
    lines.append(words(b"enter", top, directory) + b" 2>&- || plainly=-")
    lines.append(b'if [ "$plainly" != - ] && { [ -e %s ] || [ -L %s ]; }; then' % (name, name))
    lines.append(b"tar $plainly -cf - %s || exit 1; fi" % name)
    lines.append(b"printf '%s'" % _END.replace(b"\n", b"\\n"))
    return b"\n".join(lines)


class _Metered:
    """The node's answer as tarfile reads it. A header with lists or names without end costs neither memory nor time."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = 0

    def allow(self, size: int) -> None:
        """Let the next reads have this many bytes in all."""
        self._left = size

    def read(self, size: int) -> bytes:
        """Return this many bytes. Raises ReadError if fewer are allowed."""
        if not 0 <= size <= self._left:
            raise tarfile.ReadError("an entry is too long")
        self._left -= size
        return self._stream.read(size)

    def seek(self, offset: int) -> int:
        return self._stream.seek(offset)

    def tell(self) -> int:
        return self._stream.tell()


class _Content(RawIOBase):
    """The contents of a file in the node's answer."""

    def __init__(self, stream: BinaryIO, member: tarfile.TarInfo) -> None:
        super().__init__()
        self._stream = stream
        self._at, self._end = member.offset_data, member.offset_data + member.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer; return their number."""
        view = memoryview(buffer)
        self._stream.seek(self._at)
        data = self._stream.read(min(len(view), self._end - self._at))
        self._at += len(data)
        view[: len(data)] = data
        return len(data)


@dataclass
class NodeArchive:
    """A node's answer for `path`.

    `above` are the states of the directories above it, `state` is its own. `files` are the path itself and everything
    below it, parents first; `special` are the paths of devices, sockets and pipes.
    """

    path: bytes
    above: Mapping[bytes, Actual]
    state: Actual
    _stream: BinaryIO
    files: list[NodeFile] = field(default_factory=list)
    special: list[bytes] = field(default_factory=list)
    _members: dict[bytes, tarfile.TarInfo] = field(default_factory=dict)
    _digests: dict[int, str] = field(default_factory=dict)  # by offset: several names may have the same contents

    def open(self, file: NodeFile) -> IO[bytes]:
        """Open the contents of a regular file. Raises RemoteError if the node has not sent it."""
        if file.path not in self._members:
            raise RemoteError(f"the node has not sent {printable(file.path)}")
        return BufferedReader(_Content(self._stream, self._members[file.path]))


def read(path: bytes, stream: BinaryIO) -> NodeArchive:
    """Read a node's answer for a path from a file, which has to stay open.

    Raises RemoteError for an answer that is incomplete or malformed, and for names that were not requested.
    """
    length = max(stream.seek(0, os.SEEK_END) - len(_END), 0)
    stream.seek(length)
    if stream.read() != _END:
        raise RemoteError("the node's answer is incomplete")
    requests = [probe.Request(each) for each in (*parents(path), path)]
    states = probe.parse(requests, _probed(stream, probe.largest_answer(requests)))
    archive = NodeArchive(path, {each: states[each] for each in parents(path)}, states[path], stream)
    if archive.state is ABSENT:
        return archive
    if isinstance(archive.state, Unknown):
        raise RemoteError(f"{printable(path)} cannot be looked at: {archive.state.reason}")
    if stream.tell() == length and isinstance(archive.state, FileState) and _is_behind_link(archive):
        archive.files.append(NodeFile(path, archive.state))  # for the caller to refuse: its contents were not sent
        return archive
    try:
        _check_end(stream, _add_members(archive, stream.tell(), length), length)
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, RecursionError) as error:
        raise RemoteError(
            f"cannot parse the node's tar stream: {node_text(str(error).encode('utf-8', 'backslashreplace'))}"
        ) from error
    if path not in archive._members:
        raise RemoteError(f"the node's tar stream has no {printable(path)}")
    archive.files.sort(key=lambda each: each.path.split(b"/"))
    return archive


def second_look(archive: NodeArchive, through: bytes = b"") -> list[probe.Request]:
    """Return requests for the files of an archive, for check_unchanged(). `through` is as in script()."""
    files = (each for each in archive.files if each.path in archive._members and each.state.kind is Kind.FILE)
    return [probe.Request(each.path, each.state.size, through) for each in files]


def check_unchanged(archive: NodeArchive, states: Mapping[bytes, Actual]) -> None:
    """Raise RemoteError unless each file that was sent has the same contents in a later look at it.

    Some tars open a file by a name that its owner may have exchanged for a link. A probe reads through no link, so what
    it has read as well is the owner's own.
    """
    for each in archive.files:
        state = states.get(each.path)
        if isinstance(state, Unknown):
            raise RemoteError(f"{printable(each.path)} cannot be looked at once more: {state.reason}")
        if state is not None and not (isinstance(state, FileState) and state.md5 == each.state.md5):
            raise RemoteError(f"{printable(each.path)} changed while the node sent it")


def _is_behind_link(archive: NodeArchive) -> bool:
    return any(isinstance(state, FileState) and state.kind is Kind.LINK for state in archive.above.values())


def _probed(stream: BinaryIO, largest: int) -> bytes:
    """Return the answer of the probe, and leave the stream behind it."""
    stream.seek(0)
    begun = stream.read(_MOST_NOISE + largest)
    answer, end, _ = begun.partition(_PROBE_END)
    stream.seek(len(answer + end))
    return answer + end


def _add_members(archive: NodeArchive, start: int, end: int) -> int:
    """Add the entries of the tar between two offsets. Return the offset where the last one ends."""
    metered = _Metered(archive._stream)
    metered.seek(start)
    metered.allow(_LARGEST_HEADER)
    reader = tarfile.TarFile(fileobj=metered, mode="r", encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
    left = _MOST_NAMES
    while (member := reader.next()) is not None:
        start = reader.offset
        left -= len(member.name) + len(member.linkname)
        if len(archive._members) >= MOST_FILES or left < 0:
            raise RemoteError(f"more than {MOST_FILES:,} files, or too long names: upload its parts")
        if start > end:
            raise RemoteError("cannot parse the node's tar stream: it breaks off")
        _add(archive, member)
        metered.allow(_LARGEST_HEADER)
    return start


def _check_end(stream: BinaryIO, start: int, end: int) -> None:
    """Raise RemoteError unless a tar ends at `start`, with nothing but zeros from there to `end` (offsets in bytes).

    tarfile ends silently at a header that it refuses, before it or behind it, and versions of Python refuse different
    ones: the entry and all that follow would be missing without a message.
    """
    stream.seek(start)
    rest = max(end - start, 0)
    damaged = rest < tarfile.BLOCKSIZE
    while rest and not damaged:
        block = stream.read(min(rest, _READ_SIZE))
        rest -= len(block)
        damaged = not block or any(block)
    if damaged:
        raise RemoteError("cannot parse the node's tar stream: it does not end where tar ends one")


def _add(archive: NodeArchive, member: tarfile.TarInfo) -> None:
    name = _name(member.name, archive.path)
    if name in archive._members:
        raise RemoteError(f"the node has sent {printable(name)} twice")
    if member.islnk():  # another name of a file that came earlier
        target = _name(member.linkname, archive.path)
        if target not in archive._members:
            raise RemoteError(f"the node has sent {printable(name)} as a hard link to a file that it has not sent")
        archive._members[name] = archive._members[target]
    else:
        archive._members[name] = member
    member = archive._members[name]
    if member.issparse() or not (member.size >= 0 <= member.uid <= LARGEST_ID and 0 <= member.gid <= LARGEST_ID):
        raise RemoteError(f"the node has sent {printable(name)} with an unsupported tar header")
    if not (member.isreg() or member.isdir() or member.issym()):
        archive.special.append(name)
        return
    archive.files.append(NodeFile(name, _state(archive, name, member)))


def _name(raw: str, path: bytes) -> bytes:
    """Return the absolute path of a name in the stream. Raises RemoteError unless it is `path` or below it."""
    name = os.path.dirname(path).rstrip(b"/") + raw.encode("utf-8", "surrogateescape").removeprefix(b".").rstrip(b"/")
    odd = b"\0" in name or any(part in (b"", b".", b"..") for part in name.split(b"/")[1:])
    if odd or not (name == path or name.startswith(path + b"/")):
        raise RemoteError(f"the node has sent {node_text(name) or 'a file without a name'}, which was not requested")
    if len(name) > _LONGEST_NAME or name.count(b"/") > _DEEPEST:
        raise RemoteError(f"the node has sent {node_text(name)}, which is too long or too deep")
    return name


def _state(archive: NodeArchive, name: bytes, member: tarfile.TarInfo) -> FileState:
    if "\0" in member.linkname or len(member.linkname) > _LONGEST_NAME:
        raise RemoteError(f"the node has sent {printable(name)} as a link with an impossible target")
    if max(len(member.uname), len(member.gname)) > _LONGEST_ACCOUNT:
        raise RemoteError(f"the node has sent {printable(name)} with an impossible owner")
    user, group = _account(member.uid, member.uname), _account(member.gid, member.gname)
    state = FileState(
        kind=Kind.FILE if member.isreg() else Kind.DIRECTORY if member.isdir() else Kind.LINK,
        mode=member.mode & 0o7777,
        size=member.size,
        uid=user.number,
        gid=group.number,
        owner=user.name,
        group=group.name,
        md5=_md5(archive, member) if member.isreg() else None,
        target=member.linkname.encode("utf-8", "surrogateescape") if member.issym() else None,
    )
    if name != archive.path:
        return state
    if not isinstance(archive.state, FileState) or state.kind is not archive.state.kind:
        raise RemoteError(f"{printable(name)} changed while the node sent it")
    # A tar header truncates long account names, the probe does not.
    return replace(archive.state, size=state.size, md5=state.md5, target=state.target)


def _account(number: int, name: str) -> _Account:
    """Return the account of a tar header. BusyBox writes a number as the name if there is none, and cuts `number`."""
    if name.isdecimal() and int(name) <= LARGEST_ID:
        return _Account(int(name), None)
    return _Account(number, name or None)


def _md5(archive: NodeArchive, member: tarfile.TarInfo) -> str:
    if member.offset_data not in archive._digests:
        digest = hashlib.md5(usedforsecurity=False)
        content = _Content(archive._stream, member)
        while block := content.read(_READ_SIZE):
            digest.update(block)
        archive._digests[member.offset_data] = digest.hexdigest()
    return archive._digests[member.offset_data]
