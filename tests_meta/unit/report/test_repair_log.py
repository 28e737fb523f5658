"""The lines of a repair's log."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.model import OK, NodeResult, Outcome, Status
from pytest_synctool.report.node_test_ids import NodeTests
from pytest_synctool.report.nodeids import encode
from pytest_synctool.report.repair_log import RepairCounts, events, stamped

from tests_meta.unit.helpers import unreachable

WHEN = datetime(2026, 11, 22, 3, 14, 15, 926535, timezone(timedelta(hours=1)))
STAMP = "2026-11-22T03:14:15+01:00"


def suite(*paths: bytes) -> NodeTests:
    """Return the tests of node3 for these destinations."""
    return NodeTests("node3", "suite.py::node3", [f"suite.py::node3::{encode(path)}" for path in paths])


def lines(tests: NodeTests, result: NodeResult, when: datetime) -> list[str]:
    """Return the log lines of one node."""
    return [stamped(text, when) for text in events(tests, result)]


def test_changes_come_first_and_failures_after_them() -> None:
    outcomes = (
        Outcome(Status.FIXED, "updated (file size mismatch), ran overlay/etc/xinetd.d/identd.post"),
        Outcome(Status.DRIFT, "missing, not fixed: No space left on device", ("source: overlay/etc/x._all",)),
        Outcome(Status.ERROR, "cannot be looked at: Permission denied"),
        OK,
    )
    done = (
        "/etc/xinetd.d/identd updated (file size mismatch)",
        "running command $masterdir/overlay/etc/xinetd.d/identd.post",
    )
    tests = suite(b"/etc/xinetd.d/identd", b"/etc/x", b"/etc/y [1]::\n", b"/etc/z")
    assert lines(tests, NodeResult(outcomes, None, 1.0, done), WHEN) == [
        f"{STAMP} node3: /etc/xinetd.d/identd updated (file size mismatch)",
        f"{STAMP} node3: running command $masterdir/overlay/etc/xinetd.d/identd.post",
        f"{STAMP} node3: /etc/x FAILED missing, not fixed: No space left on device",
        f"{STAMP} node3: /etc/y [1]::\\n FAILED cannot be looked at: Permission denied",
    ]


def test_a_node_without_a_result() -> None:
    gone = NodeResult((), unreachable("Connection refused"), 1.0, ("/a created (missing)",))
    assert lines(suite(b"/a"), gone, WHEN) == [
        f"{STAMP} node3: /a created (missing)",
        f"{STAMP} node3: unreachable: Connection refused",
    ]
    left = NodeResult((Outcome(Status.SKIPPED, "not begun: 1 of 1 node failed in the batch before"),) * 2)
    assert lines(suite(b"/a", b"/b"), left, WHEN) == [
        f"{STAMP} node3: not begun: 1 of 1 node failed in the batch before"
    ]


def test_a_node_in_sync_has_no_line() -> None:
    assert lines(suite(b"/a"), NodeResult((OK,)), WHEN) == []


@given(text=st.text(), when=st.datetimes(timezones=st.just(UTC)))
def test_any_text_is_one_printable_line(text: str, when: datetime) -> None:
    line = stamped(text, when)
    assert line.isprintable()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 ", line)
    assert not text.isprintable() or line.endswith(f" {text}")


def test_counts_of_the_last_line() -> None:
    counts = RepairCounts()
    assert str(counts) == "0 fixed, 0 failed"
    counts.add(NodeResult((Outcome(Status.FIXED), Outcome(Status.FIXED), Outcome(Status.DRIFT), OK)))
    counts.add(NodeResult((Outcome(Status.ERROR),)))
    assert str(counts) == "2 fixed, 2 failed"
    counts.add(NodeResult((), unreachable("x")))
    counts.add(NodeResult((Outcome(Status.SKIPPED, "not begun"),)))
    counts.add(NodeResult((Outcome(Status.SKIPPED, "not begun"),)))
    assert str(counts) == "2 fixed, 2 failed, 1 node not looked at, 2 nodes not begun"
