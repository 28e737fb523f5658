"""The parser of a probe's answer. It takes everything in it for hostile. This module contacts nobody."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from pytest_synctool.audit import more_attributes, remembered
from pytest_synctool.audit.probe_script import BEGIN, END, Request, largest_answer, layout, room, script, split
from pytest_synctool.common import acl
from pytest_synctool.common.wording import node_text, printable
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, Actual, FileState, Kind, SELinuxLabel, Touched, Unknown
from pytest_synctool.repository.source import kind_of, parents

__all__ = ["Request", "largest_answer", "layout", "parse", "printed_before", "room", "script", "split"]

_STATE = re.compile(
    rb"([0-9a-f]{1,8}):([0-9]{1,10}):([0-9]{1,19}):([0-9]{1,10}):([^:\0]{1,256}):([^:\0]{1,256})"
    rb"(?::(-?[0-9]{1,12}):(-?[0-9]{1,12}))?"
)
# GNU md5sum begins a line with a backslash if it escaped the name.
_MD5_LINE = re.compile(rb"\\?([0-9a-f]{32}) [ *].*", re.DOTALL)
_DIGEST = re.compile(rb"[0-9a-f]{32}")
_SILENT = re.compile(rb"([0-9]{1,6}):(/.*)", re.DOTALL)
# The repository refuses a source with such a target, so this one always differs from the expected one.
_ODD_TARGET: Final = b"(a name with a newline in it)\n"
# Some programs print this in the place of bytes that are not UTF-8.
_REPLACED: Final = "\ufffd".encode()
_LONGEST_TARGET: Final = 4096  # bytes; the kernel allows no more
_LONGEST_NUMBER: Final = 9  # digits

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


def _last_line(answer: bytes) -> str:
    return node_text(answer.strip().rpartition(b"\n")[2]) or "it said nothing"


class _Reader:
    """The lines of an answer, each about a path by its number. Lines about other numbers are ignored."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._paths = layout(requests)
        self._expected = {request.path: request.expected for request in requests}
        self._requests = requests
        self._looks: dict[bytes, FileState] = {}  # their contents and targets do not count
        self._touched: dict[bytes, Touched] = {}
        self._capabilities: dict[bytes, tuple[str | None, str]] = {}
        self._acls: dict[bytes, tuple[str | None, str]] = {}
        self._labels: dict[bytes, tuple[SELinuxLabel | None, str]] = {}
        self._digests: dict[bytes, str] = {}
        self._targets: dict[bytes, bytes] = {}
        self._unread_links: dict[bytes, str] = {}
        self._absent: set[bytes] = set()
        self._reasons: dict[bytes, str] = {}
        self._links: set[bytes] = set()
        self._complaints: set[str] = set()
        self._noise = ""
        self._numbers: list[int] = []  # the next ones, last first; those after the first of them have no end
        self._block: list[tuple[bytes, str]] = []  # digests, until md5sum has read all files of the block

    @cached_property
    def _remembered(self) -> dict[bytes, remembered.Remembered]:
        known = ((request.path, request.remembered) for request in self._requests)
        return {path: each for path, each in known if each is not None and each.stamp}

    def line(self, line: bytes) -> None:
        """Parse one line of the answer."""
        kind = _KINDS.get(line[:2])
        if kind is not None:
            kind(self, line[2:])
        elif state := _STATE.fullmatch(line):
            self._state(state)
        elif digest := _MD5_LINE.fullmatch(line):
            self._block.append((self._next(), digest[1].decode("ascii")))
        elif line and not self._noise:
            self._noise = f" ({node_text(line)})"

    def _about(self, text: bytes) -> None:
        words = text.split(b" ")
        if not all(word.isdigit() and len(word) <= _LONGEST_NUMBER for word in words):
            raise _unparsable(b"i:" + text)
        self._numbers = [int(word) for word in reversed(words)]
        self._block = []

    def _next(self) -> bytes:
        """Return the path that a line is about, b"" for none. The next line is about the next number."""
        if not self._numbers:
            return b""
        number = self._numbers.pop()
        if not self._numbers:
            self._numbers = [number + 1]
        return self._paths[number] if number < len(self._paths) else b""

    def _state(self, match: re.Match[bytes]) -> None:
        mode, uid, size, gid, owner, group, modified, changed = match.groups()
        bits = int(mode, 16)
        path = self._next()
        if modified is not None:
            self._touched[path] = Touched(int(modified), int(changed))
        self._looks[path] = FileState(
            kind=kind_of(bits),
            mode=bits & 0o7777,
            size=int(size),
            uid=int(uid),
            gid=int(gid),
            owner=None if owner == b"UNKNOWN" else owner.decode("utf-8", "surrogateescape"),
            group=None if group == b"UNKNOWN" else group.decode("utf-8", "surrogateescape"),
        )

    def _as_expected(self, text: bytes) -> None:
        if not (text.isdigit() and len(text) <= _LONGEST_NUMBER):
            raise _unparsable(b"x:" + text)
        for _ in range(min(int(text), len(self._paths))):
            path = self._next()
            expected = self._expected.get(path)
            if isinstance(expected, FileState):
                self._looks[path] = expected

    def _target(self, target: bytes) -> None:
        if len(target) > _LONGEST_TARGET or b"\0" in target:
            raise _unparsable(b"t:" + target)
        self._targets[self._next()] = target

    def _odd_target(self, _: bytes) -> None:
        self._targets[self._next()] = _ODD_TARGET

    def _unread_link(self, reason: bytes) -> None:
        self._unread_links[self._next()] = node_text(reason)

    def _nothing(self, _: bytes) -> None:
        self._absent.add(self._next())

    def _reason(self, complaint: bytes) -> None:
        self._reasons[self._next()] = node_text(complaint.rpartition(b": ")[2])

    def _no_stat(self, complaint: bytes) -> None:
        self._reasons[self._next()] = f"stat does not work there: {node_text(complaint) or 'it prints nothing'}"

    def _silent(self, text: bytes) -> None:
        match = _SILENT.fullmatch(text)
        if match is None:
            raise _unparsable(b"h:" + text)
        self._reasons[self._next()] = f"{node_text(match[2])} does not answer within {int(match[1])} s"

    def _link(self, directory: bytes) -> None:
        self._links.add(directory)

    def _complaint(self, complaint: bytes) -> None:
        self._complaints.add(node_text(complaint.rpartition(b": ")[2]))

    def _digest(self, text: bytes) -> None:
        if _DIGEST.fullmatch(text) is None:
            raise _unparsable(b"m:" + text)
        self._digests[self._next()] = text.decode("ascii")

    def _all_read(self, _: bytes) -> None:
        self._digests.update(self._block)
        self._block = []

    def _capable(self, text: bytes) -> None:
        match = more_attributes.LINE.fullmatch(text)
        if match is None:
            raise _unparsable(b"k:" + text)
        if int(match[1]) < len(self._paths):
            form_of = more_attributes.capabilities_of_node
            self._capabilities[self._paths[int(match[1])]] = more_attributes.parse(match, "getcap", form_of)

    def _granting(self, text: bytes) -> None:
        match = more_attributes.LINE.fullmatch(text)
        if match is None:
            raise _unparsable(b"g:" + text)
        if int(match[1]) < len(self._paths):
            self._acls[self._paths[int(match[1])]] = more_attributes.parse(match, "getfacl", acl.of_node)

    def _unread(self, text: bytes) -> None:
        number = remembered.number(text)
        if number < len(self._paths) and (known := self._remembered.get(self._paths[number])) is not None:
            self._digests[self._paths[number]] = known.md5

    def _labelled(self, text: bytes) -> None:
        match = more_attributes.LABEL_LINE.fullmatch(text)
        if match is None:
            raise _unparsable(b"s:" + text)
        if int(match[1]) < len(self._paths):
            self._labels[self._paths[int(match[1])]] = more_attributes.parse_label(match)

    def _of_others(self, _: bytes) -> None:
        """Leave a line to the parser of listings, or to that of what is to be remembered."""

    def state(self, request: Request) -> Actual:
        """Return the state of a path."""
        state = self._state_of(request)
        if not request.asks_more or not isinstance(state, FileState) or state.kind not in (Kind.FILE, Kind.DIRECTORY):
            return state
        if request.has_capabilities and state.kind is Kind.FILE:
            has, reason = self._capabilities.get(request.path, (None, "its capabilities cannot be read"))
            if has is None:
                return Unknown(reason)
            state = replace(state, capabilities=has)
        if request.has_acl:
            has, reason = self._acls.get(request.path, (None, "its ACL cannot be read"))
            if has is None:
                return Unknown(reason)
            state = replace(state, acl=has)
        if request.has_label:
            label, reason = self._labels.get(request.path, (None, "its SELinux label cannot be read"))
            if label is None:
                return Unknown(reason)
            state = replace(state, label=label)
        return state

    def _state_of(self, request: Request) -> Actual:
        path = request.path
        looks, touched = self._looks.get(path), self._touched.get(path)
        if looks is None:
            if path in self._absent:
                return ABSENT
            return Unknown(self._reasons.get(path) or _CHANGED + self._noise)
        if looks.kind is Kind.LINK:
            if path not in self._targets:
                reason = self._unread_links.get(path)
                return Unknown(_CHANGED if reason is None else reason or "its link target cannot be read")
            target = self._targets[path]
            if _REPLACED in target and len(target) != looks.size:
                return Unknown("its link target cannot be read: readlink does not print it as it is")
            return _completed(looks, None, target, touched)
        if looks.kind is not Kind.FILE or looks.size != request.size:
            return _completed(looks, None, None, touched)
        if path not in self._digests:
            return Unknown(self._why_unread(path))
        return _completed(looks, self._digests[path], None, touched)

    def _why_unread(self, path: bytes) -> str:
        links = [directory for directory in parents(path) if directory in self._links]
        if links:
            return (
                f"its contents are behind a link, {printable(links[0])}: 'follow: yes' in attributes.yaml allows that"
            )
        # A reason is for people. It decides nothing, so it need not be that of this very file.
        return self._complaints.copy().pop() if len(self._complaints) == 1 else "could not be read" + self._noise


