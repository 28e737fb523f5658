"""The findings of a run, counted and grouped for the summary at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pytest_synctool.model import NodeResult, Skip, Status
from pytest_synctool.report.ending import NodeEnding
from pytest_synctool.report.grouping import findings_of, text_of
from pytest_synctool.report.node_test_ids import NodeTests
from pytest_synctool.report.record import NodeRecord, Recorder


@dataclass
class Tally:
    """The numbers of nodes by ending, and the findings: (status, text), each with the nodes that have it.

    `node_errors` has the nodes of which nothing is known, by error, and `not_begun` the nodes that were not begun, by
    reason. `not_looked_at` has the ids of the tests of both. `notes` are lines that people should know, with the nodes
    that they are about. `durations` are in seconds. `failures` is the number of failed entries plus the number of nodes
    of which nothing is known. `diffs` has the differences in contents of a finding, with the nodes, and `printed` what
    the commands of one that is fixed printed. `restoring` is True in a run that puts old
    versions back, or that lists them in `restorable`: texts, each with its nodes. `unread` is the number of files that
    were not read, since their ctime was trusted.
    """

    restoring: bool = False
    endings: Counter[NodeEnding] = field(default_factory=Counter)
    node_errors: dict[str, list[str]] = field(default_factory=dict)
    not_begun: dict[str, list[str]] = field(default_factory=dict)
    not_looked_at: list[str] = field(default_factory=list)
    findings: dict[tuple[Status, str], list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    failures: int = 0
    diffs: dict[tuple[Status, str], dict[str, list[str]]] = field(default_factory=dict)
    printed: dict[tuple[Status, str], dict[tuple[str, ...], list[str]]] = field(default_factory=dict)
    restorable: dict[str, list[str]] = field(default_factory=dict)
    unread: int = 0
    _recorder: Recorder = field(default_factory=Recorder)

    @property
    def nodes(self) -> int:
        """The number of nodes with a result."""
        return self.endings.total()

    def add(self, tests: NodeTests, result: NodeResult) -> NodeRecord:
        """Count the result of one node; return its record, for the reports."""
        record = self._recorder.take(tests, result)
        ending = record.ending
        self.endings[ending] += 1
        self.durations[tests.node] = result.duration
        self.unread += result.unread
        for note in result.notes:
            self.notes.setdefault(note, []).append(tests.node)
        if result.error is not None:
            self.failures += 1
            self.node_errors.setdefault(result.error.text, []).append(tests.node)
        elif ending is NodeEnding.NOT_BEGUN:
            reason = next(outcome.message for outcome in result.outcomes if outcome.is_missed)
            self.not_begun.setdefault(reason, []).append(tests.node)
        if not ending.is_looked_at:
            self.not_looked_at.extend(tests.tests)
        self._add_findings(record)
        return record

    def _add_findings(self, record: NodeRecord) -> None:
        self.failures += sum(outcome.status in (Status.DRIFT, Status.ERROR) for _, outcome in record.results)
        for position, outcome in record.results if self.restoring else ():
            if outcome.skip is Skip.NOT_RESTORED:
                text = text_of(record.entries[position], outcome, 0)
                self.restorable.setdefault(text, []).append(record.node)
        for entry, outcome, below in findings_of(record):
            finding = (outcome.status, text_of(entry, outcome, below))
            self.findings.setdefault(finding, []).append(record.node)
            if outcome.status is Status.FIXED and outcome.details:
                self.printed.setdefault(finding, {}).setdefault(outcome.details, []).append(record.node)
            if outcome.diff:
                self.diffs.setdefault(finding, {}).setdefault(outcome.diff, []).append(record.node)
