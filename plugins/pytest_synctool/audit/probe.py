"""The probe: one shell script that looks at every managed path of a node, and the parser of its answer.

The script needs a POSIX shell and the stat, readlink, md5sum and xargs of GNU coreutils/findutils or BusyBox. It writes
nothing on the node. It does not use /dev/null, because an image without devices would get a file of that name. This
module contacts nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pytest_synctool.common.shell import quote
from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, Actual, FileState, Kind, Unknown
from pytest_synctool.repository.source import kind_of

# Bounds of one stat command: far below the limits of any system's command line.
_CHUNK_PATHS: Final = 500
_CHUNK_BYTES: Final = 60_000

_ANSWER_BYTES: Final = 256  # of a path, beside its name
_ANSWER_NAMES: Final = 5  # times that an answer has the name of a path; md5sum doubles a backslash

_BEGIN: Final = b"synctool-probe"
_END: Final = b"synctool-probe-end"

_PROLOGUE: Final = rb"""LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/bin:/bin; exec 3>&1
nl='
'
look() {
  e=$(stat -c 's:%f:%s:%u:%g:%U:%G:%n' -- "$@" 2>&1 >&3)
  [ -z "$e" ] || printf '%s\n' "$e"
  for p in "$@"; do
    [ -L "$p" ] || continue
    t=$(readlink -n -- "$p" && printf x) || { printf 'u:%s\n' "$p"; continue; }
    case $t in *"$nl"*) printf 'n:%s\n' "$p" ;; *) printf 'l:%s\nt:%s\n' "$p" "${t%x}" ;; esac
  done
}
sizes() {
  stat -c '%f:%s:%n/' -- "$@" 2>&-
}
pick() {
  while IFS=: read -r mode size name; do
    name=${name%/}
    while [ "$#" -gt 0 ] && [ "$2" != "$name" ]; do shift 2; done
    [ "$#" -gt 0 ] || break
    case $mode in 8???) [ "$size" = "$1" ] && printf '%s\0' "$name" ;; esac
  done
}
digest() {
  e=$(xargs -0 -r md5sum -- 2>&1 >&3)
  [ -z "$e" ] || printf '%s\n' "$e"
}
"""


@dataclass(frozen=True, slots=True)
class Request:
    """A path to probe. Its contents are read only if it is a regular file of `size` bytes; never if that is None."""

    path: bytes
    size: int | None = None


def script(requests: Sequence[Request]) -> bytes:
    """Return the shell text that answers for these paths."""
    lines = [_PROLOGUE, b"echo " + _BEGIN]
    for chunk in _chunks(requests):
        lines.append(b"look " + b" ".join(quote(r.path) for r in chunk))
        files = [r for r in chunk if r.size is not None]
        if files:
            lines.append(
                b"sizes %s | pick %s | digest"
                % (
                    b" ".join(quote(r.path) for r in files),
                    b" ".join(b"%d %s" % (r.size or 0, quote(r.path)) for r in files),
                )
            )
    lines.append(b"echo " + _END)
    return b"\n".join(lines)


def _chunks(requests: Iterable[Request]) -> Iterator[list[Request]]:
    chunk: list[Request] = []
    size = 0
    for request in requests:
        if chunk and (len(chunk) == _CHUNK_PATHS or size + len(request.path) > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(request)
        size += len(request.path) + 1
    if chunk:
        yield chunk


def split(requests: Sequence[Request], limit: int | None) -> Iterator[Sequence[Request]]:
    """Split requests into parts whose scripts stay below `limit` bytes.

    Some connections pass a script as an argument.
    """
    if limit is None:
        yield requests
        return
    budget = limit - len(_PROLOGUE) - 200
    part: list[Request] = []
    size = 0
    for request in requests:
        cost = 3 * len(quote(request.path)) + 30
        if part and size + cost > budget:
            yield part
            part, size = [], 0
        part.append(request)
        size += cost
    if part:
        yield part


def largest_answer(requests: Sequence[Request]) -> int:
    """Return the number of bytes that an honest answer has at most, but for a megabyte of link targets and messages."""
    return sum(_ANSWER_BYTES + _ANSWER_NAMES * len(request.path) for request in requests)


_MD5_LINE = re.compile(rb"\\?([0-9a-f]{32}) [ *](.*)", re.DOTALL)
# GNU md5sum begins a line with a backslash if it escaped the name.
_ESCAPED = re.compile(rb"\\(.)")
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r"}
# The repository refuses a source with such a target, so this one always differs from the expected one.
_ODD_TARGET: Final = b"(a name with a newline in it)\n"
_ABSENT_REASONS: Final = (b"No such file or directory", b"Not a directory")


def parse(requests: Sequence[Request], answer: bytes) -> dict[bytes, Actual]:
    """Parse a node's answer into one state for every requested path.

    Raises RemoteError if the answer is incomplete. A path that the node could not look at, or whose contents it could
    not read, is Unknown.
    """
    reader = _Reader()
    lines = answer.split(b"\n")
    if _BEGIN not in lines or _END not in lines:
        raise RemoteError("the node's answer is not whole: " + _excerpt(answer))
    for line in lines[lines.index(_BEGIN) + 1 : lines.index(_END)]:
        reader.line(line)
    return reader.states(requests)


def _unescape(match: re.Match[bytes]) -> bytes:
    return _ESCAPES.get(match[1], match[1])


def _excerpt(answer: bytes) -> str:
    text = answer.strip()[-200:]
    return printable(text.splitlines()[-1]) if text else "it said nothing"


class _Looks(NamedTuple):
    """A FileState without contents and link target."""

    kind: Kind
    mode: int
    size: int
    uid: int
    gid: int
    owner: str | None
    group: str | None


class _Reader:
    def __init__(self) -> None:
        self.looks: dict[bytes, _Looks] = {}
        self.digests: dict[bytes, str] = {}
        self.targets: dict[bytes, bytes] = {}
        self.unread_links: set[bytes] = set()
        self.stat_errors: list[bytes] = []
        self.read_errors: list[bytes] = []
        self.noise: list[bytes] = []
        self._link = b""

    def line(self, line: bytes) -> None:
        """Parse one line of the answer."""
        if line.startswith(b"s:"):
            self._state(line)
        elif line.startswith(b"l:"):
            self._link = line[2:]
        elif line.startswith(b"t:"):
            self.targets[self._link] = line[2:]
        elif line.startswith(b"n:"):
            self.targets[line[2:]] = _ODD_TARGET
        elif line.startswith(b"u:"):
            self.unread_links.add(line[2:])
        elif match := _MD5_LINE.fullmatch(line):
            name = _ESCAPED.sub(_unescape, match[2]) if line.startswith(b"\\") else match[2]
            self.digests[name] = match[1].decode("ascii")
        elif line.startswith(b"md5sum: "):
            self.read_errors.append(line)
        elif line.startswith((b"stat: cannot stat", b"stat: can't stat")):
            self.stat_errors.append(line)
        elif line:
            self.noise.append(line)

    def _state(self, line: bytes) -> None:
        try:
            _, mode, size, uid, gid, owner, group, name = line.split(b":", 7)
            bits = int(mode, 16)
            self.looks[name] = _Looks(
                kind=kind_of(bits),
                mode=bits & 0o7777,
                size=int(size),
                uid=int(uid),
                gid=int(gid),
                owner=None if owner == b"UNKNOWN" else owner.decode("utf-8", "surrogateescape"),
                group=None if group == b"UNKNOWN" else group.decode("utf-8", "surrogateescape"),
            )
        except (ValueError, OverflowError) as error:
            raise RemoteError(f"cannot parse a line of the node's answer: {printable(line)}") from error

    def states(self, requests: Sequence[Request]) -> dict[bytes, Actual]:
        """Return one state for each request.

        The node's complaints come in the order of the paths that they are about.
        """
        states: dict[bytes, Actual] = {}
        missing = [r.path for r in requests if r.path not in self.looks]
        noise = f" ({printable(self.noise[0])})" if self.noise else ""
        reasons = _reasons(self.stat_errors, missing, "changed while it was looked at" + noise)
        unread = [r.path for r in requests if self._wants_digest(r) and r.path not in self.digests]
        unread_reasons = _reasons(self.read_errors, unread, "could not be read" + noise)
        for request in requests:
            path = request.path
            if path in reasons:
                absent = reasons[path].encode("utf-8", "surrogateescape") in _ABSENT_REASONS
                states[path] = ABSENT if absent else Unknown(reasons[path])
            elif path in unread_reasons:
                states[path] = Unknown(unread_reasons[path])
            else:
                states[path] = self._complete(path, self.looks[path])
        return states

    def _wants_digest(self, request: Request) -> bool:
        state = self.looks.get(request.path)
        return state is not None and state.kind is Kind.FILE and state.size == request.size

    def _complete(self, path: bytes, looks: _Looks) -> Actual:
        if looks.kind is Kind.LINK:
            if path not in self.targets:
                unread = path in self.unread_links
                return Unknown("its link target cannot be read" if unread else "changed while it was looked at")
            return FileState(*looks, target=self.targets[path])
        return FileState(*looks, md5=self.digests.get(path))


def _reasons(complaints: Sequence[bytes], paths: Sequence[bytes], otherwise: str) -> dict[bytes, str]:
    """Return the last part of each path's complaint; `otherwise` where complaints and paths do not pair up."""
    if len(complaints) != len(paths):
        return dict.fromkeys(paths, otherwise)
    return {path: printable(complaint.rpartition(b": ")[2]) for path, complaint in zip(paths, complaints, strict=True)}
