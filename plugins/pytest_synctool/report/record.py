"""What a run found, as one value that every report is made from: small where nodes are alike, whole all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.wording import printable
from pytest_synctool.model import OK, NodeError, NodeResult, Outcome, Status
from pytest_synctool.report.ending import NOTHING_KNOWN, NodeEnding, ending_of
from pytest_synctool.report.node_tests import NodeTests
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

_NOT_SEEN: Final = (*NOTHING_KNOWN, NodeEnding.ERROR, NodeEnding.NOT_BEGUN)


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

    `entries` are all its tests, one object for all nodes that have the same; `results` are outcomes other than OK, by
    the position of the entry. With `error` the node could not be looked at, and nothing is known of its entries.
    `duration` is in seconds, `done` what was changed and run there, `notes` what people should know beside.
    """

    node: str
    entries: SharedList[EntryName]
    results: tuple[tuple[int, Outcome], ...] = ()
    error: NodeError | None = None
    duration: float = 0.0
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ending(self) -> NodeEnding:
        """How the node ended."""
        outcomes = [outcome for _, outcome in self.results]
        return ending_of(self.error, [*outcomes, OK] if len(outcomes) < len(self.entries) else outcomes)

    @property
    def looked_at(self) -> int:
        """The number of entries that were not missed, 0 if nothing is known of the node."""
        if self.error is not None:
            return 0
        return len(self.entries) - sum(outcome.is_missed for _, outcome in self.results)

    @property
    def begun(self) -> bool:
        """True if the run looked at an entry of the node, or would have if the node had any."""
        return self.error is None and (self.looked_at > 0 or not self.entries)


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

    def node_counts(self) -> Counter[NodeEnding]:
        """Count the nodes by how they ended, with zeros; those without a result are not begun."""
        counts = Counter(dict.fromkeys(NodeEnding, 0))
        counts.update(node.ending for node in self.nodes)
        counts[NodeEnding.NOT_BEGUN] += max(self.selected - len(self.nodes), 0)
        return counts

    def entry_counts(self) -> dict[str, int]:
        """How many entries ended how, of the nodes that were looked at."""
        counts = dict.fromkeys((status.value for status in Status), 0)
        for node in self.nodes:
            if node.error is None:
                counts[Status.OK.value] += len(node.entries) - len(node.results)
                for _, outcome in node.results:
                    counts[outcome.status.value] += 1
        return counts

    @property
    def everything_seen(self) -> bool:
        """True if the run came to its end, and no selected node has an entry that is unknown or was missed."""
        counts = self.node_counts()
        return self.complete and not any(counts[ending] for ending in _NOT_SEEN)


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
            result.error,
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