_KINDS: Final[Mapping[bytes, Callable[[_Reader, bytes], None]]] = {
    b"i:": _Reader._about,
    b"x:": _Reader._as_expected,
    b"t:": _Reader._target,
    b"n:": _Reader._odd_target,
    b"u:": _Reader._unread_link,
    b"a:": _Reader._nothing,
    b"r:": _Reader._reason,
    b"w:": _Reader._no_stat,
    b"h:": _Reader._silent,
    b"m:": _Reader._digest,
    b"o:": _Reader._all_read,
    b"b:": _Reader._link,
    b"c:": _Reader._complaint,
    b"k:": _Reader._capable,
    b"g:": _Reader._granting,
    b"s:": _Reader._labelled,
    b"q:": _Reader._unread,
    b"v:": _Reader._of_others,
    b"e:": _Reader._of_others,
    b"l:": _Reader._of_others,
}


def _completed(looks: FileState, md5: str | None, target: bytes | None, touched: Touched | None) -> FileState:
    """Return a state with these contents; the expected state itself if it is that, as most are."""
    if looks.md5 == md5 and looks.target == target and looks.touched == touched:
        return looks
    ids = looks.uid, looks.gid, looks.owner, looks.group
    return FileState(looks.kind, looks.mode, looks.size, *ids, md5, target, touched)


def _unparsable(line: bytes) -> RemoteError:
    return RemoteError(f"cannot parse a line of the node's answer: {node_text(line)}")
