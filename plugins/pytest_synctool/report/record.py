"""The results of a run as one value, from which every report is made. Equal parts of nodes are one object."""

from __future__ import annotations

import os
import secrets
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from pytest_synctool.common.accounts import user_name
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.wording import printable, printable_text
from pytest_synctool.model import OK, NodeError, NodeResult, Outcome, Revision, Status, Touched, UnmanagedVersion
from pytest_synctool.report.ending import NOTHING_KNOWN, NodeEnding, ending_of
from pytest_synctool.report.node_test_ids import NodeTests
from pytest_synctool.report.nodeids import decode

# Test files of the built-in checks, and the kinds of entries that they are for.
SUITE: Final = "synctool_checks/test_"
_TASKS: Final = "tasks"
_TASK: Final = "task"
_OWN: Final = "check"
# Commands that a repair runs in any case. Their tests compare nothing.
_RUN: Final = (_TASK, "always")
COMMANDS: Final = (*_RUN, "post")

# The modes of runs that compare nothing: old versions are put back, or erased.
RESTORE: Final = "restore"
WITHOUT_COMPARISON: Final = (RESTORE, "erase")

_NOT_SEEN: Final = (*NOTHING_KNOWN, NodeEnding.ERROR, NodeEnding.NOT_BEGUN)


class EntryName(NamedTuple):
    """The name of a test of a node: its check (`synctool_checks/test_overlay.py`) and the last part of its node id.

    It is a tuple because a run has many, and a tuple is hashed faster than a dataclass.
    """

    check: str
    name: str

    @property
    def kind(self) -> str:
        """The kind: `overlay`, `delete`, `exclusive`, `post`, `task` or `always`; `check` for a check of the site."""
        return _kind(self.check)

    @property
    def is_run(self) -> bool:
        """True for a command that a repair runs in any case: a task, or one of `always_run`."""
        return self.kind in _RUN

    @property
    def is_command(self) -> bool:
        """True if the test is about a command, False if it is about the state of a path."""
        return self.kind in COMMANDS

    @property
    def is_own(self) -> bool:
        """True for a check of the site."""
        return self.kind == _OWN

    def test_id(self, node: str) -> str:
        """Return the id of the test of a node, for the command line."""
        return f"{self.check}::{node}::{self.name}"

    @property
    def path(self) -> str:
        """The destination, printable; that of an owed command begins with its kind (`post:/etc/ntp.conf`)."""
        return printable(decode(self.name)) if "%" in self.name else printable_text(self.name)


@lru_cache(maxsize=1024)
def _kind(check: str) -> str:
    if not check.startswith(SUITE):
        return _OWN
    word = check.removeprefix(SUITE).removesuffix(".py")
    return _TASK if word == _TASKS else word


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """The result of one node.

    `entries` are all its tests, one object for all nodes with the same tests. `results` are the outcomes other than OK,
    each with the position of its entry. With `error`, nothing is known of the entries. `duration` is in seconds. `done`
    are the changes and commands of a repair, `notes` are lines that people should know besides. `left_out` has the
    names of tests that were collected and not selected. `touched` has the times of paths that differ, by the position
    of the entry: outcomes are shared by nodes, and do not have them. `unread` is the number of files that were not
    read, since their ctime was trusted. `ending` is computed once, since every report asks for it.
    """

    node: str
    entries: SharedList[EntryName]
    results: tuple[tuple[int, Outcome], ...] = ()
    error: NodeError | None = None
    duration: float = 0.0
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()
    touched: Mapping[int, Touched] = field(default_factory=dict)
    unread: int = 0
    ending: NodeEnding = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        outcomes = [outcome for _, outcome in self.results]
        ending = ending_of(self.error, [*outcomes, OK] if len(outcomes) < len(self.entries) else outcomes)
        object.__setattr__(self, "ending", ending)

    @property
    def begun(self) -> bool:
        """True if the run got to the node: not all of its entries were missed."""
        if self.error is not None:
            return False
        if len(self.results) < len(self.entries):  # one without a result was not missed
            return True
        return not self.entries or not all(outcome.is_missed for _, outcome in self.results)


@dataclass(frozen=True, slots=True)
class StaleWaiver:
    """A waiver whose drift is gone: its place (`waivers.yaml:12`), its nodes, and a message with the next step."""

    place: str
    nodes: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class UnmanagedRecord:
    """The unmanaged files below a directory. `known` are the nodes whose files are known, perhaps not all of them.

    `errors` are the nodes of which nothing or not everything is known, by the reason. `lines` are for people: nodes,
    and a text about one or more files; they leave out nodes that nobody has looked at. They fail the run if it `fails`.
    """

    directory: str
    known: Sequence[str]
    errors: Mapping[str, Sequence[str]]
    versions: Sequence[UnmanagedVersion] = ()
    lines: Sequence[tuple[Sequence[str], str]] = ()
    fails: bool = False


