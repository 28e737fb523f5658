"""Whole nodes as tests, and how far a run is: pure code between results and reports."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from _pytest._io import TerminalWriter
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.check import Check, LastAudit
from pytest_synctool.model import OK, NodeResult, Outcome, Status
from pytest_synctool.plugin import live_line
from pytest_synctool.plugin.durations import durations_of_nodes
from pytest_synctool.plugin.last_audit import Audited
from pytest_synctool.plugin.live_line import LiveLine, is_watched
from pytest_synctool.plugin.node_reports import cut, is_fixed, pack, reports, unpack
from pytest_synctool.report.node_tests import NodeTests, Whole
from pytest_synctool.report.progress import Progress

from tests_meta.unit.fake_node import same
from tests_meta.unit.helpers import ODD_NAMES, entry, state
from tests_meta.unit.plugin.test_node_reports import DRIFT, ERROR, FIXED, SKIPPED, junit, suite

DELETE = "synctool_checks/test_delete.py::node1"
OVERLAY = "synctool_checks/test_overlay.py::node1"


def whole(*sizes: int) -> NodeTests:
    """The tests of a node: the first stands for so many entries, the second for so many."""
    names = [DELETE, OVERLAY][: len(sizes)]
    ids = [f"{name}::/{number}" for name, size in zip(names, sizes, strict=True) for number in range(size)]
    return NodeTests("node1", DELETE, ids, tuple(map(Whole, names, sizes)))


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((OK, OK), ("passed", "call", False)),
        ((OK, FIXED), ("passed", "call", True)),
        ((FIXED, SKIPPED), ("passed", "call", True)),
        ((OK, SKIPPED), ("skipped", "setup", False)),
        ((FIXED, DRIFT), ("failed", "call", False)),
        ((DRIFT, ERROR), ("failed", "setup", False)),
        ((SKIPPED, ERROR), ("failed", "setup", False)),
    ],
)
def test_the_worst_entry_decides(outcomes: tuple[Outcome, ...], expected: tuple[str, str, bool]) -> None:
    found = [r for r in reports(whole(2), NodeResult(outcomes, None, 3.0)) if r.when != "teardown"]
    assert [(r.outcome, r.when, is_fixed(r)) for r in found] == [expected]
    assert [(r.nodeid, r.duration) for r in found] == [(DELETE, 3.0)]


@given(st.lists(st.sampled_from([OK, FIXED, DRIFT, ERROR, SKIPPED]), min_size=2, max_size=9), st.integers(1, 8))
def test_no_error_or_drift_is_ever_a_pass(outcomes: list[Outcome], first: int) -> None:
    sizes = (min(first, len(outcomes) - 1), max(len(outcomes) - first, 1))
    found = [r for r in reports(whole(*sizes), NodeResult(tuple(outcomes), None, 6.0)) if r.when != "teardown"]
    assert [r.nodeid for r in found] == [DELETE, OVERLAY]
    assert sum(r.duration for r in found) == pytest.approx(6.0)
    for report, part in zip(found, (outcomes[: sizes[0]], outcomes[sizes[0] :]), strict=True):
        assert report.failed == bool({Status.DRIFT, Status.ERROR} & {outcome.status for outcome in part})


def test_the_text_lists_every_entry_that_failed() -> None:
    (report, _) = reports(whole(3), NodeResult((DRIFT, OK, FIXED)))
    assert report.longreprtext == (
        "node1: 1 drifted, 1 fixed of 3: /0 mode mismatch\n"
        "  /0 mode mismatch\n    mode: expected 0644, found 0600\n    source: overlay/a._all"
    )
    (report,) = reports(whole(2), NodeResult((DRIFT, ERROR)))
    assert report.longreprtext.startswith(
        "node1: 1 with errors, 1 drifted of 2: /1 cannot be looked at: Permission denied; /0 mode mismatch\n"
    )


def test_a_long_text_is_cut_and_says_so() -> None:
    (report, _) = reports(whole(150), NodeResult((DRIFT,) * 150))
    lines = report.longreprtext.splitlines()
    assert lines[0].endswith("; and 147 more")
    assert len(lines) == 1 + 3 * 100 + 1
    assert lines[-1] == "  ... and 50 more, which --granularity=entry tells"
    long = NodeTests("node1", DELETE, [f"{DELETE}::/{'n' * 400}"], (Whole(DELETE, 1),))
    (report, _) = reports(long, NodeResult((DRIFT,)))
    assert len(report.longreprtext.splitlines()[0]) == len("node1: ") + 300


def test_a_node_that_could_not_be_looked_at() -> None:
    found = list(reports(whole(2, 5), NodeResult((), "node1 unreachable: x", 2.0)))
    assert [(r.nodeid, r.outcome) for r in found] == [(DELETE, "failed"), (OVERLAY, "skipped")]


def test_junit_of_whole_nodes_lives_through_odd_names(tmp_path: Path) -> None:
    tests = suite(*(b"/" + name for name in ODD_NAMES))
    tests = NodeTests(tests.node, tests.nodeid, tests.ids, (Whole(tests.nodeid, len(ODD_NAMES)),))
    found = junit(tmp_path / "x.xml", list(reports(tests, NodeResult((DRIFT,) * len(ODD_NAMES)))))
    (case,) = found
    assert (case.get("classname"), case.get("name")) == ("synctool_checks.test_overlay", "node1")
    assert "\n" not in (case[0].get("message") or "\n")


def test_whole_nodes_survive_the_way_from_a_worker() -> None:
    tests, result = whole(1, 2), NodeResult((OK, DRIFT, ERROR))
    data = json.loads(json.dumps(pack(tests, result, 20, 10)._to_json()))
    arrived = unpack(pytest.TestReport._from_json(data))
    assert arrived is not None
    assert (arrived.tests, arrived.result, arrived.total, arrived.nodes) == (tests, result, 20, 10)


@pytest.mark.parametrize(("failures", "left"), [(1, (2,)), (2, (2, 2)), (3, (2, 2))])
def test_maxfail_counts_nodes(failures: int, left: tuple[int, ...]) -> None:
    tests, result = cut(whole(2, 2), NodeResult((DRIFT, DRIFT, OK, ERROR)), failures)
    assert tests == whole(*left)
    assert len(result.outcomes) == sum(left)


def test_what_an_audit_has_found_of_a_whole_node() -> None:
    """A finding, nothing, or nothing known; of a node that it has not seen nothing is known at all."""
    audited = Audited({f"{DELETE}::/0": "missing"}, {DELETE: [f"{DELETE}::/2"]})
    checks = audited.of(whole(3, 1), [Check(entry(b"/a", state()), same)] * 4)
    assert [check.audited for check in checks] == [
        "missing",
        LastAudit.IN_SYNC,
        LastAudit.NOT_BINDING,
        LastAudit.NOT_BINDING,
    ]


def progress(*results: NodeResult, **out: float) -> Progress:
    """A progress over 1,200 nodes with these results, and nodes that are out since."""
    made = Progress(1200, out=dict(out))
    for result in results:
        made.take(result)
    return made


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (progress(), "synctool: 0 of 1,200 nodes"),
        (progress(NodeResult((DRIFT, DRIFT))), "synctool: 1 of 1,200 nodes, 1 drifted"),
        (
            progress(NodeResult((), "x"), NodeResult((DRIFT, ERROR)), NodeResult((FIXED,)), NodeResult((OK,))),
            "synctool: 4 of 1,200 nodes, 1 drifted, 1 with errors, 1 fixed, 1 unreachable",
        ),
        (progress(node7=90, node8=10, node9=30), "synctool: 0 of 1,200 nodes; out for 90 s: node[7-9]"),
        (progress(node7=100, node8=98.5), "synctool: 0 of 1,200 nodes"),
    ],
)
def test_the_line_of_progress(made: Progress, line: str) -> None:
    assert made.line(100, 80) == line


@given(st.integers(0, 100))
def test_the_line_of_progress_keeps_to_the_width(width: int) -> None:
    made = progress(**{f"n{number * number}": 0.0 for number in range(60)})
    assert len(made.line(50, width)) <= max(width, 3)


def test_only_the_slowest_are_named() -> None:
    made = progress(**{f"n{number}": float(number) for number in range(50)})
    assert made.line(100, 80).endswith("; out for 100 s: n[0-4]")


class Reporter:
    """The part of pytest's terminal reporter that decides."""

    def __init__(self, verbosity: int = 0, tty: bool = True) -> None:
        self.verbosity = verbosity
        self.isatty = lambda: tty


