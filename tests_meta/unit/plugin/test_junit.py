"""The junit report: the plugin completes the test cases that pytest's own writer makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from _pytest.config import PytestPluginManager
from _pytest.junitxml import LogXML
from pytest_synctool.model import NodeResult, Outcome, Status
from pytest_synctool.plugin import junit
from pytest_synctool.plugin.node_reports import reports
from pytest_synctool.report.node_test_ids import NodeTests


def cases(outcomes: Sequence[Outcome], path: Path) -> list[ElementTree.Element]:
    """Return the test cases of a node with these outcomes."""
    writer = LogXML(str(path / "junit.xml"), None)
    manager = PytestPluginManager()
    manager.register(writer)
    manager.register(junit.JunitTestCases(writer, {}))
    ids = [f"synctool_checks/test_overlay.py::node1::/{number}" for number in range(len(outcomes))]
    tests = NodeTests("node1", "synctool_checks/test_overlay.py::node1", ids)
    for report in reports(tests, NodeResult(tuple(outcomes))):
        manager.hook.pytest_runtest_logreport(report=report)
    return [reporter.to_xml() for reporter in writer.node_reporters_ordered]


@pytest.mark.parametrize("status", [Status.DRIFT, Status.ERROR, Status.FIXED])
def test_all_diffs_together_are_bounded(status: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "_MOST_OF_DIFFS", 25)
    outcomes = [Outcome(status, "mode mismatch", diff=f"+{letter * 9}") for letter in "abcd"]
    texts = ["".join(case.itertext()) for case in cases([*outcomes, Outcome(status, "mode mismatch")], tmp_path)]
    assert ["+aaaaaaaaa" in texts[0], "+bbbbbbbbb" in texts[1]] == [True, True]
    assert ["see drift.json" in text for text in texts] == [False, False, True, True, False]
    assert not any(letter * 9 in text for text in texts for letter in "cd")


def test_a_small_diff_still_fits_behind_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "_MOST_OF_DIFFS", 25)
    texts = [
        "".join(case.itertext())
        for case in cases(
            [Outcome(Status.DRIFT, "x", diff="+" * 30), Outcome(Status.DRIFT, "x", diff="+abc")], tmp_path
        )
    ]
    assert ["see drift.json" in text for text in texts] == [True, False]
