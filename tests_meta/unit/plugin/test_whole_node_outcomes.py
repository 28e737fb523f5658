"""Whole nodes as tests: pure code between results and reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.check import AuditBinding, Check
from pytest_synctool.model import NOT_KEPT, NOT_RUN, OK, NodeResult, Outcome, Status
from pytest_synctool.plugin.durations import durations_of_nodes
from pytest_synctool.plugin.last_audit import LastAudit
from pytest_synctool.plugin.node_reports import cut, is_fixed, pack, reports, unpack
from pytest_synctool.report.node_test_ids import NodeTests, Whole

from tests_meta.unit.fake_node import same
from tests_meta.unit.helpers import ODD_NAMES, entry, state, unreachable
from tests_meta.unit.plugin.test_node_reports import DRIFT, ERROR, FIXED, SKIPPED, junit, suite

DELETE = "synctool_checks/test_delete.py::node1"
OVERLAY = "synctool_checks/test_overlay.py::node1"


def whole(*sizes: int) -> NodeTests:
    """Return the tests of a node. Each stands for as many entries as its size."""
    names = [DELETE, OVERLAY][: len(sizes)]
    ids = [f"{name}::/{number}" for name, size in zip(names, sizes, strict=True) for number in range(size)]
    return NodeTests("node1", DELETE, ids, tuple(map(Whole, names, sizes)))


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((OK, OK), ("passed", "call", False)),
        ((OK, FIXED), ("passed", "call", True)),
        ((FIXED, NOT_KEPT), ("passed", "call", True)),
        ((NOT_KEPT, NOT_KEPT), ("skipped", "setup", False)),
        ((OK, NOT_RUN), ("passed", "call", False)),
        ((FIXED, SKIPPED), ("skipped", "setup", False)),
        ((OK, SKIPPED), ("skipped", "setup", False)),
        ((FIXED, DRIFT), ("failed", "call", False)),
        ((DRIFT, ERROR), ("failed", "setup", False)),
        ((SKIPPED, ERROR), ("failed", "setup", False)),
    ],
)
def test_the_worst_entry_decides(outcomes: tuple[Outcome, ...], expected: tuple[str, str, bool]) -> None:
    (report,) = reports(whole(2), NodeResult(outcomes, None, 3.0))
    assert (report.outcome, report.when, is_fixed(report)) == expected
    assert (report.nodeid, report.duration) == (DELETE, 3.0)


@given(st.lists(st.sampled_from([OK, FIXED, DRIFT, ERROR, SKIPPED]), min_size=2, max_size=9), st.integers(1, 8))
def test_no_error_or_drift_is_ever_a_pass(outcomes: list[Outcome], first: int) -> None:
    sizes = (min(first, len(outcomes) - 1), max(len(outcomes) - first, 1))
    made = list(reports(whole(*sizes), NodeResult(tuple(outcomes), None, 6.0)))
    assert [r.nodeid for r in made] == [DELETE, OVERLAY]
    assert sum(r.duration for r in made) == pytest.approx(6.0)
    for report, part in zip(made, (outcomes[: sizes[0]], outcomes[sizes[0] :]), strict=True):
        assert report.failed == bool({Status.DRIFT, Status.ERROR} & {outcome.status for outcome in part})


def test_the_text_lists_every_entry_that_failed() -> None:
    (report,) = reports(whole(3), NodeResult((DRIFT, OK, FIXED)))
    assert report.longreprtext == (
        "node1: 1 drifted, 1 fixed of 3: /0 mode mismatch\n"
        "  /0 mode mismatch\n    mode: expected 0644, found 0600\n    source: overlay/a._all"
    )
    (report,) = reports(whole(2), NodeResult((DRIFT, ERROR)))
    assert report.longreprtext.startswith(
        "node1: 1 with errors, 1 drifted of 2: /1 cannot be looked at: Permission denied; /0 mode mismatch\n"
    )


def test_a_long_text_is_cut_and_says_so() -> None:
    (report,) = reports(whole(150), NodeResult((DRIFT,) * 150))
    lines = report.longreprtext.splitlines()
    assert lines[0].endswith("; and 147 more")
    assert len(lines) == 1 + 3 * 100 + 1
    assert lines[-1] == "  ... and 50 more, listed with --granularity=entry"
    long = NodeTests("node1", DELETE, [f"{DELETE}::/{'n' * 400}"], (Whole(DELETE, 1),))
    (report,) = reports(long, NodeResult((DRIFT,)))
    assert len(report.longreprtext.splitlines()[0]) == len("node1: ") + 300


def test_an_unreachable_node_is_one_failure_and_a_skip_per_other_test() -> None:
    made = reports(whole(2, 5), NodeResult((), unreachable("x"), 2.0))
    assert [(r.nodeid, r.outcome) for r in made] == [(DELETE, "failed"), (OVERLAY, "skipped")]


def test_junit_of_whole_nodes_lives_through_odd_names(tmp_path: Path) -> None:
    tests = suite(*(b"/" + name for name in ODD_NAMES))
    tests = NodeTests(tests.node, tests.nodeid, tests.ids, (Whole(tests.nodeid, len(ODD_NAMES)),))
    (case,) = junit(tmp_path / "x.xml", list(reports(tests, NodeResult((DRIFT,) * len(ODD_NAMES)))))
    assert (case.get("classname"), case.get("name")) == ("synctool_checks.test_overlay", "node1")
    assert "\n" not in (case[0].get("message") or "\n")


def test_whole_nodes_survive_the_way_from_a_worker() -> None:
    tests, result = whole(1, 2), NodeResult((OK, DRIFT, ERROR))
    data = json.loads(json.dumps(pack(tests, result, 20, 10)._to_json()))
    arrived = unpack(pytest.TestReport._from_json(data))
    assert arrived is not None
    assert (arrived.tests, arrived.result, arrived.total, arrived.nodes) == (tests, result, 20, 10)


@pytest.mark.parametrize(("failures", "sizes"), [(1, (2,)), (2, (2, 2)), (3, (2, 2))])
def test_maxfail_counts_nodes(failures: int, sizes: tuple[int, ...]) -> None:
    tests, result = cut(whole(2, 2), NodeResult((DRIFT, DRIFT, OK, ERROR)), failures)
    assert tests == whole(*sizes)
    assert len(result.outcomes) == sum(sizes)


def test_the_last_audit_of_a_whole_node() -> None:
    """An entry has drift, has none, or is unknown. All entries of a node that was not audited are unknown."""
    audit = LastAudit({f"{DELETE}::/0": "missing"}, {DELETE: [f"{DELETE}::/2"]}, failed={OVERLAY})
    checks = audit.of(whole(3, 1), [Check(entry(b"/a", state()), same)] * 4)
    none = AuditBinding.NONE
    assert [check.audited for check in checks] == ["missing", AuditBinding.IN_SYNC, none, none]


def test_the_list_of_durations_has_nodes_and_entries_get_theirs_back() -> None:
    (report,) = reports(suite(b"/a"), NodeResult((DRIFT,), None, 2.0))
    stats: dict[str, list[object]] = {"failed": [report]}
    with durations_of_nodes(stats, {"node1": 2.0, "node2": 3.0}, 1):
        assert not hasattr(report, "duration")
        assert [(d.duration, d.when, d.nodeid) for d in stats[""]] == [(3.0, "node", "node2")]  # type: ignore[attr-defined]
    assert (stats, report.duration) == ({"failed": [report]}, 2.0)
    with durations_of_nodes(stats, {"node1": 2.0}, None):
        assert report.duration == 2.0