@pytest.mark.parametrize(
    ("reporter", "environment", "watched"),
    [
        (Reporter(), {"TERM": "xterm"}, True),
        (Reporter(1), {"TERM": "xterm", "CI": ""}, True),
        (Reporter(-1), {"TERM": "xterm"}, False),
        (Reporter(tty=False), {"TERM": "xterm"}, False),
        (Reporter(), {"TERM": "dumb"}, False),
        (Reporter(), {}, False),
        (Reporter(), {"TERM": "xterm", "CI": "1"}, False),
        (Reporter(), {"TERM": "xterm", "BUILD_NUMBER": "7"}, False),
        (None, {"TERM": "xterm"}, False),
    ],
)
def test_who_is_watching(reporter: Reporter | None, environment: dict[str, str], watched: bool) -> None:
    assert is_watched(reporter, environment) is watched


def test_the_line_gives_way_to_what_pytest_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below its line, and gone before it writes on; the second text waits for a while."""
    monkeypatch.setattr(live_line, "_AFTER", 0.0)
    file = io.StringIO()
    writer = TerminalWriter(file)
    live = LiveLine(writer)
    live.progress.total = 3
    writer.write("..")
    live.show()
    live.progress.done = 1
    live.show()
    writer.write(".")
    live.close()
    writer.write("\n")
    assert file.getvalue() == "..\n\rsynctool: 0 of 3 nodes\x1b[K\r\x1b[K\x1b[A\x1b[2C.\n"


def test_durations_are_given_back() -> None:
    """What pytest's list finds, and what there is before and after it."""
    (report, _) = reports(suite(b"/a"), NodeResult((DRIFT,), None, 2.0))
    stats: dict[str, list[object]] = {"failed": [report]}
    with durations_of_nodes(stats, {"node1": 2.0, "node2": 3.0}, 1):
        assert not hasattr(report, "duration")
        assert [(d.duration, d.when, d.nodeid) for d in stats[""]] == [(3.0, "node", "node2")]  # type: ignore[attr-defined]
    assert (stats, report.duration) == ({"failed": [report]}, 2.0)
    with durations_of_nodes(stats, {"node1": 2.0}, None):
        assert report.duration == 2.0
