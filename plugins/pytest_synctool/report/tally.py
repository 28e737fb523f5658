"""What a run found, counted and grouped for the summary at its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_synctool.model import Status
from pytest_synctool.report.nodetests import NodeTests, reason, shown_destination
from pytest_synctool.session import NOT_KEPT, NOT_RUN, NodeResult


@dataclass
class Tally:
    """Nodes by how they ended, and findings: (status, text) with the nodes that have them.

    `unreachable` and `not_begun` have nodes by the reason, `not_looked_at` the ids of their tests. `notes` are what
    people should know beside, with the nodes that it is about. `nothing_kept` counts nodes that had nothing to restore.
    `durations` are in seconds.
    """

    in_sync: int = 0
    nothing_kept: int = 0
    unreachable: dict[str, list[str]] = field(default_factory=dict)
    not_begun: dict[str, list[str]] = field(default_factory=dict)
    not_looked_at: list[str] = field(default_factory=list)
    drifted: set[str] = field(default_factory=set)
    fixed: set[str] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)
    findings: dict[tuple[Status, str], list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)

    @property
    def nodes(self) -> int:
        """How many nodes were tested."""
        return self.in_sync + self.nothing_kept + self.left + len(self.drifted | self.fixed | self.errors)

    @property
    def left(self) -> int:
        """How many nodes were not looked at, whether they could not be or were not begun."""
        return sum(len(nodes) for nodes in (*self.unreachable.values(), *self.not_begun.values()))

    @property
    def failures(self) -> int:
        """How many entries have failed, and nodes could not be looked at."""
        failed = (n for (status, _), n in self.findings.items() if status in (Status.DRIFT, Status.ERROR))
        return sum(map(len, (*failed, *self.unreachable.values())))

    def add(self, tests: NodeTests, result: NodeResult) -> None:
        """Take up the result of one node."""
        self.durations[tests.node] = result.duration
        for note in result.notes:
            self.notes.setdefault(note, []).append(tests.node)
        if result.error is not None:
            self.unreachable.setdefault(reason(tests.node, result.error), []).append(tests.node)
            self.not_looked_at.extend(tests.tests)
            return
        if result.outcomes and all(outcome == NOT_RUN for outcome in result.outcomes):
            return  # tasks alone, in a dry run: there was nothing to look at
        if result.outcomes and all(outcome == NOT_KEPT for outcome in result.outcomes):
            self.nothing_kept += 1
            return
        if result.outcomes and all(outcome.status is Status.SKIPPED for outcome in result.outcomes):
            self.not_begun.setdefault(result.outcomes[0].message, []).append(tests.node)
            self.not_looked_at.extend(tests.tests)
            return
        by_status = {Status.DRIFT: self.drifted, Status.FIXED: self.fixed, Status.ERROR: self.errors}
        clean = True
        for nodeid, outcome in zip(tests.ids, result.outcomes, strict=True):
            clean = clean and (outcome.status is Status.OK or outcome == NOT_RUN)
            if outcome.status in by_status:
                by_status[outcome.status].add(tests.node)
                text = f"{shown_destination(nodeid)} {outcome.message}"
                self.findings.setdefault((outcome.status, text), []).append(tests.node)
        self.in_sync += clean
