"""What a run found, counted and grouped for the summary at its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_synctool.model import NOT_KEPT, NOT_RUN, NodeResult, Status
from pytest_synctool.report.grouping import findings_of, text_of
from pytest_synctool.report.node_tests import NodeTests, reason
from pytest_synctool.report.record import NodeRecord, Recorder


@dataclass
class Tally:
    """Nodes by how they ended, and findings: (status, text) with the nodes that have them.

    `unreachable` and `not_begun` have nodes by the reason, `not_looked_at` the ids of their tests. `notes` are what
    people should know beside, with the nodes that it is about. `nothing_kept` counts nodes that had nothing to restore.
    `durations` are in seconds. `failures` counts entries that have failed, and nodes that could not be looked at. Of a
    finding, `diffs` has what differs in contents, with the nodes.
    """

    in_sync: int = 0
    nothing_kept: int = 0
    unreachable: dict[str, list[str]] = field(default_factory=dict)
    not_begun: dict[str, list[str]] = field(default_factory=dict)
    not_looked_at: list[str] = field(default_factory=list)
    drifted: set[str] = field(default_factory=set)
    fixed: set[str] = field(default_factory=set)
    waived: set[str] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)
    findings: dict[tuple[Status, str], list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    failures: int = 0
    diffs: dict[tuple[Status, str], dict[str, list[str]]] = field(default_factory=dict)
    _recorder: Recorder = field(default_factory=Recorder)

    @property
    def nodes(self) -> int:
        """How many nodes were tested."""
        return self.in_sync + self.nothing_kept + self.left + len(self.drifted | self.fixed | self.errors | self.waived)

    @property
    def left(self) -> int:
        """How many nodes were not looked at, whether they could not be or were not begun."""
        return sum(len(nodes) for nodes in (*self.unreachable.values(), *self.not_begun.values()))

    def add(self, tests: NodeTests, result: NodeResult) -> NodeRecord:
        """Take up the result of one node; it is returned as reports keep it."""
        record = self._recorder.take(tests, result)
        self._add(tests, result, record)
        return record

    def _add(self, tests: NodeTests, result: NodeResult, record: NodeRecord) -> None:
        self.durations[tests.node] = result.duration
        for note in result.notes:
            self.notes.setdefault(note, []).append(tests.node)
        if result.error is not None:
            self.failures += 1
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
        by_status = {
            Status.DRIFT: self.drifted,
            Status.FIXED: self.fixed,
            Status.ERROR: self.errors,
            Status.WAIVED: self.waived,
        }
        clean = True
        for outcome in result.outcomes:
            clean = clean and (outcome.status is Status.OK or outcome == NOT_RUN)
            self.failures += outcome.status in (Status.DRIFT, Status.ERROR)
            if outcome.status in by_status:
                by_status[outcome.status].add(tests.node)
        for entry, outcome, below in findings_of(record):
            text = text_of(entry, outcome, below)
            self.findings.setdefault((outcome.status, text), []).append(tests.node)
            if outcome.diff:
                self.diffs.setdefault((outcome.status, text), {}).setdefault(outcome.diff, []).append(tests.node)
        self.in_sync += clean
