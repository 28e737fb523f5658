"""The shell text of the probe: one script that looks at every managed path of a node.

It needs a POSIX shell and stat, readlink, md5sum, ls and sleep of any userland. It writes nothing on the node. It does
not use /dev/null, because an image without devices would get a file of that name. This module contacts nobody.

A path has a number: its position in layout(). Each line of the answer begins with a letter for its meaning, except
those that stat and md5sum print. A line is about one number, and the next line about the next one:

    i:NUMBER...                                the next lines are about these numbers, and about those after the last
    MODE:UID:SIZE:GID:OWNER:GROUP              lstat(); with :MTIME:CTIME if the path is not as expected
    x:COUNT                                    so many paths are as expected
    t:TARGET                                   of a symbolic link; n: if it has a newline, u:REASON if it cannot be read
    a:                                         nothing is there
    r:REASON                                   it cannot be looked at
    w:COMPLAINT                                it cannot be looked at, since stat does not work
    h:SECONDS:DIRECTORY                        it cannot be looked at, since the directory (or itself) does not answer
    MD5  NAME                                  the digest of a file; the name does not count
    m:MD5                                      the digest of a file that somebody else than root can exchange

    q:NUMBER                                   a file is as it was when its digest was remembered, and is not read
    v:NUMBER:NOW:STAMP                         what a file was while it was read: see audit/remembered.py
    k:NUMBER:TEXT                              capabilities of a file: see audit/more_attributes.py
    g:NUMBER:TEXT                              its ACL
    s:NUMBER:STATUS:TEXT                       its SELinux label

These are about no number (and audit/listing.py has more):

    o:                                         md5sum has read all files of the block before; else it has no digest
    b:DIRECTORY                                a symbolic link above a file, or a directory that is behind one
    c:COMPLAINT                                of md5sum
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.audit import more_attributes
from pytest_synctool.audit.absence import ABSENCE
from pytest_synctool.audit.listing import FUNCTIONS, Listing, commands
from pytest_synctool.audit.probe_functions import LOOK
from pytest_synctool.audit.probe_timing import TIMING
from pytest_synctool.audit.remembered import LONGEST_STAMP, Remembered
from pytest_synctool.common.shell import argument_size, quote, words
from pytest_synctool.model import ABSENT, Absent, FileState, Kind
from pytest_synctool.repository.source import file_type, parents

# Bounds of one stat command: far below the limits of any system's command line.
_CHUNK_PATHS: Final = 1000
_CHUNK_BYTES: Final = 60_000

_ANSWER_BYTES: Final = 256  # of a path, beside its name
_ANSWER_NAMES: Final = 5  # times that an answer has the name of a path; md5sum doubles a backslash
_ANSWER_DIRECTORY: Final = 64  # bytes of the state of a directory above a path

BEGIN: Final = b"synctool-probe"
END: Final = b"synctool-probe-end"

# Seconds. Only a FIFO keeps its reader waiting, and only if a user has just put it in the place of a file.
LONGEST_READ: Final = 10
# Bytes that md5sum reads in a second of processor time, at least.
_SLOWEST_DIGEST: Final = 10_000_000
# Bytes that md5sum reads in a second, at least. What takes longer is asked for once more, alone.
_SLOWEST_READ: Final = 1_000_000
_LONGEST_TICK: Final = 5  # seconds
_SILENCE: Final = 60.0  # seconds
_SHORT: Final = 3  # ticks of a silence about which nobody wonders
_TICKS: Final = 2  # for a look at a chunk, and at a path alone
_PATHS_IN_A_TICK: Final = 500  # at least; a chunk of more gets more ticks

_TOGETHER: Final = (b"files", b"links")  # kinds of paths that are looked at together if all are as expected

# The script sets IFS to a newline and expands no patterns: a text of lines is a list of words.
PROLOGUE: Final = (
    rb"""exec 3>&1
