"""`--unmanaged`: files of nodes that no entry has and that differ from what packages installed, in the reports."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

import pytest

from pytest_synctool.audit.unmanaged import Gathered, all_is_well
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import nodes_in_words
from pytest_synctool.model import NodeResult, UnmanagedFiles
from pytest_synctool.plugin.late_tests import LateTest, LateTests
from pytest_synctool.plugin.node_reports import DriftText
from pytest_synctool.report.record import UnmanagedRecord

_MOST_LINES: Final = 40  # of the summary
_MOST_DETAILS: Final = 100  # of a test
_NOT_LOOKED_AT: Final = "not looked at: its tests did not run"


class UnmanagedReport:
    """The unmanaged files of the nodes of a run, in the process that shows reports."""

    def __init__(self, directory: str, nodes: list[str], *, fails: bool = False) -> None:
        """`nodes` are all that may have a result, in their order. If it `fails`, such files fail the run."""
        self.directory = directory
        self._gathered = Gathered(nodes)
        self._left_out: dict[str, str] = {}
        self._fails = fails

    def take(self, node: str, result: NodeResult) -> None:
        """Take the result of a node. Nobody has looked at a node that is unreachable, skipped or not begun."""
        files = result.unmanaged
        if files is None:
            self._left_out[node] = _NOT_LOOKED_AT if result.error is None else result.error.text
            files = UnmanagedFiles.unknown(self._left_out[node])
        self._gathered.take(node, files)

    def record(self) -> UnmanagedRecord:
        """Return the values for the other reports."""
        gathered = self._gathered
        lines: list[tuple[Sequence[str], str]] = [(line.nodes, line.text) for line in gathered.lines()]
        for reason, nodes in gathered.errors.items():
            if asked := [node for node in nodes if node not in self._left_out]:
                lines.append((asked, f"unmanaged files: {reason}"))
        versions = list(gathered.versions())
        return UnmanagedRecord(self.directory, gathered.known, gathered.errors, versions, lines, self._fails)

    def summary(self, selected: int, *, quiet: bool, everything: bool) -> Iterator[tuple[str, bool]]:
        """Yield the lines for the summary, and True for those that are no more than a remark.

        What all nodes have in common comes last. `selected` is the number of nodes of the run. With `quiet` there are
        no remarks. With `everything` each file has a line.
        """
        lines = self._gathered.lines(everything=everything)
        known = len(self._gathered.known)
        lines.sort(key=lambda line: len(line.nodes) == known)  # the others may be left out
        most = len(lines) if everything else _MOST_LINES
        yield from ((f"UNMANAGED {self._gathered.in_words(line)}", False) for line in lines[:most])
        if len(lines) > most:
            yield f"... and {len(lines) - most:,} more lines about unmanaged files: -v, or drift.json", False
        for reason, nodes in self._gathered.errors.items():
            yield f"UNMANAGED {fold(nodes)}: unknown: {reason}", False
        if (missing := selected - len(self._gathered.taken)) > 0:
            yield f"UNMANAGED unknown on {nodes_in_words(missing)} more: the run ended before", False
        if not (lines or quiet):
            yield from ((line, True) for line in all_is_well(self._gathered.complete, os.fsencode(self.directory)))

    def tests(self) -> list[LateTest]:
        """Return a test for each node with a result. One that nobody has looked at is skipped: other tests tell why."""
        numbers = dict.fromkeys(self._gathered.taken, 0)
        details: dict[str, list[str]] = {}
        for line in self._gathered.lines():
            for node in line.nodes:
                numbers[node] += line.files
                of_node = details.setdefault(node, [])
                if len(of_node) <= _MOST_DETAILS:
                    of_node.append(line.text if len(of_node) < _MOST_DETAILS else "and more, see drift.json")
        reasons: dict[str, list[str]] = {}
        for reason, nodes in self._gathered.errors.items():
            for node in nodes:
                reasons.setdefault(node, []).append(reason)
        return [
            self._test(node, numbers[node], details.get(node, []), reasons.get(node, []))
            for node in self._gathered.taken
        ]

    def _test(self, node: str, number: int, details: list[str], reasons: list[str]) -> LateTest:
        directory = self.directory.rstrip("/")
        nodeid = f"unmanaged{directory}::{node}"
        location = (f"unmanaged{directory}", None, node)
        if (reason := self._left_out.get(node)) is not None:
            return LateTest(nodeid, location, skipped=reason)
        headline = f"{node}: {number:,} unmanaged file{'' if number == 1 else 's'} below {self.directory}"
        if reasons:
            files = [headline, *details] if number else []
            return LateTest(
                nodeid, location, error=DriftText(f"{node}: unmanaged files: {reasons[0]}", [*reasons[1:], *files])
            )
        return LateTest(nodeid, location, failure=DriftText(headline, details) if number else None)


class UnmanagedTests(LateTests):
    """A plugin that makes a test for each node, which fails if the node has unmanaged files."""

    def __init__(self, session: pytest.Session, report: UnmanagedReport) -> None:
        super().__init__(session)
        self._report = report

    def make(self) -> list[LateTest]:
        """Return the tests."""
        return self._report.tests()
