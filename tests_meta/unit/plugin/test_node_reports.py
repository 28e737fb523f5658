"""Reports of outcomes: test reports, the summary and the junit XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from xml.etree import ElementTree

import execnet
import pytest
from _pytest.junitxml import LogXML
from _pytest.terminal import TerminalReporter
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.wording import nodes_in_words
from pytest_synctool.model import OK, Change, NodeError, NodeErrorKind, NodeResult, Outcome, Skip, Status
from pytest_synctool.plugin.node_reports import is_entry, is_fixed, letter_of, pack, reports, unpack
from pytest_synctool.report.node_test_ids import NodeTests
from pytest_synctool.report.nodeids import encode
from pytest_synctool.report.summary import summary
from pytest_synctool.report.tally import Tally

from tests_meta.unit.helpers import ODD_NAMES, unreachable

SUITE = "synctool_checks/test_overlay.py"


def suite(*paths: bytes, node: str = "node1") -> NodeTests:
    """Return the tests of a node for these destinations."""
    top = f"{SUITE}::{node}"
    return NodeTests(node, top, [f"{top}::{encode(path)}" for path in paths])


DRIFT = Outcome(Status.DRIFT, "mode mismatch", ("mode: expected 0644, found 0600", "source: overlay/a._all"))
FIXED = Outcome(Status.FIXED, "created (missing)")
ERROR = Outcome(Status.ERROR, "cannot be looked at: Permission denied")
SKIPPED = Outcome(Status.SKIPPED, "not now")
WAIVED = Outcome(Status.WAIVED, "mode mismatch", waiver="being tried until 2026-12-01 (waivers.yaml:3)")

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_outcomes = st.just(OK) | st.builds(
    Outcome,
    st.sampled_from([status for status in Status if status is not Status.OK]),
    _texts,
    st.lists(_texts, max_size=3).map(tuple),
    st.lists(st.builds(Change, _texts, _texts, _texts), max_size=2).map(tuple),
    _texts,
    _texts,
    _texts,
    st.none() | st.sampled_from(Skip),
)
_errors = st.builds(NodeError, st.sampled_from(NodeErrorKind), _texts)
_lines = st.lists(_texts, max_size=3).map(tuple)
_printed = st.dictionaries(_texts, _lines, max_size=2)
_results = st.builds(
    NodeResult, st.lists(_outcomes, max_size=8).map(tuple), st.none(), st.floats(0, 100), _lines, _printed, _lines
) | st.builds(NodeResult, st.just(()), _errors, st.floats(0, 100), _lines, _printed, _lines)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (OK, [("passed", "call", False)]),
        (FIXED, [("passed", "call", True)]),
        (DRIFT, [("failed", "call", False)]),
        (ERROR, [("failed", "setup", False)]),
        (SKIPPED, [("skipped", "setup", False)]),
        (WAIVED, [("skipped", "call", False)]),
    ],
)
def test_reports_of_each_status(outcome: Outcome, expected: list[tuple[str, str, bool]]) -> None:
    made = list(reports(suite(b"/a"), NodeResult((outcome,), None, 2.0)))
    assert [(r.outcome, r.when, is_fixed(r)) for r in made] == expected
    assert {r.nodeid for r in made} == {f"{SUITE}::node1::/a"}
    assert all(is_entry(r) for r in made)
    assert made[0].duration == 2.0


def test_the_text_of_a_failure_has_the_changes_and_no_traceback() -> None:
    (report,) = reports(suite(b"/etc/a [1]::\xff"), NodeResult((DRIFT,)))
    assert report.longreprtext == (
        "node1: /etc/a [1]::\\xff mode mismatch\n  mode: expected 0644, found 0600\n  source: overlay/a._all"
    )
    assert getattr(report.longrepr, "reprcrash").message == "node1: /etc/a [1]::\\xff mode mismatch"  # noqa: B009
    (error,) = reports(suite(b"/a"), NodeResult((ERROR,)))
    assert error.longreprtext == "node1: /a cannot be looked at: Permission denied"


def test_an_unreachable_node_is_one_error_and_no_pass() -> None:
    tests = suite(b"/a", b"/b")
    made = list(reports(tests, NodeResult((), unreachable("no route"), 3.0)))
    assert [(r.nodeid, r.outcome, r.when) for r in made] == [
        (tests.nodeid, "failed", "setup"),
        (tests.ids[0], "skipped", "setup"),
        (tests.ids[1], "skipped", "setup"),
    ]
    assert made[0].longreprtext == "node1 unreachable: no route"
    assert made[1].longrepr == (SUITE, 0, "Skipped: node1 unreachable: no route")


@given(result=_results)
def test_every_test_is_reported_and_only_ok_and_fixed_pass(result: NodeResult) -> None:
    tests = suite(*(b"/%d" % number for number in range(3 if result.error else len(result.outcomes))))
    made = list(reports(tests, result))
    if result.error is not None:
        assert [r.outcome for r in made] == ["failed"] + ["skipped"] * len(tests.ids)
        return
    assert [r.nodeid for r in made] == tests.ids
    passed = {r.nodeid for r in made if r.passed and r.when == "call"}
    well = (Status.OK, Status.FIXED)
    assert passed == {i for i, o in zip(tests.ids, result.outcomes, strict=True) if o.status in well}


@given(result=_results, total=st.integers(0, 10**6))
def test_a_result_survives_the_way_from_a_worker(result: NodeResult, total: int) -> None:
    """xdist uses pytest's serialisation and then execnet's, which knows plain types only."""
    tests = suite(*(b"/\xff%d" % number for number in range(len(result.outcomes))))
    data = execnet.loads(execnet.dumps(pack(tests, result, total, 7)._to_json()))
    arrived = unpack(pytest.TestReport._from_json(data))
    assert arrived is not None
    assert (arrived.tests, arrived.result, arrived.total, arrived.nodes) == (tests, result, total, 7)
    arrived = unpack(pytest.TestReport._from_json(json.loads(json.dumps(data))))
    assert arrived is not None
    assert (arrived.tests, arrived.result, arrived.total, arrived.nodes) == (tests, result, total, 7)


def test_the_report_of_a_node_in_sync_is_small() -> None:
    """A run of 100,000 nodes sends as many of them to one controller."""
    tests = suite(*(b"/etc/service/settings-%d.conf" % number for number in range(100)))
    assert len(execnet.dumps(pack(tests, NodeResult((OK,) * 100), 100, 1)._to_json())) < 1500


def test_an_ordinary_report_holds_no_node() -> None:
    (report,) = reports(suite(b"/a"), NodeResult((OK,)))
    assert unpack(report) is None
    assert not is_entry(pack(suite(b"/a"), NodeResult((OK,)), 1, 1))


def junit(path: Path, logged: Sequence[pytest.TestReport]) -> ElementTree.Element:
    """Return the test suite that pytest's own junit writer makes of reports."""
    xml = LogXML(str(path), None, suite_name="synctool")
    xml.pytest_sessionstart()
    for report in logged:
        xml.pytest_runtest_logreport(report)
    xml.pytest_sessionfinish()
    testsuite = ElementTree.parse(path).getroot().find("testsuite")
    assert testsuite is not None
    return testsuite


