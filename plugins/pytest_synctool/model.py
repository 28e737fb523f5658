"""The values that travel between the modules: nodes, file states, changes and outcomes. No input or output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """File types that the tool tells apart."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "symbolic link"
    OTHER = "special file"


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the cluster.

    `groups` is in order of importance: the node's own name first, `all` last. `address` is what a connection
    goes to; `connection` is a testinfra host specification (`docker://web1`), or None for ssh. `hostname` and
    `ipaddress` are what the configuration gives for them.
    `ignored` nodes take part in a run only when they are named themselves.
    """

    name: str
    groups: tuple[str, ...]
    address: str
    hostname: str | None = None
    ipaddress: str | None = None
    connection: str | None = None
    rsync: bool = True
    ignored: bool = False

    @property
    def host_spec(self) -> str:
        """The testinfra host specification of what a connection goes to."""
        if self.connection:
            return self.connection
        return f"ssh://[{self.address}]" if ":" in self.address else f"ssh://{self.address}"


@dataclass(frozen=True, slots=True)
class FileState:
    """The state of one path, as lstat() and a digest tell it.

    `mode` holds the permission bits (mode & 0o7777), `size` is in bytes. `owner` and `group` are None where the
    number has no name on that machine. `md5` (32 hex digits) is known for regular files whose content was read,
    `target` for symbolic links.
    """

    kind: Kind
    mode: int
    size: int
    uid: int
    gid: int
    owner: str | None = None
    group: str | None = None
    md5: str | None = None
    target: bytes | None = None


class Absent(Enum):
    """The path was looked at, and there is nothing."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Unknown:
    """The path could not be looked at; `reason` is the system's own word. Never to be read as absent."""

    reason: str


Actual = FileState | Absent | Unknown
ActualStates = Mapping[bytes, Actual]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between expected and actual state, printable as it stands."""

    what: str
    expected: str
    found: str


class Status(Enum):
    """How the test of one entry ended."""

    OK = "ok"
    FIXED = "fixed"
    DRIFT = "drift"
    WAIVED = "waived"
    SKIPPED = "skipped"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one (node, entry): `message` is one line, `details` the lines below it.

    `changes` are the differences, `source` is the file below the masterdir that asks for the expected state, printable.
    `diff` holds what differs in the contents, lines joined by newlines, as far as it may be shown. `waiver` says why
    drift is accepted, and until when.
    """

    status: Status
    message: str = ""
    details: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    source: str = ""
    diff: str = ""
    waiver: str = ""


OK = Outcome(Status.OK)


def printable(name: bytes) -> str:
    """A file name as text that any terminal, log or XML file can hold.

    UTF-8 is shown as it is; control characters and bytes that are not UTF-8 as `\\xNN`.
    """
    return printable_text(name.decode("utf-8", "backslashreplace"))


def printable_text(text: str) -> str:
    """Text with control characters and lone surrogates as `\\xNN` and `\\uNNNN`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
