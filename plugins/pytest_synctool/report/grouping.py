"""Results of a run in groups, for people.

Equal results of many nodes are one group. A missing directory and all entries below it are one group too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pytest_synctool.model import NodeError, Outcome, Status
from pytest_synctool.report.record import EntryName, NodeRecord

# Words for findings, the worst first.
WORDS: Final = {Status.ERROR: "ERROR", Status.DRIFT: "DRIFT", Status.WAIVED: "WAIVED", Status.FIXED: "FIXED"}
RANKS: Final = tuple(WORDS)


@dataclass(slots=True)
class Group:
    """A finding with the nodes that have it.

    `outcome` is that of the first node. `below` is the number of missing entries below a missing directory, which the
    group stands for.
    """

    entry: EntryName
    outcome: Outcome
    below: int = 0
    nodes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The finding without its nodes: `/etc/ntp.conf file size mismatch`."""
        return text_of(self.entry, self.outcome, self.below)


def text_of(entry: EntryName, outcome: Outcome, below: int) -> str:
    """Return a finding without its nodes: `/etc/cron.d missing and 3 below it`."""
    more = f" and {below:,} below it" if below else ""
    waiver = f" ({waiver_in_words(outcome)})" if outcome.waiver else ""
    if outcome.status is Status.WAIVED and outcome.xfail is not None:
        waiver = f" (xfail: {outcome.xfail.reason})"
    return f"{entry.path} {outcome.message}{more}{waiver}"


def waiver_in_words(outcome: Outcome) -> str:
    """Return `waived: WHY`; of drift whose waiver has expired: `waiver expired on DAY: WHY`."""
    return f"{'waived:' if outcome.status is Status.WAIVED else 'waiver'} {outcome.waiver}"


def grouped(nodes: Iterable[NodeRecord]) -> list[Group]:
    """Return all findings but the skipped ones, the worst first, then those of most nodes."""
    groups: dict[tuple[EntryName, Status, str, str, int], Group] = {}
    for node in nodes:
        for entry, outcome, below in findings_of(node):
            key = (entry, outcome.status, outcome.message, outcome.waiver, below)
            group = groups.get(key)
            if group is None:
                group = groups[key] = Group(entry, outcome, below)
            group.nodes.append(node.node)
    return sorted(groups.values(), key=lambda g: (RANKS.index(g.outcome.status), -len(g.nodes), g.entry.path))


def node_errors(nodes: Iterable[NodeRecord]) -> list[tuple[NodeError, list[str]]]:
    """Group the nodes of which nothing is known by their error, the error of most nodes first."""
    by_error: dict[NodeError, list[str]] = {}
    for node in nodes:
        if node.error is not None:
            by_error.setdefault(node.error, []).append(node.node)
    return sorted(by_error.items(), key=lambda item: (-len(item[1]), item[0].text))


def of_most_nodes_first(nodes_by_text: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    """Sort texts with the nodes that they are about: the text about most nodes first."""
    return sorted(nodes_by_text.items(), key=lambda item: (-len(item[1]), item[0]))


def findings_of(node: NodeRecord) -> Iterator[tuple[EntryName, Outcome, int]]:
    """Yield the findings of a node, each with the number of missing entries below it that it stands for."""
    if not node.results:
        return
    listed: list[tuple[EntryName, Outcome]] = []
    below: dict[int, int] = {}
    tops: dict[_Top, int] = {}
    for position, outcome in node.results:
        if outcome.status not in RANKS:
            continue
        entry = node.entries[position]
        if outcome.is_missing and not outcome.has_remark:
            top = _top(tops, entry, outcome)
            if top is not None:
                below[top] = below.get(top, 0) + 1
                continue
            tops[entry.check, outcome.status, outcome.waiver, entry.name] = len(listed)
        listed.append((entry, outcome))
    for number, (entry, outcome) in enumerate(listed):
        yield entry, outcome, below.get(number, 0)


_Top = tuple[str, Status, str, str]  # check, status, waiver, name of the entry


def _top(tops: Mapping[_Top, int], entry: EntryName, outcome: Outcome) -> int | None:
    """Return the number of the directory above an entry that is missing too; parents come before their contents."""
    if not tops:
        return None
    parts = entry.name.split("/")
    for length in range(2, len(parts)):
        top = tops.get((entry.check, outcome.status, outcome.waiver, "/".join(parts[:length])))
        if top is not None:
            return top
    return None
