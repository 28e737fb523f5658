"""Sessions with waived drift: audits report it, and repairs leave it alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest
from pytest_synctool.audit import owed_commands, probe
from pytest_synctool.audit.check import Check
from pytest_synctool.audit.compare import compare_owed
from pytest_synctool.model import ABSENT, Absent, Change, FileState, Kind, Outcome, Status
from pytest_synctool.report.ending import NodeEnding, ending_of_result
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.entry_commands import Command
from pytest_synctool.repository.source import Tree

from tests_meta.unit.fake_node import FakeNode, States, run, same
from tests_meta.unit.helpers import entry, state
from tests_meta.unit.repository.test_waivers import LATER, in_force, waiver

D, A, B = entry(b"/d", state(Kind.DIRECTORY, mode=0o755)), entry(b"/d/a", state()), entry(b"/b", state())
GONE = entry(b"/gone", tree=Tree.DELETE)


def not_owed(one: Entry, actual: FileState | Absent) -> list[Change]:
    """Check a command as the built-in suite does."""
    del one
    return compare_owed(actual)


def test_an_audit_reports_waived_drift() -> None:
    fake = FakeNode({b"/b": state(mode=0), b"/gone": state()})
    waivers = in_force(waiver("/b", LATER) + waiver("/gone", LATER))
    result = run(fake, GONE, D, B, waivers=waivers)
    assert [o.status for o in result.outcomes] == [Status.WAIVED, Status.DRIFT, Status.WAIVED]
    assert not ending_of_result(result).is_good
    assert ending_of_result(run(FakeNode({b"/b": state(mode=0)}), B, waivers=waivers)) is NodeEnding.WAIVED


def test_a_repair_does_not_touch_waived_drift() -> None:
    fake = FakeNode({b"/b": state(mode=0), b"/gone": state()})
    result = run(fake, GONE, B, fix=True, waivers=in_force(waiver("/*", LATER)))
    assert [o.status for o in result.outcomes] == [Status.WAIVED, Status.WAIVED]
    assert fake.log == ["probe"]


def test_drift_with_an_expired_waiver_is_repaired() -> None:
    def repair(states: States) -> bytes:
        states[b"/b"] = state()
        return b"ok 0\nend\n"

    fake = FakeNode({b"/b": state(mode=0)}, repair)
    (outcome,) = run(fake, B, fix=True, waivers=in_force(waiver("/b", date(2020, 1, 1)))).outcomes
    assert outcome.status is Status.FIXED


def test_an_unknown_path_is_an_error() -> None:
    fake = FakeNode({}, unknown={b"/b": "Permission denied"})
    (outcome,) = run(fake, B, waivers=in_force(waiver("/b", LATER))).outcomes
    assert outcome == Outcome(Status.ERROR, "cannot be looked at: Permission denied")


@pytest.mark.parametrize("selected", [(D, A), (A,)], ids=["both", "child"])
def test_nothing_is_put_into_a_directory_that_is_missing_under_a_waiver(selected: Sequence[Entry]) -> None:
    """This holds whether the directory was selected or not: a repair would have to make it first."""
    fake = FakeNode({})
    checks = [Check(each, same) for each in selected]
    *_, outcome = run(
        fake,
        *selected,
        fix=True,
        checks=checks,
        waivers=in_force(waiver("/d", LATER)),
        others=[D] if D not in selected else [],
    ).outcomes
    assert (outcome.status, outcome.message) == (
        Status.DRIFT,
        "missing, left alone: /d is missing, which waivers.yaml:1 waives",
    )
    assert fake.log == ["probe"] * (3 - len(selected))


def test_a_directory_whose_mode_is_waived_gets_its_files() -> None:
    def repair(states: States) -> bytes:
        states[b"/d/a"] = state()
        return b"ok 0\nend\n"

    fake = FakeNode({b"/d": state(Kind.DIRECTORY, mode=0o700)}, repair)
    outcomes = run(fake, D, A, fix=True, waivers=in_force(waiver("/d", LATER))).outcomes
    assert [o.status for o in outcomes] == [Status.WAIVED, Status.FIXED]


def test_a_link_is_not_replaced_while_drift_behind_it_is_waived() -> None:
    """Replacing the link would remove the waived state."""
    kept = replace(D, attributes=Attributes(follow=False))
    fake = FakeNode({b"/d": state(Kind.LINK), b"/d/a": state(mode=0)})
    link, inner = run(fake, kept, A, fix=True, waivers=in_force(waiver("/d/a", LATER))).outcomes
    assert link.message == ("type mismatch, left alone: /d/a is found through it, whose drift waivers.yaml:1 waives")
    assert inner.status is Status.WAIVED
    assert fake.log == ["probe"]


def test_an_owed_command_runs_and_is_reported_even_if_its_entry_is_left_alone() -> None:
    owed = owed_commands.owed(b"/master", b"/d", "post")

    def repair(states: States) -> bytes:
        del states[owed]
        return b"ok 0\nend\n"

    kept = replace(D, attributes=Attributes(follow=False), trigger=b"overlay/d.post")
    fake = FakeNode({b"/d": state(Kind.LINK), b"/d/a": state(mode=0), owed: state()}, repair)
    fake.requests.append(probe.Request(owed, expected=ABSENT))
    checks = [Check(kept, not_owed, Command("post", b"overlay/d.post")), Check(kept, same), Check(A, same)]
    command, link, _ = run(fake, kept, A, fix=True, checks=checks, waivers=in_force(waiver("/d/a", LATER))).outcomes
    assert (command.status, command.message) == (Status.FIXED, "ran overlay/d.post (owed)")
    assert "left alone" in link.message
