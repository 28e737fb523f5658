"""The parser of a probe's answer. It takes everything in it for hostile. This module contacts nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from pytest_synctool.audit.probe_script import BEGIN, END, Request, largest_answer, script, split
from pytest_synctool.common.wording import node_text, printable
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, Actual, FileState, Kind, Unknown
from pytest_synctool.repository.source import kind_of, parents

__all__ = ["Request", "largest_answer", "parse", "printed_before", "script", "split"]

_STATE = re.compile(rb"([0-9a-f]{1,8}):([0-9]{1,10}):([0-9]{1,19}):([0-9]{1,10}):([^:\0]{1,256}):([^:\0]{1,256})")
_DIGEST = re.compile(rb"([0-9a-f]{32}):(.*)", re.DOTALL)
_MD5_LINE = re.compile(rb"\\?([0-9a-f]{32}) [ *](.*)", re.DOTALL)
# GNU md5sum begins a line with a backslash if it escaped the name.
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r"}
# The repository refuses a source with such a target, so this one always differs from the expected one.
_ODD_TARGET: Final = b"(a name with a newline in it)\n"
_LONGEST_TARGET: Final = 4096  # bytes; the kernel allows no more

_CHANGED: Final = "changed while it was looked at"


def parse(requests: Sequence[Request], answer: bytes) -> dict[bytes, Actual]:
    """Parse a node's answer into one state for every requested path.

    Raises RemoteError if the answer is incomplete or malformed. A path that the node could not look at, or whose
    contents it could not read, is Unknown.
    """
    lines = answer.split(b"\n")
    try:
        begin = lines.index(BEGIN) + 1
        end = lines.index(END, begin)
    except ValueError:
        raise RemoteError("the node's answer is not whole: " + _last_line(answer)) from None
    reader = _Reader(requests)
    for line in lines[begin:end]:
        reader.line(line)
    return {request.path: reader.state(request) for request in requests}


def printed_before(answer: bytes) -> bytes:
    """Return what was printed before the probe began."""
    return answer[: answer.find(b"\n" + BEGIN + b"\n") + 1]


def _unescape(match: re.Match[bytes]) -> bytes:
    return _ESCAPES.get(match[1], match[1])


def _last_line(answer: bytes) -> str:
    return node_text(answer.strip().rpartition(b"\n")[2]) or "it said nothing"


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
    """The lines of an answer about requested paths. Lines about other paths are ignored."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._wanted = {request.path for request in requests}
        self._looks: dict[bytes, _Looks] = {}
        self._digests: dict[bytes, str] = {}
        self._targets: dict[bytes, bytes] = {}
        self._unread_links: set[bytes] = set()
        self._absent: set[bytes] = set()
        self._reasons: dict[bytes, str] = {}
        self._links: set[bytes] = set()
        self._complaints: set[str] = set()
        self._noise = ""
        self._stat_works = False
        self._path = b""
        self._kinds = {
            b"p:": self._about,
            b"s:": self._state,
            b"l:": self._about,
            b"t:": self._target,
            b"n:": self._odd_target,
            b"u:": self._unread_links.add,
            b"w:": self._working,
            b"a:": self._absent.add,
            b"e:": self._about,
            b"r:": self._reason,
            b"b:": self._links.add,
            b"m:": self._digest,
            b"c:": self._complaint,
        }

    def line(self, line: bytes) -> None:
        """Parse one line of the answer."""
        kind = self._kinds.get(line[:2])
        if kind is not None:
            kind(line[2:])
        elif match := _MD5_LINE.fullmatch(line):
            name = _ESCAPED.sub(_unescape, match[2]) if line.startswith(b"\\") else match[2]
            self._put_digest(name, match[1])
        elif line and not self._noise:
            self._noise = f" ({node_text(line)})"

    def _about(self, path: bytes) -> None:
        self._path = path

    def _state(self, text: bytes) -> None:
        if self._path not in self._wanted:
            return
        match = _STATE.fullmatch(text)
        if match is None or self._path in self._looks:
            raise _unparsable(b"s:" + text)
        mode, uid, size, gid, owner, group = match.groups()
        bits = int(mode, 16)
        self._looks[self._path] = _Looks(
            kind=kind_of(bits),
            mode=bits & 0o7777,
            size=int(size),
            uid=int(uid),
            gid=int(gid),
            owner=None if owner == b"UNKNOWN" else owner.decode("utf-8", "surrogateescape"),
            group=None if group == b"UNKNOWN" else group.decode("utf-8", "surrogateescape"),
        )

    def _target(self, target: bytes) -> None:
        if len(target) > _LONGEST_TARGET or b"\0" in target:
            raise _unparsable(b"t:" + target)
        self._targets[self._path] = target

    def _odd_target(self, path: bytes) -> None:
        self._targets[path] = _ODD_TARGET

    def _working(self, _: bytes) -> None:
        self._stat_works = True

    def _reason(self, complaint: bytes) -> None:
        self._reasons[self._path] = node_text(complaint.rpartition(b": ")[2])

    def _complaint(self, complaint: bytes) -> None:
        self._complaints.add(node_text(complaint.rpartition(b": ")[2]))

    def _digest(self, text: bytes) -> None:
        match = _DIGEST.fullmatch(text)
        if match is None:
            raise _unparsable(b"m:" + text)
        self._put_digest(match[2], match[1])

    def _put_digest(self, path: bytes, digest: bytes) -> None:
        if path in self._wanted:
            self._digests[path] = digest.decode("ascii")

    def state(self, request: Request) -> Actual:
        """Return the state of a path."""
        path = request.path
        looks = self._looks.get(path)
        if looks is None:
            if path in self._absent and self._stat_works:
                return ABSENT
            return Unknown(self._reasons.get(path) or _CHANGED + self._noise)
        if looks.kind is Kind.LINK:
            if path not in self._targets:
                return Unknown("its link target cannot be read" if path in self._unread_links else _CHANGED)
            return FileState(*looks, target=self._targets[path])
        if looks.kind is not Kind.FILE or looks.size != request.size:
            return FileState(*looks)
        if path not in self._digests:
            return Unknown(self._why_unread(path))
        return FileState(*looks, md5=self._digests[path])

    def _why_unread(self, path: bytes) -> str:
        links = [directory for directory in parents(path) if directory in self._links]
        if links:
            return (
                f"its contents are behind a link, {printable(links[0])}: 'follow: yes' in attributes.yaml allows that"
            )
        # A reason is for people. It decides nothing, so it need not be that of this very file.
        return self._complaints.copy().pop() if len(self._complaints) == 1 else "could not be read" + self._noise


def _unparsable(line: bytes) -> RemoteError:
    return RemoteError(f"cannot parse a line of the node's answer: {node_text(line)}")
