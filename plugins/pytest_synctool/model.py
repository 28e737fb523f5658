"""The values that travel between the rooms: nodes, file states, changes and outcomes. No input or output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, NamedTuple


class Kind(Enum):
    """The file types that an audit distinguishes."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "symbolic link"
    OTHER = "special file"

    __hash__ = object.__hash__  # that of an Enum is a function, and dictionaries have many


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the cluster.

    `groups` has the node's own name first, then its groups from the most to the least important, and `all` last.
    `address` is the host name or IP address that ssh connects to. `connection` is a testinfra host specification
    (`docker://web1`), or None for ssh. `hostname`, `ipaddress` and `hostid` are the values in the configuration, if it
    has them; the last is the path of a file on the node. With `rsync` False the node gets no mirror. An `ignored` node
    takes part in a run only if it is selected by name.
    """

    name: str
    groups: tuple[str, ...]
    address: str
    hostname: str | None = None
    ipaddress: str | None = None
    connection: str | None = None
    rsync: bool = True
    ignored: bool = False
    hostid: str | None = None

    @property
    def host_spec(self) -> str:
        """The testinfra host specification of the node."""
        if self.connection:
            return self.connection
        host = self.address.replace("%", "%25", 1)  # before the zone of an IPv6 address
        return f"ssh://[{host}]" if ":" in host else f"ssh://{host}"


@dataclass(frozen=True, slots=True)
class Touched:
    """The times of a path on a node, by its clock, in seconds since 1970: of its contents, and of its other changes."""

    modified: int
    changed: int


class SELinuxLabel(NamedTuple):
    """The SELinux label of a path, and the one that the node's policy has for it. Both are printable."""

    actual: str
    wanted: str


RIGHT_LABEL: Final = SELinuxLabel("that of its path", "that of its path")
NO_SELINUX: Final = SELinuxLabel("no SELinux", "no SELinux")


@dataclass(frozen=True, slots=True)
class FileState:
    """The state of one path, from lstat() and an MD5 digest.

    `mode` holds the permission bits (mode & 0o7777). `size` is in bytes. `owner` and `group` are None if the number has
    no name on that machine. `md5` (32 hex digits) is None unless the path is a regular file whose content was read.
    `target` is None unless the path is a symbolic link. `touched` is None if it was not asked for: a path that is as
    expected costs no question. `capabilities` and `acl` are None unless attributes.yaml expects some; so
    is `label`. That of an expected state is RIGHT_LABEL.
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
    touched: Touched | None = field(default=None, compare=False)
    capabilities: str | None = None
    acl: str | None = None
    label: SELinuxLabel | None = None

    @property
    def has_more(self) -> bool:
        """True if capabilities or an ACL are expected."""
        return self.capabilities is not None or self.acl is not None


class Absent(Enum):
    """The actual state of a path that a probe looked up and that does not exist."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Unknown:
    """The actual state of a path that could not be looked up. It is never absent and never in sync.

    `reason` is the error message of the node's operating system.
    """

    reason: str


Actual = FileState | Absent | Unknown
ActualStates = Mapping[bytes, Actual]


# The `what` of the only change of a path that should exist and does not.
MISSING: Final = "missing"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between expected and actual state. All three texts are printable.

    `what` names the property that differs: `mode`, `owner`, `file size`, or a name of your own check.
    """

    what: str
    expected: str
    found: str


class OldVersions(Enum):
    """Places for replaced files that are not a directory; the values are those of the script's variable `saved`."""

    BESIDE = b""  # as NAME.saved
    NOWHERE = b"-"


class Status(Enum):
    """The ending of the test of one entry."""

    OK = "ok"
    FIXED = "fixed"
    DRIFT = "drift"
    WAIVED = "waived"
    SKIPPED = "skipped"
    ERROR = "error"

    __hash__ = object.__hash__


class Skip(Enum):
    """Reasons for which the test of one entry was skipped."""

    NOT_RUN = "a task in a run that runs no tasks"
    NOT_KEPT = "--restore found no old version"
    NOT_RESTORED = "an old version in a run that only lists them"
    NOT_ERASED = "old versions in a run that only lists them, to erase them"
    NOT_BEGUN = "the node was never contacted: an earlier batch failed"
    NOT_SELECTED = "a node that has no entry with the selected name, or no task"
    MARKED = "a mark, a hook or the check itself skips the test"


_ON_PURPOSE: Final = (Skip.NOT_RUN, Skip.NOT_KEPT, Skip.NOT_RESTORED, Skip.NOT_ERASED, Skip.NOT_SELECTED, Skip.MARKED)