nl='
'
set -f; IFS=$nl
"""
    + ABSENCE
    + LOOK.replace(b"SLOWEST", b"%d" % _SLOWEST_DIGEST).replace(b"LONGEST", b"%d" % LONGEST_READ)
    + TIMING.replace(b"TICKS", b"%d" % _TICKS)
    .replace(b"SHORT", b"%d" % _SHORT)
    .replace(b"SLOWEST", b"%d" % _SLOWEST_READ)
)


@dataclass(frozen=True, slots=True)
class Request:
    """A path to probe. Its contents are read only if it is a regular file of `size` bytes; never if that is None.

    They are not read behind a symbolic link, unless it is `through` that leads there: the lowest directory above the
    path that may be a link; b"" for none. A path that is as `expected` costs the node least; None for no expectation.
    With `remembered`, a file without links above that is still that is not read, and of another one the node tells what
    it is.
    """

    path: bytes
    size: int | None = None
    through: bytes = b""
    expected: FileState | Absent | None = None
    remembered: Remembered | None = None

    @property
    def place(self) -> tuple[bytes, bytes, bytes]:
        """The directory that may be a link, the way from there to the path's directory, and the name."""
        top = self.through or b"/"
        directory, name = os.path.split(self.path)
        return top, b"." + directory.removeprefix(self.through).rstrip(b"/"), name

    @property
    def guarded(self) -> list[bytes]:
        """The directories that must not be links if the contents are to be read."""
        return [] if self.size is None or self.through else parents(self.path)

    @property
    def kind(self) -> bytes:
        """The word for how the script looks at it: files, links and gone are those that need little if as expected.

        Each large one has a chunk of its own.
        """
        expected = self.expected
        if self.remembered is not None:
            return b"large"
        if expected is ABSENT:
            return b"gone"
        if isinstance(expected, FileState) and not self.through:
            if expected.kind is Kind.LINK:
                return b"links"
            # Contents of others are read with more care, as are those that others can write.
            if expected.kind is Kind.FILE and expected.size == self.size and not (expected.uid or expected.mode & 0o22):
                return b"files"
        return b"all"

    @property
    def asks_more(self) -> bool:
        """True if capabilities or an ACL are expected, or that there are none, or a label."""
        return isinstance(self.expected, FileState) and (self.expected.has_more or self.expected.label is not None)

    @property
    def has_capabilities(self) -> bool:
        """True if capabilities are expected, or that there are none."""
        return isinstance(self.expected, FileState) and self.expected.capabilities is not None

    @property
    def has_acl(self) -> bool:
        """True if an ACL is expected, or that there is none."""
        return isinstance(self.expected, FileState) and self.expected.acl is not None

    @property
    def has_label(self) -> bool:
        """True if the SELinux label of its path is expected."""
        return isinstance(self.expected, FileState) and self.expected.label is not None

    @property
    def is_directory(self) -> bool:
        """True if a directory is expected."""
        return isinstance(self.expected, FileState) and self.expected.kind is Kind.DIRECTORY

    @property
    def is_of_root(self) -> bool:
        """True if owner and group 0, which are called root, are expected."""
        expected = self.expected
        return (
            isinstance(expected, FileState)
            and expected.uid == expected.gid == 0
            and expected.owner == expected.group == "root"
        )

    @property
    def line(self) -> bytes:
        """The line that stat prints if the path is as expected; its third field is the size to read, or `-`.

        One of root has no names: the script finds out once what 0 is called.
        """
        size = b"-" if self.size is None or self.through else b"%d" % self.size
        expected = self.expected
        if not isinstance(expected, FileState) or expected.kind in (Kind.DIRECTORY, Kind.OTHER):
            return b"-:-:%s:-" % size
        bits = file_type(expected.kind) | expected.mode
        numbers = b"%x:%d:%d:%d" % (bits, expected.uid, expected.size, expected.gid)
        if self.is_of_root:
            return numbers
        return b"%s:%s:%s" % (numbers, *(os.fsencode(name or "UNKNOWN") for name in (expected.owner, expected.group)))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Paths that the script looks at together, and the directories above that must be safe for files to be read."""

    kind: bytes
    directories: Sequence[bytes]
    requests: Sequence[Request]

    @property
    def is_of_root(self) -> bool:
        """True if its paths are looked at together and belong to root: their expected lines have no names."""
        return self.kind in _TOGETHER and self.requests[0].is_of_root

    def command(self, first: int, tick: int) -> bytes:
        """Return the command that looks at the paths; `first` is the number of the first directory or path."""
        sizes = sum(request.size or 0 for request in self.requests)
        ticks = _TICKS + len(self.requests) // _PATHS_IN_A_TICK + sizes // (_SLOWEST_READ * tick)
        if self.kind in (b"all", b"large") and sizes:
            ticks += -(-LONGEST_READ // tick)
        expected = b"\n".join(request.line for request in self.requests)
        numbers = (b"%d" % number for number in (ticks, first))
        counts = (self.kind, b"%d" % len(self.directories), expected)
        remembered = self.requests[0].remembered
        before = b"" if remembered is None else b"stamp=%s\n" % quote(remembered.stamp)
        return before + words(
            b"part", *numbers, *counts, *self.directories, *(request.path for request in self.requests)
        )


def chunks(requests: Sequence[Request]) -> Iterator[Chunk]:
    """Divide requests among chunks of one kind each, in which the expected lines of all or of none have names.

    A requested directory above a file belongs to the file's chunk.
    """
    above: set[bytes] = set()
    kinds = ((kind, of_root) for kind in (b"files", b"large", b"all", b"links", b"gone") for of_root in (True, False))
    groups: dict[tuple[bytes, bool], list[Request]] = {each: [] for each in kinds}
    for request in requests:
        kind = request.kind
        groups[kind, kind in _TOGETHER and request.is_of_root].append(request)
    for (kind, _), group in groups.items():
        yield from _chunks(kind, [r for r in group if r.path not in above or not r.is_directory or r.asks_more], above)


def _chunks(kind: bytes, requests: Sequence[Request], above: set[bytes]) -> Iterator[Chunk]:
    chunk: list[Request] = []
    directories: dict[bytes, None] = {}
    seen: set[bytes] = set()
    size = 0
    most = 1 if kind == b"large" else _CHUNK_PATHS
    for request in requests:
        if chunk and (len(chunk) + len(directories) >= most or size + len(request.path) > _CHUNK_BYTES):
            yield Chunk(kind, [*directories], chunk)
            chunk, directories, size = [], {}, 0
            seen.clear()
        chunk.append(request)
        size += len(request.path) + 1
        if request.size is not None and (directory := request.path[: request.path.rfind(b"/")]) not in seen:
            seen.add(directory)
            for guard in request.guarded:
                if guard not in directories:
                    directories[guard] = None
                    size += len(guard) + 1
            above.update(directories)
    if chunk:
        yield Chunk(kind, [*directories], chunk)


def layout(requests: Sequence[Request]) -> list[bytes]:
    """Return the paths in the order of their numbers. A directory above files can have several."""
    return [
        path
        for chunk in chunks(requests)
        for path in (*chunk.directories, *(request.path for request in chunk.requests))
    ]


def script(requests: Sequence[Request], silence: float = _SILENCE, listings: Sequence[Listing] = ()) -> bytes:
    """Return the shell text that answers for these paths, and lists these directories.

    It prints something before `silence`, in seconds, is over.
    """
    tick = max(1, min(_LONGEST_TICK, int(silence / 6)))
    divided = list(chunks(requests))
    lines = [PROLOGUE + b"timer %d" % tick, b"echo " + BEGIN]
    if any(chunk.is_of_root for chunk in divided):
        lines.append(b"accounts")
    first = 0
    for chunk in divided:
        lines.append(chunk.command(first, tick))
        first += len(chunk.directories)
        behind = [(first + at, r) for at, r in enumerate(chunk.requests) if r.size is not None and r.through]
        lines += _more(first, chunk.requests)
        first += len(chunk.requests)
        if behind:
            places = (word for at, r in behind for word in (b"%d" % at, b"%d" % (r.size or 0), *r.place))
            total = sum(r.size or 0 for _, r in behind)
            ticks = _TICKS + total // (_SLOWEST_READ * tick) + -(-LONGEST_READ // tick)
            lines.append(words(b"timed", b"%d" % ticks, b"exchangeable", b"%d" % total, *places))
    if listings:
        lines += [FUNCTIONS, *commands(listings, tick)]
    lines += [b"end_timer", b"echo " + END]
    return b"\n".join(lines)


def _more(first: int, requests: Sequence[Request]) -> Iterator[bytes]:
    """Yield the shell text that asks for capabilities, ACLs and labels; `first` is the number of the first request."""
    asking = [(first + at, r) for at, r in enumerate(requests) if r.asks_more]
    if not asking:
        return
    yield more_attributes.FUNCTIONS
    capable = [(number, r.path) for number, r in asking if r.has_capabilities]
    granting = [(number, r.path) for number, r in asking if r.has_acl]
    labelled = [(number, r.path) for number, r in asking if r.has_label]
    for function, pairs in ((b"capabilities", capable), (b"acls", granting), (b"labels", labelled)):
        if pairs:
            ticks = _TICKS + len(pairs) // (20 if pairs is labelled else 100)  # restorecon reads the whole policy
            yield words(b"timed", b"%d" % ticks, function, *(w for n, path in pairs for w in (b"%d" % n, path)))


def room(limit: int) -> int:
    """Return the argument_size() that the calls may have in a script that may have `limit`."""
    return limit - argument_size(PROLOGUE) - 400


def split(requests: Sequence[Request], limit: int | None) -> Iterator[Sequence[Request]]:
    """Split requests into parts whose scripts have at most `limit` bytes as an argument, by argument_size().

    Some connections pass a script as one.
    """
    if limit is None:
        yield requests
        return
    budget = room(limit)
    part: list[Request] = []
    guarded: set[bytes] = set()
    size = 0
    for request in requests:
        new = {*request.guarded} - guarded
        cost = _cost(request, new)
        if part and size + cost > budget:
            yield part
            part, guarded, size = [], set(), 0
            cost = _cost(request, {*request.guarded})
        part.append(request)
        guarded |= {*request.guarded}
        size += cost
    if part:
        yield part


def _cost(request: Request, directories: set[bytes]) -> int:
    text = quote(request.path) * 2 + request.line
    more = 80
    if request.asks_more:
        text += quote(request.path) * 2 + more_attributes.FUNCTIONS
        more += 80
    if request.remembered is not None:  # in a call of its own
        directories = {*request.guarded}
        text += quote(request.remembered.stamp)
        more += 80
    return argument_size(text) + more + sum(argument_size(quote(each)) + 1 for each in directories)


def largest_answer(requests: Sequence[Request]) -> int:
    """Return the number of bytes that an honest answer has at most, but for a megabyte of link targets and messages."""
    return sum(
        (more_attributes.MOST if request.asks_more else 0)
        + (0 if request.remembered is None else LONGEST_STAMP)
        + _ANSWER_BYTES
        + _ANSWER_NAMES * len(request.path)
        + _ANSWER_DIRECTORY * request.path.count(b"/")
        for request in requests
    )
