"""The outcome of a repaired entry."""

from __future__ import annotations

from dataclasses import fields

from pytest_synctool.model import Change, Outcome, Skip, Status, Touched, Xfail


def test_what_is_fixed_says_all_else_that_its_drift_said() -> None:
    change = Change("mode", "0644", "0600")
    touched, xfail = Touched(1, 2), Xfail("why")
    drift = Outcome(
        *(Status.DRIFT, "mode 0600 -> 0644", ("source: a",), (change,), "a", "-b", "until", Skip.MARKED),
        *(False, xfail, True, touched),
    )
    fixed = drift.fixed("mode set", ("more",), has_remark=True)
    assert (fixed.status, fixed.message, fixed.details) == (Status.FIXED, "mode set", ("more",))
    assert fixed.has_remark
    others = {field.name for field in fields(Outcome)} - {"status", "message", "details", "has_remark"}
    for name in others:
        assert getattr(fixed, name) == getattr(drift, name) != getattr(Outcome(Status.OK), name)
