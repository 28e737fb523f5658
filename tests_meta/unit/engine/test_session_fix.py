"""One node with --fix: probe, push, repair, probe again; only what the second probe confirms is FIXED."""

from __future__ import annotations

from threading import Event
from typing import Any
from unittest.mock import Mock

import pytest
from pytest_synctool.audit.check import AuditBinding, Check
from pytest_synctool.audit.inspection import Inspection
from pytest_synctool.connection.processes import Answer
from pytest_synctool.errors import TransportError
from pytest_synctool.model import OK, Change, Kind, Outcome, Status
from pytest_synctool.repair import apply
from pytest_synctool.repair.script import script
from pytest_synctool.repository.source import Tree

from tests_meta.unit.fake_node import FakeMirror, FakeNode, States, run, same
from tests_meta.unit.helpers import entry, state, unreachable

A, B = entry(b"/a", state()), entry(b"/b", state(mode=0o600))
DRIFT, FIXED = Status.DRIFT, Status.FIXED


def everything(fake_states: States) -> bytes:
    """A repair of /a that works."""
    fake_states[b"/a"] = state()
    return b"ok 0\nend\n"


class TestFix:
    """With --fix: probe, push, repair, probe again; only what the second probe confirms is FIXED."""

    def test_fixed(self) -> None:
        fake = FakeNode({b"/b": state(mode=0o600)}, everything)
        result = run(fake, A, B, fix=True)
        details = ("missing: expected file, found nothing", "source: overlay/a._all")
        assert result.outcomes == (
            Outcome(
                Status.FIXED, "created (missing)", details, (Change("missing", "file", "nothing"),), "overlay/a._all"
            ),
            OK,
        )
        assert fake.log == ["probe", "push overlay/a._all overlay/b._all", "repair", "probe"]

    def test_the_controller_works_while_the_node_is_busy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It determines the files during the first probe and makes the repair's script during the push."""
        determined, made, asked = Event(), Event(), Mock(wraps=Inspection._requests)
        push = FakeMirror.push

        def making(*arguments: Any) -> bytes:
            text = script(*arguments)
            made.set()
            return text

        class Node(FakeNode):
            def run(self, *arguments: Any) -> Answer:
                assert determined.wait(60)
                return super().run(*arguments)

        monkeypatch.setattr(Inspection, "_requests", lambda *arguments: asked(*arguments))
        monkeypatch.setattr(FakeMirror, "prepare", lambda _: determined.set())
        monkeypatch.setattr(FakeMirror, "push", lambda *call: push(*call) if made.wait(60) else ["no script"])
        monkeypatch.setattr(apply, "script", making)
        fake = Node({}, everything)
        result = run(fake, A, fix=True)
        assert (result.outcomes[0].status, result.notes) == (FIXED, ())
        assert fake.log == ["probe", "push overlay/a._all", "repair", "probe"]
        assert asked.call_count == 1

    def test_gone_after_the_repair(self) -> None:
        fake = FakeNode({}, everything, broken={3: TransportError("Connection reset")})
        result = run(fake, A, fix=True)
        assert (result.outcomes, result.error) == ((), unreachable("Connection reset"))

    def test_nothing_to_fix_is_one_probe(self) -> None:
        fake = FakeNode({b"/a": state()})
        assert run(fake, A, fix=True).outcomes == (OK,)
        assert fake.log == ["probe"]

    def test_without_need_for_the_mirror_or_on_a_shared_one_nothing_is_pushed(self) -> None:
        def repair(states: States) -> bytes:
            states[b"/b"] = state(mode=0o600)
            return b"ok 0\nend\n"

        fake = FakeNode({b"/b": state(mode=0o644)}, repair)
        assert [o.status for o in run(fake, B, fix=True).outcomes] == [Status.FIXED]
        assert fake.log == ["probe", "repair", "probe"]
        fake = FakeNode({}, everything)
        assert [o.status for o in run(fake, A, fix=True, rsync=False).outcomes] == [Status.FIXED]
        assert fake.log == ["probe", "repair", "probe"]

    def test_success_that_the_second_probe_does_not_see_is_not_fixed(self) -> None:
        fake = FakeNode({}, lambda states: b"ok 0\nend\n")
        (outcome,) = run(fake, A, fix=True).outcomes
        assert (outcome.status, outcome.message) == (DRIFT, "missing")
        assert fake.log.count("probe") == 2
        assert (outcome.is_missing, outcome.has_remark) == (True, False)

    def test_another_difference_than_before_is_told(self) -> None:
        def repair(states: States) -> bytes:
            states[b"/a"] = state(mode=0)
            return b"ok 0\nend\n"

        (outcome,) = run(FakeNode({}, repair), A, fix=True).outcomes
        assert outcome.status is DRIFT
        assert outcome.message.startswith("mode 0000 -> 0644, not fixed: it was set and has not stayed")

    def test_a_failure_is_told_with_its_reason(self) -> None:
        fake = FakeNode({}, lambda states: b"failed 0 cp: no space left\nend\n")
        (outcome,) = run(fake, A, fix=True).outcomes
        assert (outcome.status, outcome.message) == (DRIFT, "missing, not fixed: cp: no space left")
        assert (outcome.is_missing, outcome.has_remark) == (True, True)

    def test_what_cannot_be_seen_any_more_is_an_error(self) -> None:
        fake = FakeNode({})

        def repair(states: States) -> bytes:
            fake.unknown[b"/a"] = "Stale file handle"
            return b"ok 0\nend\n"

        fake.repair = repair
        (outcome,) = run(fake, A, fix=True).outcomes
        assert outcome == Outcome(Status.ERROR, "cannot be looked at: Stale file handle")

    def test_something_that_was_well_before_is_not_passed_over(self) -> None:
        """A trigger may break what was in sync."""

        def repair(states: States) -> bytes:
            states[b"/b"] = state(mode=0)
            return everything(states)

        fixed, broken = run(FakeNode({b"/b": state(mode=0o600)}, repair), A, B, fix=True).outcomes
        assert (fixed.status, broken.status) == (Status.FIXED, DRIFT)

    def test_a_push_that_fails_repairs_nothing(self) -> None:
        fake = FakeNode({})

        fake.unpushable = TransportError("rsync is not installed on the node")
        (outcome,) = run(fake, A, fix=True).outcomes
        assert outcome.message == "missing, not fixed: rsync is not installed on the node"
        assert fake.log == ["probe", "probe"]

    @pytest.mark.parametrize("works", [True, False])
    def test_a_repair_that_breaks_off_is_fixed_only_as_far_as_is_seen(self, works: bool) -> None:
        def repair(states: States) -> bytes:
            if works:
                everything(states)
            return b"ok 0\n"

        (outcome,) = run(FakeNode({}, repair), A, fix=True).outcomes
        expected = "missing, not fixed: the repair did not come to its end"
        assert (outcome.status, outcome.message) == ((FIXED, "created (missing)") if works else (DRIFT, expected))

    @pytest.mark.parametrize("works", [True, False])
    def test_a_connection_lost_in_the_repair(self, works: bool) -> None:
        """Some of it may have been done: the second probe tells."""
        fake = FakeNode({}, everything if works else lambda states: b"", broken={2: TransportError("no answer")})
        (outcome,) = run(fake, A, fix=True).outcomes
        expected = "missing, not fixed: no answer"
        assert (outcome.status, outcome.message) == ((FIXED, "created (missing)") if works else (DRIFT, expected))

    def test_an_error_is_not_repaired(self) -> None:
        fake = FakeNode({}, everything, unknown={b"/b": "Permission denied"})
        fixed, unknown = run(fake, A, B, fix=True).outcomes
        assert (fixed.status, unknown.status) == (Status.FIXED, Status.ERROR)

    def test_a_directory_that_must_not_exist_stays_drift(self) -> None:
        fake = FakeNode({b"/d": state(Kind.DIRECTORY)})
        (outcome,) = run(fake, entry(b"/d", tree=Tree.DELETE), fix=True).outcomes
        assert outcome.status is DRIFT
        assert fake.log == ["probe"]

    def test_repairs_over_narrow_connections_keep_to_the_limit(self) -> None:
        """`script_limit` is the longest script that a connection takes, a repair's included."""
        entries = [entry(b"/directory/file number %d" % n, state()) for n in range(200)]

        def repair(states: States) -> bytes:
            states.update({one.destination: state() for one in entries})
            return b"".join(b"ok %d\n" % n for n in range(200)) + b"end\n"

        fake = FakeNode({}, repair, script_limit=60_000)
        assert {o.status for o in run(fake, *entries, fix=True).outcomes} == {Status.FIXED}
        assert fake.pieces > 2


