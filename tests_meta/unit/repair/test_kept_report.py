"""The report that a repair keeps on its node: whatever it says, it is parsed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.model import OK, Outcome, Status
from pytest_synctool.repair.apply import Applied
from pytest_synctool.repair.kept_report import LONGEST, MOST_REPORTS, KeptReport, is_under_way, parse
from pytest_synctool.repair.plan import Plan, Trigger
from pytest_synctool.repository.entry_commands import Command

from tests_meta.unit.fake_node import FakeNode, States, run
from tests_meta.unit.helpers import entry, state

WORDS = [b"synctool-report", b"synctool-report-end", b"by ", b"by me", b"step 1 x", b"ok 1", b"failed 1 why", b"end"]


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=20))).map(b"\n".join))
def test_any_bytes(answer: bytes) -> None:
    for report in parse(answer):
        assert all("\n" not in line for line in (*report.notes(), *report.done()))
    is_under_way(answer)


def test_two_repairs_one_of_them_in_parts() -> None:
    shown = (
        b"synctool-report\nby a\nstep 0 one\nstep 1 two\nok 0\nruns 1\nfailed 1 exit status 3\nend\nby b\nstep 0 x\n"
    )
    one, two = parse(b"noise\n" + shown + b"by b\nstep 1 y\nok 1\n\nsynctool-report-end\n")
    assert list(one.notes()) == [
        "an earlier --fix went on without its controller (a): 1 done, 1 failed",
        "the earlier --fix failed: two: exit status 3",
    ]
    assert list(one.done()) == ["one (by an earlier --fix)"]
    assert (two.by, two.steps, two.is_whole) == ("b", {"y": None}, False)


@pytest.mark.parametrize(
    ("scripts", "is_whole"),
    [
        ([b"ok 0\nunplaced\n"], False),
        ([b"ok 0\nunplaced\n", b"ok 1\n"], False),
        ([b"ok 0\nunplaced\n", b"ok 1\nend\n"], True),
        ([b"ok 1\nend\n", b"ok 0\nunplaced\n"], True),  # reports come in any order
        ([b"ok 0\n", b"ok 1\nend\n"], False),
    ],
)
def test_one_whose_second_script_did_not_end(scripts: list[bytes], is_whole: bool) -> None:
    shown = b"".join(b"by a\nstep 0 x\nstep 1 y\n" + script for script in scripts)
    (report,) = parse(b"synctool-report\n" + shown + b"synctool-report-end\n")
    assert report.is_whole is is_whole


def test_one_that_is_cut_off_is_none() -> None:
    assert parse(b"synctool-report\nby a\nstep 0 one\nok 0\n") == []
    assert KeptReport("a").steps == {}


def test_what_another_repair_has_put_right_is_in_sync() -> None:
    """That the lock was held is no drift of it."""

    def put_right(states: States) -> bytes:
        states[b"/f"] = state()
        return b"refused another --fix is under way there: anna\n"

    result = run(FakeNode({}, put_right), entry(b"/f", state()), entry(b"/g", state()), fix=True)
    assert [outcome.status for outcome in result.outcomes] == [Status.OK, Status.DRIFT]


def test_what_does_not_fit_is_no_interruption() -> None:
    shown = b"synctool-report\nby a\nstep 0 one\nok 0\n" + b"x" * LONGEST + b"\nsynctool-report-end\n"
    (report,) = parse(shown)
    assert list(report.notes()) == [
        "an earlier --fix went on without its controller (a): 1 done, 0 failed, and more: its report is too long"
    ]


def test_of_many_reports_some_are_left_for_the_next_run() -> None:
    each = b"".join(b"by %d\nstep 0 x\nok 0\nend\n" % number for number in range(MOST_REPORTS + 5))
    reports = parse(b"synctool-report\n" + each + b"synctool-report-end\n")
    assert [report.by for report in reports] == [str(number) for number in range(MOST_REPORTS)]
    assert all(report.is_whole and list(report.steps) == ["x"] for report in reports)


def test_of_many_failures_some_are_named() -> None:
    steps = b"".join(b"step %d /f%d\nfailed %d why\n" % (number, number, number) for number in range(50))
    (report,) = parse(b"synctool-report\nby a\n" + steps + b"end\nsynctool-report-end\n")
    notes = list(report.notes())
    assert len(notes) < 30
    assert notes[-1] == "30 more steps of the earlier --fix failed"


def test_an_owed_command_that_another_repair_has_run_is_in_sync() -> None:
    """That this run was refused is no drift, and this run has not run it."""
    command = Command("post", b"f.post")
    applied = Applied(Plan((), (Trigger(b"/f", command, b"/", frozenset(), owed=True),)), [""], refused={0})
    after = applied.run_late(b"/f", command, Outcome(Status.DRIFT, "owed"), OK, ())
    assert after == OK
