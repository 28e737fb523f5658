"""What a run found, as one value that every report is made from: small where nodes are alike, whole all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.wording import printable
from pytest_synctool.model import NOT_KEPT, NOT_RUN, NodeResult, Outcome, Status
from pytest_synctool.report.node_tests import NodeTests, reason
from pytest_synctool.report.nodeids import decode

# The built-in checks, by the end of their test file's name, and what they are about.
_SUITE: Final = "synctool_checks/test_"
_TASKS: Final = "tasks"
_TASK: Final = "task"
_OWN: Final = "check"
# What is run because it was asked for: nothing is compared, and nothing put right.
_RUN: Final = (_TASK, "always")
_COMMANDS: Final = (*_RUN, "post")

# The mode of a run that puts old versions back, which looks for nothing else.
RESTORE: Final = "restore"

# From good to bad: a node is as its worst entry.
_RANKS: Final = (Status.OK, Status.SKIPPED, Status.FIXED, Status.WAIVED, Status.DRIFT, Status.ERROR)

_NODE_WORDS: Final = {
    Status.OK: "in_sync",
    Status.FIXED: "fixed",
    Status.WAIVED: "waived",
    Status.DRIFT: "drifted",
    Status.ERROR: "error",
    Status.SKIPPED: "not_begun",
}
NODE_WORDS: Final = (*_NODE_WORDS.values(), "unreachable")


@dataclass(frozen=True, slots=True)
class EntryName:
    """A test of a node: the check (`synctool_checks/test_overlay.py`), and the last part of its node id."""

    check: str
    name: str

    @property
    def kind(self) -> str:
        """`overlay`, `delete`, `post`, `task` or `always`; `check` for a site's own."""
        if not self.check.startswith(_SUITE):
            return _OWN
        word = self.check.removeprefix(_SUITE).removesuffix(".py")
        return _TASK if word == _TASKS else word

    @property
    def is_run(self) -> bool:
        """Whether it is a command that is run because it was asked for, rather than a state or what is owed."""
        return self.kind in _RUN

    @property
    def is_command(self) -> bool:
        """Whether it is about a command, rather than about the state of a path."""
        return self.kind in _COMMANDS

    @property
    def path(self) -> str:
        """The destination, printable; of an owed command with its kind in front (`post:/etc/ntp.conf`)."""
        return printable(decode(self.name))


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What became of a node.

    `entries` are all its tests, one object for all nodes that have the same; `found` are outcomes other than OK, by the
    position of the entry. With `error` the node could not be looked at, and nothing is known of its entries. `duration`
    is in seconds, `done` what was changed and run there, `notes` what people should know beside.
    """

    node: str
    entries: SharedList[EntryName]
    found: tuple[tuple[int, Outcome], ...] = ()
    error: str | None = None
    duration: float = 0.0
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """That of its worst entry; ERROR where it could not be looked at, SKIPPED if nothing was done there at all."""
        if self.error is not None:
            return Status.ERROR
        if self.begun:
            found = (outcome.status for _, outcome in self.found if outcome not in (NOT_RUN, NOT_KEPT))
            return max(found, key=_RANKS.index, default=Status.OK)
        return Status.SKIPPED

    @property
    def begun(self) -> bool:
        """Whether anything was looked at there: a batch before it may have failed."""
        if self.error is not None:
            return False
        skipped = [outcome for _, outcome in self.found if outcome.status is Status.SKIPPED]
        return len(skipped) < len(self.entries) or all(outcome in (NOT_RUN, NOT_KEPT) for outcome in skipped)

    @property
    def word(self) -> str:
        """How it ended, one of NODE_WORDS."""
        if self.error is not None:
            return "unreachable" if self.error.startswith("unreachable") else "error"
        return _NODE_WORDS[self.status]


@dataclass(frozen=True, slots=True)
class StaleWaiver:
    """A waiver that accepts nothing any more: `waivers.yaml:12`, the nodes that it is about, and what to do."""

    place: str
    nodes: tuple[str, ...]
    message: str


@dataclass
class RunRecord:
    """A run. `nodes` are those that have a result, in the order of the configuration once the run is over.

    `mode` is `audit`, `fix` or `restore`. `selected` is how many nodes were to be looked at, `complete` whether the run
    came to its end. `groups` has the groups of each node, the most important first, without its own name and `all`.
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
    exit_status: int = 0
    selected: int = 0
    nodes: list[NodeRecord] = field(default_factory=list)
    stale_waivers: Sequence[StaleWaiver] = ()

    @property
    def is_restoring(self) -> bool:
        """Whether it only puts old versions back."""
        return self.mode == RESTORE

    def node_counts(self) -> dict[str, int]:
        """How many nodes ended how; those without a result are not begun."""
        counts = dict.fromkeys(NODE_WORDS, 0)
        for node in self.nodes:
            counts[node.word] += 1
        counts["not_begun"] += max(self.selected - len(self.nodes), 0)
        return counts

    def entry_counts(self) -> dict[str, int]:
        """How many entries ended how, of the nodes that were looked at."""
        counts = dict.fromkeys((status.value for status in Status), 0)
        for node in self.nodes:
            if node.error is None:
                counts[Status.OK.value] += len(node.entries) - len(node.found)
                for _, outcome in node.found:
                    counts[outcome.status.value] += 1
        return counts

    @property
    def everything_seen(self) -> bool:
        """Whether every selected node could be looked at, and every entry there: else the run says nothing of it."""
        counts = self.node_counts()
        return self.complete and not counts["unreachable"] + counts["error"] + counts["not_begun"]


class Recorder:
    """Makes records of results; what nodes have in common is one object."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], SharedList[EntryName]] = {}
        self._outcomes: dict[Outcome, Outcome] = {}

    def take(self, tests: NodeTests, result: NodeResult) -> NodeRecord:
        """Take up the result of a node; it is returned as it is kept."""
        return NodeRecord(
            tests.node,
            self._entries(tests),
            tuple(
                (position, self._outcomes.setdefault(outcome, outcome))
                for position, outcome in enumerate(result.outcomes)
                if outcome.status is not Status.OK
            ),
            None if result.error is None else reason(tests.node, result.error),
            result.duration,
            result.done,
            result.notes,
        )

    def _entries(self, tests: NodeTests) -> SharedList[EntryName]:
        """The entries of a node. Node ids are `CHECK::NODE::NAME`."""
        between = f"::{tests.node}::"
        key = tuple(nodeid.replace(between, "\0", 1) for nodeid in tests.ids)
        if key not in self._names:
            parts = (k.partition("\0") for k in key)
            self._names[key] = SharedList(EntryName(check, name) for check, _, name in parts)
        return self._names[key]
