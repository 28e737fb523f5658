"""The reports of ordinary tests: setup, mostly call, and teardown of each test, with times and keywords."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, cast

import pytest

from pytest_synctool.model import NodeResult, Outcome, Status
from pytest_synctool.plugin.node_reports import outcome_of, reports
from pytest_synctool.report.node_test_ids import NodeTests

Phases = tuple[pytest.TestReport, ...]

_ORDINARY: Final = "synctool_ordinary"
_SEPARATORS: Final = re.compile(r"::|/")


def is_ordinary(report: pytest.TestReport) -> bool:
    """Return True if this module made the report."""
    return hasattr(report, _ORDINARY)


def ordinary_tests(tests: NodeTests, result: NodeResult, groups: Sequence[str], end: float) -> Iterator[Phases]:
    """Yield the phases of each test of a node.

    `groups` are the groups of the node. Its work ended at `end`, in seconds since 1970. An error of the node has no
    test of its own here: the first test fails with it, and the others are skipped.
    """
    start = end - result.duration
    for main in _mains(tests, result):
        yield _phases(main, [tests.node, *groups], start)
        start += main.duration


def _mains(tests: NodeTests, result: NodeResult) -> Iterator[pytest.TestReport]:
    """Yield the report of each test that has its outcome."""
    mains = reports(tests, result)
    if result.error is not None:
        failure = next(mains)
        if failure.nodeid not in tests.tests:
            skipped = next(mains, failure)
            failure.nodeid, failure.location = skipped.nodeid, skipped.location
        yield failure
    yield from mains


def _phases(main: pytest.TestReport, names: Sequence[str], start: float) -> Phases:
    words = (*_SEPARATORS.split(main.nodeid), *names, main.location[2])
    keywords: dict[str, Literal[1]] = {word: 1 for word in words if word}
    path, _, name = main.location
    outcome = outcome_of(main)
    fixed = [("Captured stdout call", _text(outcome))] if outcome.status is Status.FIXED else []

    def report(when: Literal["setup", "call", "teardown"], begin: float, **result: Any) -> pytest.TestReport:
        result = {"outcome": "passed", "longrepr": None, "duration": 0.0, **result}
        end = begin + result["duration"]
        made = pytest.TestReport(main.nodeid, (path, 0, name), keywords, when=when, start=begin, stop=end, **result)
        vars(made)[_ORDINARY] = True
        return made

    when = cast(Literal["setup", "call"], main.when)
    result = report(when, start, outcome=main.outcome, longrepr=main.longrepr, duration=main.duration, sections=fixed)
    if hasattr(main, "wasxfail"):
        vars(result)["wasxfail"] = main.wasxfail
    before = () if when == "setup" else (report("setup", start),)
    return (*before, result, report("teardown", result.stop))


def _text(outcome: Outcome) -> str:
    diff = [outcome.diff] if outcome.diff else []
    return "\n".join((f"fixed: {outcome.message}", *outcome.details, *diff))