def test_junit_has_every_test_once(tmp_path: Path) -> None:
    outcomes = {b"/ok": OK, b"/fixed": FIXED, b"/drift": DRIFT, b"/error": ERROR, b"/skipped": SKIPPED}
    testsuite = junit(tmp_path / "x.xml", list(reports(suite(*outcomes), NodeResult(tuple(outcomes.values())))))
    assert {k: testsuite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    cases = [(case.get("classname"), case.get("name"), [child.tag for child in case]) for case in testsuite]
    assert cases == [
        ("synctool_checks.test_overlay.node1", "/ok", []),
        ("synctool_checks.test_overlay.node1", "/fixed", []),
        ("synctool_checks.test_overlay.node1", "/drift", ["failure"]),
        ("synctool_checks.test_overlay.node1", "/error", ["error"]),
        ("synctool_checks.test_overlay.node1", "/skipped", ["skipped"]),
    ]
    (failure,) = testsuite.iter("failure")
    assert failure.get("message") == "node1: /drift mode mismatch"
    assert failure.text is not None
    assert "expected 0644, found 0600" in failure.text


def test_junit_of_an_unreachable_node(tmp_path: Path) -> None:
    testsuite = junit(tmp_path / "x.xml", list(reports(suite(b"/a", b"/b"), NodeResult((), unreachable("x")))))
    assert [testsuite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["3", "0", "1", "2"]


def test_junit_lives_through_odd_names(tmp_path: Path) -> None:
    tests = suite(*(b"/" + name for name in ODD_NAMES))
    testsuite = junit(tmp_path / "x.xml", list(reports(tests, NodeResult((DRIFT,) * len(ODD_NAMES)))))
    assert [case.get("name") for case in testsuite] == [encode(b"/" + name) for name in ODD_NAMES]
    assert testsuite.get("failures") == str(len(ODD_NAMES))


def tally(*results: tuple[str, NodeResult]) -> Tally:
    """Return a tally of nodes with these results. A node without outcomes has two tests."""
    made = Tally()
    for node, result in results:
        made.add(suite(*(b"/%d" % n for n in range(len(result.outcomes) or 2)), node=node), result)
    return made


def lines(made: Tally, *warnings: str, fixing: bool = False) -> list[str]:
    """Return the lines of a summary."""
    return [text for text, _ in summary(made, warnings, fixing=fixing)]


def test_the_same_drift_of_many_nodes_is_one_line_worst_first() -> None:
    made = tally(
        ("node3", NodeResult((DRIFT, OK))),
        ("node1", NodeResult((DRIFT, FIXED))),
        ("node2", NodeResult((DRIFT, ERROR))),
        ("web1", NodeResult((Outcome(Status.DRIFT, "missing"), OK))),
        ("node4", NodeResult((OK, OK))),
        ("node10", NodeResult((), unreachable("no route"))),
        ("node9", NodeResult((), unreachable("no route"))),
        ("node7", NodeResult((), NodeError(NodeErrorKind.BAD_ANSWER, "the node's answer is not whole"))),
    )
    assert lines(made) == [
        "ERROR node[9-10]: unreachable: no route",
        "ERROR node7: the node's answer is not whole",
        "ERROR node2: /1 cannot be looked at: Permission denied",
        "DRIFT node[1-3]: /0 mode mismatch (3 nodes)",
        "DRIFT web1: /0 missing",
        "FIXED node1: /1 created (missing)",
        "8 nodes: 1 in sync, 3 drifted, 1 with errors, 3 not looked at",
        "DRY RUN, nothing was changed. To put right what was found: pytest --lf --fix",
    ]
    assert not any("DRY RUN" in line for line in lines(made, fixing=True))
    assert made.not_looked_at == [i for n in ("node10", "node9", "node7") for i in suite(b"/0", b"/1", node=n).ids]


def test_colours() -> None:
    made = tally(("a", NodeResult((DRIFT, FIXED, ERROR))), ("b", NodeResult((), unreachable("x"))))
    colours = {text.split()[0]: colour for text, colour in summary(made, ["w"], fixing=False)}
    assert colours == {"WARNING": "yellow", "ERROR": "red", "DRIFT": "red", "FIXED": "green", "2": "", "DRY": ""}


def test_all_in_sync_is_one_line() -> None:
    assert lines(tally(("a", NodeResult((OK,))))) == ["1 node: 1 in sync"]
    assert lines(Tally()) == []
    assert lines(Tally(), "a warning") == ["WARNING a warning"]


def test_a_node_with_a_test_that_was_skipped_is_not_called_in_sync() -> None:
    """A skipped test has not passed."""
    assert not any("1 in sync" in line for line in lines(tally(("a", NodeResult((OK, SKIPPED))))))


def test_nodes_that_were_not_begun_are_listed_with_the_reason() -> None:
    reason = "not begun: 1 of 1 node failed in the batch before"
    not_begun = NodeResult((Outcome(Status.SKIPPED, reason),) * 2)
    made = tally(("node1", NodeResult((DRIFT, OK))), ("node2", not_begun), ("node3", not_begun))
    assert lines(made, fixing=True) == [
        "DRIFT node1: /0 mode mismatch",
        f"SKIPPED node[2-3]: {reason}",
        "3 nodes: 1 drifted, 2 not looked at",
        "To go on with what failed and what was not begun: the same command with --lf",
    ]
    assert made.not_looked_at == [i for n in ("node2", "node3") for i in suite(b"/0", b"/1", node=n).ids]


def test_a_long_list_is_cut_and_says_so() -> None:
    made = Tally()
    for number in range(1000):
        made.add(suite(b"/%d" % number, node=f"n{number}"), NodeResult((DRIFT,)))
    shown = lines(made, *(f"warning {number}" for number in range(30)))
    assert shown[:11] == [*(f"WARNING warning {number}" for number in range(10)), "... and 20 more warnings"]
    assert shown[51] == "... and 960 more findings, see the reports"
    assert shown[52:] == ["1000 nodes: 1000 drifted", shown[-1]]


def test_the_summary_stays_short_when_every_node_has_its_own_reason() -> None:
    """A reason may contain the name of the node, as in `ssh: Could not resolve hostname node7`."""
    reasons = ((f"n{n}", NodeResult((), unreachable(f"cannot resolve n{n}"))) for n in range(1000))
    shown = lines(tally(*reasons))
    assert len(shown) < 100
    assert shown[-1] == "1000 nodes: 1000 not looked at"


@pytest.mark.parametrize(("number", "words"), [(0, "0 nodes"), (1, "1 node"), (2, "2 nodes")])
def test_nodes_in_words(number: int, words: str) -> None:
    assert nodes_in_words(number) == words


def test_a_failure_writes_itself_to_a_terminal() -> None:
    written: list[str] = []
    (report,) = reports(suite(b"/a"), NodeResult((DRIFT,)))
    report.toterminal(cast(TerminalReporter, SimpleNamespace(line=written.append)))  # type: ignore[arg-type]
    assert written == report.longreprtext.split("\n")


@pytest.mark.parametrize(
    ("result", "letter"),
    [
        (NodeResult((OK, OK)), "."),
        (NodeResult((OK, FIXED)), "+"),
        (NodeResult((FIXED, DRIFT)), "F"),
        (NodeResult((DRIFT, ERROR)), "E"),
        (NodeResult((OK, SKIPPED)), "s"),
        (NodeResult((), unreachable("down")), "E"),
    ],
)
def test_a_node_has_one_letter_in_a_long_run(result: NodeResult, letter: str) -> None:
    tests = suite(b"/a", b"/b")
    assert [letter_of(r) for r in reports(tests, result)] == [None] * len(list(reports(tests, result)))
    first, *others = [letter_of(r) for r in reports(tests, result, brief=True)]
    assert first == letter
    assert set(others) == {""}
