"""The junit report: the plugin completes the test cases that pytest's own writer makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import pytest
from _pytest.config import PytestPluginManager
from _pytest.junitxml import LogXML
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.model import OK, NodeResult, Outcome, Status
from pytest_synctool.plugin import junit
from pytest_synctool.plugin.node_reports import reports
from pytest_synctool.plugin.report_files import ReportFiles
from pytest_synctool.report.node_test_ids import NodeTests


def cases(outcomes: Sequence[Outcome], path: Path) -> list[ElementTree.Element]:
    """Return the test cases of a node with these outcomes."""
    kept = written(outcomes, LogXML(str(path / "junit.xml"), None))
    return [ElementTree.fromstring(case) if isinstance(case, str) else case.to_xml() for case in kept]


def written(outcomes: Sequence[Outcome], writer: LogXML) -> Sequence[Any]:
    """Return what pytest's writer keeps of a node with these outcomes."""
    manager = PytestPluginManager()
    files = cast(ReportFiles, None)  # only the end of a run needs them
    manager.register(junit.JunitFile.of(writer, files, {}))
    ids = [f"synctool_checks/test_overlay.py::node1::/{number}" for number in range(len(outcomes))]
    tests = NodeTests("node1", "synctool_checks/test_overlay.py::node1", ids)
    for report in reports(tests, NodeResult(tuple(outcomes))):
        manager.hook.pytest_runtest_logreport(report=report)
    return writer.node_reporters_ordered


@pytest.mark.parametrize("status", [Status.DRIFT, Status.ERROR, Status.FIXED])
def test_all_diffs_together_are_bounded(status: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit.JunitFile, "_left", 25)
    outcomes = [Outcome(status, "mode mismatch", diff=f"+{letter * 9}") for letter in "abcd"]
    texts = ["".join(case.itertext()) for case in cases([*outcomes, Outcome(status, "mode mismatch")], tmp_path)]
    assert ["+aaaaaaaaa" in texts[0], "+bbbbbbbbb" in texts[1]] == [True, True]
    assert ["see drift.json" in text for text in texts] == [False, False, True, True, False]
    assert not any(letter * 9 in text for text in texts for letter in "cd")


def test_a_small_diff_still_fits_behind_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit.JunitFile, "_left", 25)
    texts = [
        "".join(case.itertext())
        for case in cases(
            [Outcome(Status.DRIFT, "x", diff="+" * 30), Outcome(Status.DRIFT, "x", diff="+abc")], tmp_path
        )
    ]
    assert ["see drift.json" in text for text in texts] == [True, False]


def test_a_passed_test_takes_little_memory_and_has_the_element_that_pytest_makes(tmp_path: Path) -> None:
    """A node may have 50,000 of them, and they stay until the end of the run."""
    writer = LogXML(str(tmp_path / "junit.xml"), None, family="xunit2")
    outcomes = [OK, Outcome(Status.DRIFT, "mode mismatch"), Outcome(Status.FIXED, "mode mismatch"), OK]
    kept = written(outcomes, writer)
    assert [isinstance(case, str) for case in kept] == [True, False, True, True]
    assert (len(writer.node_reporters), writer.stats["passed"]) == (0, 3)
    ids = [f"synctool_checks/test_overlay.py::node1::/{number}" for number in (0, 3)]
    plain = LogXML(str(tmp_path / "junit.xml"), None, family="xunit2")
    for report in reports(NodeTests("node1", "node1", ids), NodeResult((OK, OK))):
        plain.pytest_runtest_logreport(report)
    same = [ElementTree.tostring(case.to_xml(), encoding="unicode") for case in plain.node_reporters_ordered]
    assert [kept[0], kept[3]] == same


@given(*[st.text(st.characters(exclude_categories=["Cs"]))] * 3, st.lists(st.tuples(st.just("groups"), st.text())))
def test_a_passed_test_is_written_as_elements_are(
    name: str, file: str, output: str, properties: list[tuple[str, str]]
) -> None:
    attributes = {"classname": "check.node1", "name": name, **({"file": file} if file else {})}
    case = ElementTree.Element("testcase", attributes, time="0.001")
    if properties:
        above = ElementTree.SubElement(case, "properties")
        for key, value in properties:
            ElementTree.SubElement(above, "property", name=key, value=value)
    if output:
        ElementTree.SubElement(case, "system-out").text = output
    same = ElementTree.tostring(case, encoding="unicode")
    assert junit.passed_case(("check.node1", name), "0.001", file, properties, output) == same


def test_a_fixed_test_has_its_properties_and_what_was_done(tmp_path: Path) -> None:
    fixed = Outcome(Status.FIXED, "mode mismatch", ("0600 to 0644",), source="overlay/0._all", diff="-a\n+b")
    case, bare = written([fixed, OK], LogXML(str(tmp_path / "junit.xml"), None))
    assert case == (
        '<testcase classname="synctool_checks.test_overlay.node1" name="/0" file="overlay/0._all" time="0.000">'
        '<properties><property name="groups" value="" /><property name="status" value="fixed" /></properties>'
        "<system-out>mode mismatch\n0600 to 0644\n-a\n+b</system-out></testcase>"
    )
    assert ' file="synctool_checks/test_overlay.py" ' in bare


def test_a_failure_is_complete_without_a_teardown(tmp_path: Path) -> None:
    """pytest's writer searches all failures that are open."""
    writer = LogXML(str(tmp_path / "junit.xml"), None, logging="all")
    (kept,) = written([Outcome(Status.DRIFT, "mode mismatch")], writer)
    assert (writer.open_reports, writer.node_reporters) == ([], {})
    assert [node.tag for node in kept.to_xml()] == ["properties", "failure", "system-out", "system-err"]
