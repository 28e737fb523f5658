"""The values that travel between the modules: nodes, file states, changes and outcomes. No input or output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


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

# What a dry run has to say of a task.
NOT_RUN: Final = Outcome(Status.SKIPPED, "dry run, not running")
# And --restore of what it has nothing to do with.
NOT_KEPT: Final = Outcome(Status.SKIPPED, "nothing to restore: the last --fix has kept no old version of it")

_WELL: Final = (Status.OK, Status.FIXED, Status.WAIVED)


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of a node: one outcome per check, or the reason why the node could not be looked at at all.

    `done` tells what was changed and run on the node, in this order, in the words of the log. `notes` are what people
    should know beside, a line each. `planned` is what a rehearsal has found to be done, as pairs of the path and these
    words, and `script` the shell text that would do it.
    """

    outcomes: tuple[Outcome, ...] = ()
    error: str | None = None
    duration: float = 0.0
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    planned: tuple[tuple[bytes, str], ...] = ()
    script: bytes = b""

    @property
    def well(self) -> bool:
        """Whether the node could be looked at, and nothing differs (any more) that is not waived, or failed."""
        return self.error is None and all(outcome.status in _WELL for outcome in self.outcomes)