class TestAudited:
    """What an audit found is put right, and nothing else."""

    @staticmethod
    def checks(**audited: str) -> list[Check]:
        return [
            Check(one, same, audited=audited.get(one.destination[1:].decode(), AuditBinding.NONE)) for one in (A, B)
        ]

    def test_the_same_finding_is_repaired(self) -> None:
        fake = FakeNode({b"/b": state(mode=0o600)}, everything)
        assert run(fake, A, B, fix=True, checks=self.checks(a="missing")).outcomes[0].status is Status.FIXED

    def test_another_finding_is_not(self) -> None:
        fake = FakeNode({b"/b": state(mode=0o600)})
        first, second = run(fake, A, B, fix=True, checks=self.checks(a="mode 0600 -> 0644")).outcomes
        message = "changed since the audit: was mode 0600 -> 0644, is missing; look again before --fix"
        assert (first.status, first.message) == (DRIFT, message)
        assert second == OK
        assert fake.log == ["probe"]

    def test_others_of_the_node_are_repaired(self) -> None:
        fake = FakeNode({b"/b": state(mode=0)}, everything)
        first, second = run(fake, A, B, fix=True, checks=self.checks(a="missing", b="missing")).outcomes
        assert first.status is Status.FIXED
        assert second.message == "changed since the audit: was missing, is mode 0000 -> 0600; look again before --fix"
        assert fake.states[b"/b"] == state(mode=0)

    def test_well_again_is_well(self) -> None:
        fake = FakeNode({b"/a": state(), b"/b": state(mode=0o600)})
        assert run(fake, A, B, fix=True, checks=self.checks(a="missing")).outcomes == (OK, OK)

    def test_a_path_with_two_checks_is_left_alone_if_one_of_them_found_something_else(self) -> None:
        checks = [Check(A, same, audited="mode 0600 -> 0644"), Check(A, same)]
        fake = FakeNode({})
        assert [o.status for o in run(fake, A, fix=True, checks=checks).outcomes] == [DRIFT, DRIFT]
        assert fake.log == ["probe"]


