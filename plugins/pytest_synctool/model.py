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


# The `what` of the only change of a path that does not exist, and should.
MISSING: Final = "missing"


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


class Skip(Enum):
    """Reasons for which the test of one entry was skipped."""

    NOT_RUN = "a task in a run that runs no tasks"
    NOT_KEPT = "--restore found no old version"
    NOT_BEGUN = "the node was never contacted: an earlier batch failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one (node, entry): `message` is one line, `details` the lines below it.

    `changes` are the differences, `source` is the file below the masterdir that asks for the expected state, printable.
    `diff` holds what differs in the contents, lines joined by newlines, as far as it may be shown. `waiver` says why
    drift is accepted, and until when. `skip` is the reason of an outcome that is SKIPPED. `has_remark` is True if the
    message says more than the differences, such as `not fixed: No space left on device`.
    """

    status: Status
    message: str = ""
    details: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    source: str = ""
    diff: str = ""
    waiver: str = ""
    skip: Skip | None = None
    has_remark: bool = False

    @property
    def is_missed(self) -> bool:
        """True if the entry should have been audited or repaired, and was not."""
        return self.status is Status.SKIPPED and self.skip not in (Skip.NOT_RUN, Skip.NOT_KEPT)

    @property
    def is_missing(self) -> bool:
        """True if the difference is that nothing exists at the destination."""
        return len(self.changes) == 1 and self.changes[0].what == MISSING


OK = Outcome(Status.OK)

# What a dry run has to say of a task.
NOT_RUN: Final = Outcome(Status.SKIPPED, "dry run, not running", skip=Skip.NOT_RUN)
# And --restore of what it has nothing to do with.
NOT_KEPT: Final = Outcome(
    Status.SKIPPED, "nothing to restore: the last --fix has kept no old version of it", skip=Skip.NOT_KEPT
)


class NodeErrorKind(Enum):
    """Kinds of errors that leave nothing known of a node."""

    UNREACHABLE = "unreachable"
    BAD_ANSWER = "bad answer"
    WORKER_LOST = "worker lost"
    INTERNAL = "internal error"


# Words before the reason. The reasons of the other kinds are sentences of their own.
_KIND_WORDS: Final = {NodeErrorKind.UNREACHABLE: "unreachable: ", NodeErrorKind.INTERNAL: "internal error: "}


@dataclass(frozen=True, slots=True)
class NodeError:
    """The reason why nothing is known of a node: `reason` is one line without the node's name."""

    kind: NodeErrorKind
    reason: str

    @property
    def text(self) -> str:
        """The error without the node's name: `unreachable: Connection refused`."""
        return f"{_KIND_WORDS.get(self.kind, '')}{self.reason}"

    def of(self, node: str) -> str:
        """Return the error as a sentence about a node: `node3 unreachable: Connection refused`."""
        return f"{node}{'' if self.kind is NodeErrorKind.UNREACHABLE else ':'} {self.text}"


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of a node: one outcome per check, or the error that left nothing known of it.

    `done` tells what was changed and run on the node, in this order, in the words of the log. `notes` are what people
    should know beside, a line each. `planned` is what a rehearsal has found to be done, as pairs of the path and these
    words, and `script` the shell text that would do it.
    """

    outcomes: tuple[Outcome, ...] = ()
    error: NodeError | None = None
    duration: float = 0.0
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    planned: tuple[tuple[bytes, str], ...] = ()
    script: bytes = b""