@dataclass(frozen=True, slots=True)
class Xfail:
    """A test that is expected to fail: the reason, and whether it must fail."""

    reason: str
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of the test of one entry on one node: `message` is one line, `details` are the lines below it.

    `changes` are the differences. `source` is the file below the masterdir that defines the expected state, printable.
    `diff` has the difference of the contents as far as it may be shown, lines joined by newlines. `waiver` is the
    reason why drift is accepted, with the last day. `skip` is the reason of an outcome that is SKIPPED. `has_remark` is
    True if the message contains more than the differences, such as `not fixed: No space left on device`. `xfail` is set
    if the test was expected to fail: WAIVED and SKIPPED are then expected failures, OK is an unexpected pass. `was_set`
    is True if the run has changed the path as it should, and only a command after that failed. `touched` has the times
    of a path that differs, as far as the node knows them.
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
    xfail: Xfail | None = None
    was_set: bool = False
    touched: Touched | None = None

    @property
    def is_repaired(self) -> bool:
        """True if the run has changed the path as it should, whatever became of the commands after that."""
        return self.status is Status.FIXED or self.was_set

    @property
    def is_missed(self) -> bool:
        """True if the entry should have been audited or repaired, and was not."""
        return self.status is Status.SKIPPED and self.skip not in _ON_PURPOSE

    def fixed(self, message: str, details: tuple[str, ...], *, has_remark: bool) -> Outcome:
        """Return the outcome FIXED of this drift."""
        return replace(self, status=Status.FIXED, message=message, details=details, has_remark=has_remark)

    @property
    def is_missing(self) -> bool:
        """True if the difference is that nothing exists at the destination."""
        return len(self.changes) == 1 and self.changes[0].what == MISSING


OK = Outcome(Status.OK)

# The outcome of a task in a dry run.
NOT_RUN: Final = Outcome(Status.SKIPPED, "dry run, not running", skip=Skip.NOT_RUN)
# The outcome of an entry that --restore has no old version of.
NOT_KEPT: Final = Outcome(Status.SKIPPED, "nothing to restore: no old version of it is kept", skip=Skip.NOT_KEPT)


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


class Deviation(Enum):
    """Reasons why a file that nobody manages is not what a package installed."""

    UNOWNED = "belongs to no package"
    CHANGED = "differs from its package"
    MISSING = "is missing, and belongs to a package"

    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """The reason why a file of a node is reported as unmanaged, and its state."""

    deviation: Deviation
    state: Actual


@dataclass(frozen=True, slots=True)
class UnmanagedFiles:
    """The unmanaged files of one node by path, and the reasons why these may not be all.

    If it is not known, nothing can be said of the node, and `errors` has the reason.
    """

    files: Mapping[bytes, Unmanaged] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    is_known: bool = True

    @classmethod
    def unknown(cls, reason: str) -> UnmanagedFiles:
        """Return the value for a node of which nothing is known."""
        return cls(errors=(reason,), is_known=False)


@dataclass(frozen=True, slots=True)
class UnmanagedVersion:
    """One version of an unmanaged file: number `number` of `versions`, and the nodes that have it, in their order."""

    path: bytes
    deviation: Deviation
    state: Actual
    nodes: tuple[str, ...]
    number: int = 1
    versions: int = 1


class UnixOutput(Enum):
    """The shell text that a result has of its repair: none, commands for people, or the script that runs."""

    NONE = "none"
    COMMANDS = "commands"
    SCRIPT = "script"


class PlannedStep(NamedTuple):
    """One action or command that a rehearsal would carry out: the path that it is for, and its line in the log."""

    path: bytes
    line: str


@dataclass(frozen=True, slots=True)
class NodeResult:
    """The result of one node: one outcome per check, or the error that left nothing known of it.

    `duration` is in seconds. `done` has the log lines of the actions and commands that the repair carried out, in
    their order; `printed` has what the commands printed, by these lines. `notes` are further lines for people. A
    rehearsal fills `planned`. `unix` are the lines of shell text that carry it out, where they are wanted. `unmanaged`
    is None if nobody has looked for unmanaged files. `unread` is the number of files that were not read, since their
    ctime was trusted.
    """

    outcomes: tuple[Outcome, ...] = ()
    error: NodeError | None = None
    duration: float = 0.0
    done: tuple[str, ...] = ()
    printed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    planned: tuple[PlannedStep, ...] = ()
    unix: tuple[bytes, ...] = ()
    unmanaged: UnmanagedFiles | None = None
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Revision:
    """The state of a masterdir that is kept in git: a commit, and True if something differs from it."""

    commit: str
    is_dirty: bool

    @property
    def text(self) -> str:
        """The revision for people: the first 12 digits of the commit, and a mark if something differs."""
        return self.commit[:12] + (" (dirty)" if self.is_dirty else "")