class TestDone:
    """What was done, for the log: what the node said it did, whatever the second probe tells."""

    files = (
        entry(b"/d", state(Kind.DIRECTORY, mode=0o755)),
        entry(b"/d/a", state(), trigger=b"overlay/d/a\x1b.post"),
        entry(b"/b", state(mode=0o600)),
    )

    @staticmethod
    def repair(states: States) -> bytes:
        states[b"/d/a"] = state()
        return b"ok 0\nfailed 1 cp: no space left\nok 2\nfailed 3 exit status 1\nend\n"

    def test_actions_that_succeeded_and_triggers_in_their_order(self) -> None:
        fake = FakeNode({b"/d": state(Kind.DIRECTORY, mode=0o755)}, self.repair)
        result = run(fake, *self.files, fix=True)
        assert result.done == ("/d/a created (missing)", "running command $masterdir/overlay/d/a\\x1b.post")

    def test_also_when_the_node_is_gone_afterwards(self) -> None:
        result = run(FakeNode({}, everything, broken={3: TransportError("reset")}), A, fix=True)
        assert result.error == unreachable("reset")
        assert result.done == ("/a created (missing)",)

    def test_nothing_without_fix_and_nothing_where_nothing_was_to_do(self) -> None:
        assert run(FakeNode({}), A).done == ()
        assert run(FakeNode({b"/a": state()}), A, fix=True).done == ()


class TestTriggers:
    """A change whose trigger failed is not fixed."""

    one = entry(b"/a", state(), trigger=b"overlay/a.post")

    @pytest.mark.parametrize(
        ("answer", "status", "message", "details"),
        [
            (b"ok 0\noutput done\nok 1\nend\n", Status.FIXED, "created (missing), ran overlay/a.post", None),
            (
                b"ok 0\noutput why\nfailed 1 exit status 3\nend\n",
                DRIFT,
                "put right, but overlay/a.post failed: exit status 3",
                ("why",),
            ),
            (b"ok 0\n", DRIFT, "put right, but the repair did not come to its end", ()),
        ],
    )
    def test_outcomes(self, answer: bytes, status: Status, message: str, details: tuple[str, ...] | None) -> None:
        def repair(states: States) -> bytes:
            everything(states)
            return answer

        fake = FakeNode({}, repair)
        (outcome,) = run(fake, self.one, fix=True).outcomes
        assert (outcome.status, outcome.message) == (status, message)
        assert details is None or outcome.details == details
        assert fake.log[1] == "push overlay/a._all overlay/a.post"

    def test_a_trigger_with_an_odd_name(self) -> None:
        """Outcomes travel between processes and end in XML: they have to be text."""

        def repair(states: States) -> bytes:
            everything(states)
            return b"ok 0\nfailed 1 exit status 1\nend\n"

        fake = FakeNode({}, repair)
        (outcome,) = run(fake, entry(b"/a", state(), trigger=b"overlay/\xff\x1b.post"), fix=True).outcomes
        assert outcome.message == "put right, but overlay/\\xff\\x1b.post failed: exit status 1"
