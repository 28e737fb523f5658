"""`pytest --pdb`: the debugger at the first drift of a node, with the difference and a shell on the node."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from typing import Final, NoReturn

import pytest

from pytest_synctool.common.console import shown
from pytest_synctool.connection.connections import Connections
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node, NodeResult, Outcome, Status
from pytest_synctool.plugin.node_items import NodeItem
from pytest_synctool.plugin.node_reports import outcome_of, reports
from pytest_synctool.report.node_test_ids import NodeTests
from pytest_synctool.repository.entry import Entry

_LONGEST_SILENCE: Final = 60.0  # seconds
_LARGEST: Final = 1 << 20  # bytes


@dataclass(frozen=True)
class NodeShell:
    """A function of the prompt: `shell('ls -l /etc')` runs a command on the node and prints its output."""

    node: Node
    connections: Connections

    def __call__(self, command: str) -> None:
        """Run a command in a shell on the node, and print what it prints. It gets no input."""
        script = b"{\n%s\n} </dev/null 2>&1\n" % os.fsencode(command)
        try:
            with closing(self.connections.to(self.node)) as connection:
                answer = connection.run(script, _LONGEST_SILENCE, ceiling=_LARGEST)
        except TransportError as error:
            print(shown(f"{self.node.name}: {error}"))
            return
        for line in answer.stdout.decode("utf-8", "surrogateescape").splitlines():
            print(shown(line))
        if answer.status:
            print(f"(exit status {answer.status})")


def debug_drift(item: NodeItem, tests: NodeTests, result: NodeResult, connections: Connections) -> None:
    """Open the debugger at the first drift of a node, if there is one and somebody is at a terminal."""
    pairs = zip(item.checks, result.outcomes, strict=False)  # --maxfail cuts the outcomes
    first = next(((check.entry, outcome) for check, outcome in pairs if outcome.status is Status.DRIFT), None)
    report = next((each for each in reports(tests, result) if outcome_of(each).status is Status.DRIFT), None)
    if first is None or report is None:
        return
    capture = item.config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)
    try:
        if os.isatty(0):
            error = _drift(item.node, *first, connections)
            call: pytest.CallInfo[None] = pytest.CallInfo(None, error, 0.0, 0.0, 0.0, "call", _ispytest=True)
            item.ihook.pytest_exception_interact(node=item, call=call, report=report)
    finally:
        if capture is not None:
            capture.resume_global_capture()


def _drift(node: Node, entry: Entry, outcome: Outcome, connections: Connections) -> pytest.ExceptionInfo[BaseException]:
    try:
        prompt(node.name, entry, outcome, NodeShell(node, connections))
    except AssertionError:
        return pytest.ExceptionInfo.from_current()


def prompt(node: str, entry: Entry, outcome: Outcome, shell: NodeShell) -> NoReturn:
    """Fail as a test does that finds drift. The debugger opens here, with these variables."""
    expected = {change.what: change.expected for change in outcome.changes}
    actual = {change.what: change.found for change in outcome.changes}
    diff = outcome.diff
    raise AssertionError(f"{node}: {outcome.message}", entry, expected, actual, diff, shell)