@dataclass
class RunRecord:
    """A run. `nodes` are the nodes with a result; at the end of the run they are in the order of the configuration.

    `mode` is `audit`, `fix`, `restore` or `erase`. `selected` is the number of selected nodes. `complete` is False if
    the run was interrupted. `is_whole` is True for a run of the whole cluster, and None until that is known. `revision`
    is that of the masterdir, None if it is unknown. `unmanaged` is None if the run did not look for unmanaged files.
    `groups` has the groups of each node, the most important first, without its own name and `all`.
    """

    id: str
    mode: str
    user: str
    host: str
    configuration: str
    masterdir: str
    started: datetime
    ended: datetime
    groups: Mapping[str, Sequence[str]]
    complete: bool = True
    is_whole: bool | None = None
    revision: Revision | None = None
    exit_status: int = 0
    selected: int = 0
    nodes: list[NodeRecord] = field(default_factory=list)
    stale_waivers: Sequence[StaleWaiver] = ()
    unmanaged: UnmanagedRecord | None = None

    @classmethod
    def begun(
        cls, mode: str, configuration: Path, masterdir: Path, groups: Mapping[str, Sequence[str]], selected: int = 0
    ) -> RunRecord:
        """Return the record of a run that begins now, by the user of this process."""
        now = datetime.now().astimezone()
        number = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        places = str(configuration), str(masterdir)
        return cls(number, mode, user_name(), os.uname().nodename, *places, now, now, groups, selected=selected)

    @property
    def is_restoring(self) -> bool:
        """True for a run that only puts old versions back."""
        return self.mode == RESTORE

    def node_counts(self) -> Counter[NodeEnding]:
        """Return the number of nodes for each ending, zeros included. Nodes without a result are NOT_BEGUN."""
        counts = Counter(dict.fromkeys(NodeEnding, 0))
        counts.update(node.ending for node in self.nodes)
        counts[NodeEnding.NOT_BEGUN] += max(self.selected - len(self.nodes), 0)
        return counts

    def entry_counts(self) -> dict[str, int]:
        """Return the number of entries for each status. Entries of which nothing is known are not counted."""
        counts = dict.fromkeys((status.value for status in Status), 0)
        for node in self.nodes:
            if node.error is None:
                counts[Status.OK.value] += len(node.entries) - len(node.results)
                for _, outcome in node.results:
                    counts[outcome.status.value] += 1
        return counts

    @property
    def unread(self) -> int:
        """The number of files that were not read, since their ctime was trusted."""
        return sum(node.unread for node in self.nodes)

    @property
    def everything_seen(self) -> bool:
        """True if the run came to its end and every entry of every selected node was looked at."""
        counts = self.node_counts()
        return self.complete and not any(counts[ending] for ending in _NOT_SEEN)


class Recorder:
    """A maker of node records, in which equal entries and outcomes are one object."""

    def __init__(self) -> None:
        self._names: dict[tuple[EntryName, ...], SharedList[EntryName]] = {}
        self._outcomes: dict[Outcome, Outcome] = {}

    def take(self, tests: NodeTests, result: NodeResult) -> NodeRecord:
        """Return the record of a node's result."""
        return NodeRecord(
            tests.node,
            self._entries(tests),
            tuple(
                (position, self._shared(outcome))
                for position, outcome in enumerate(result.outcomes)
                if outcome.status is not Status.OK
            ),
            result.error,
            result.duration,
            result.done,
            result.notes,
            tests.left_out,
            {p: outcome.touched for p, outcome in enumerate(result.outcomes) if outcome.touched is not None},
            result.unread,
        )

    def _shared(self, outcome: Outcome) -> Outcome:
        if outcome.touched is not None:
            outcome = replace(outcome, touched=None)
        return self._outcomes.setdefault(outcome, outcome)

    def _entries(self, tests: NodeTests) -> SharedList[EntryName]:
        """Return the entries of a node, from node ids like `CHECK::NODE::NAME`."""
        between = f"::{tests.node}::"
        parts = (nodeid.partition(between) for nodeid in tests.ids)
        key = tuple(EntryName(sys.intern(check), name) for check, _, name in parts)
        return self._names.setdefault(key, SharedList(key))
