"""One node from probe to outcome, without --fix: what is found is told, and nothing is sent but the probe."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_synctool.audit import probe
from pytest_synctool.audit.check import Check
from pytest_synctool.audit.drift_outcome import drift, finding
from pytest_synctool.connection.processes import Answer
from pytest_synctool.engine.session import NodeSession
from pytest_synctool.engine.settings import Mode, Settings
from pytest_synctool.errors import TransportError
from pytest_synctool.model import ABSENT, OK, Absent, Actual, Change, FileState, NodeErrorKind, Outcome, Status, Unknown
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Source, Tree

from tests_meta.unit.fake_node import MASTER, FakeNode, run, same, told
from tests_meta.unit.helpers import entry, node, state, unreachable

A, B = entry(b"/a", state()), entry(b"/b", state(mode=0o600))
DRIFT = Status.DRIFT


class TestDryRun:
    """Without --fix: one probe, nothing else."""

    def test_in_sync(self) -> None:
        fake = FakeNode({b"/a": state(), b"/b": state(mode=0o600)})
        result = run(fake, A, B)
        assert (result.outcomes, result.error, fake.log) == ((OK, OK), None, ["probe"])
        assert result.duration > 0

    @pytest.mark.parametrize("mode", [0o600, 0o644])
    def test_a_rehearsal_plans_only_where_something_differs(self, mode: int) -> None:
        """Else the modules of the repair are not loaded, which take a twentieth of a second."""
        fake = FakeNode({b"/b": state(mode=mode)})
        fake.requests.append(probe.Request(b"/b", 3, expected=B.expected))
        settings = Settings(MASTER, Mode.REHEARSE, deadline=17.0)
        session = NodeSession(node(), [Check(B, same)], [B], fake, settings)
        result = session.run()
        assert [step.path for step in result.planned] == ([] if mode == 0o600 else [b"/b"])
        assert ("_repair" in vars(session)) is (mode != 0o600)

    def test_drift_is_told_and_nothing_is_sent_but_the_probe(self) -> None:
        """Documentation: "By default synctool does a DRY RUN. It will not do anything but show what would happen"."""
        fake = FakeNode({b"/b": state(mode=0o644, size=9)})
        result = run(fake, A, B)
        assert fake.log == ["probe"]
        assert result.outcomes == (
            drift(A, [Change("missing", "file", "nothing")]),
            drift(B, [Change("file size", "3 bytes", "9 bytes"), Change("mode", "0600", "0644")]),
        )

    def test_what_must_not_exist(self) -> None:
        fake = FakeNode({b"/gone": state()})
        result = run(fake, entry(b"/gone", tree=Tree.DELETE))
        assert [o.message for o in result.outcomes] == ["must not exist"]

    def test_what_could_not_be_looked_at_is_an_error(self) -> None:
        fake = FakeNode({b"/a": state()}, unknown={b"/b": "Permission denied", b"/c": "Stale file handle"})
        result = run(fake, A, B, entry(b"/c", tree=Tree.DELETE))
        assert result.outcomes == (
            OK,
            Outcome(Status.ERROR, "cannot be looked at: Permission denied"),
            Outcome(Status.ERROR, "cannot be looked at: Stale file handle"),
        )

    def test_a_source_that_cannot_be_read_is_an_error_of_its_own_entry(self, tmp_path: Path) -> None:
        source = Source(Tree.OVERLAY, os.fsencode(tmp_path), b"overlay/x._all", b"/x", state(md5=None))
        broken = Check(Entry(source), same)
        result = run(FakeNode({b"/a": state()}), A, checks=[broken, Check(A, same)])
        assert result.outcomes == (
            Outcome(Status.ERROR, "cannot read overlay/x._all: No such file or directory"),
            OK,
        )

    def test_narrow_connections_are_sent_parts(self) -> None:
        entries = [entry(b"/directory/file number %d" % n, state()) for n in range(200)]
        fake = FakeNode({one.destination: state() for one in entries}, script_limit=18_500)
        result = run(fake, *entries)
        assert result.outcomes == (OK,) * 200
        assert len(fake.log) > 2


class TestUnreachable:
    """Nothing is known about a node that did not answer: an error, no outcomes."""

    @pytest.mark.parametrize("fix", [False, True])
    def test_no_connection(self, fix: bool) -> None:
        fake = FakeNode({}, broken={0: TransportError("Connection refused")})
        result = run(fake, A, B, fix=fix)
        assert (result.outcomes, result.error) == ((), unreachable("Connection refused"))
        assert fake.log == ["probe"]

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (Answer(0, b"", b""), "the node's answer is not whole: it said nothing"),
            (
                Answer(1, b"", b"Welcome\nThis account is closed\n"),
                "the node's answer is not whole: it said nothing (This account is closed)",
            ),
            (Answer(0, b"synctool-probe\ni:x\nsynctool-probe-end\n", b""), None),
            (Answer(0, told([probe.Request(b"/a")], {}, {})[:-12], b""), None),
        ],
    )
    @pytest.mark.parametrize("fix", [False, True])
    def test_no_sensible_answer(self, answer: Answer, error: str | None, fix: bool) -> None:
        result = run(FakeNode({}, broken={0: answer}), A, fix=fix)
        assert result.outcomes == ()
        assert result.error is not None
        assert result.error.kind is NodeErrorKind.BAD_ANSWER
        assert error is None or result.error.of("node1") == f"node1: {error}"


class TestCheckFunctions:
    """A site's own check function may do anything."""

    def outcome(self, function: Callable[[Entry, FileState | Absent], list[Change]]) -> Outcome:
        """What becomes of a check beside one of the suite."""
        fake = FakeNode({b"/a": state()})
        outcome, other = run(fake, A, checks=[Check(A, function), Check(A, same)]).outcomes
        assert other == OK
        return outcome

    def test_what_it_finds(self) -> None:
        found = self.outcome(lambda one, actual: [Change("world-writable", "no", "yes")])
        assert (found.status, found.message) == (DRIFT, "world-writable mismatch")

    def test_what_it_raises_is_the_result_of_its_own_test(self) -> None:
        def check_strange(one: Entry, actual: FileState | Absent) -> list[Change]:
            raise KeyError("x")

        assert self.outcome(check_strange) == Outcome(Status.ERROR, "check_strange raised KeyError: 'x'")

    def test_a_message_is_one_line_of_text(self) -> None:
        def check_strange(one: Entry, actual: FileState | Absent) -> list[Change]:
            raise ValueError("one\ntwo \udcff")

        found = self.outcome(check_strange)
        assert found.status is Status.ERROR
        assert "\n" not in found.message
        assert "\udcff" not in found.message

    @pytest.mark.parametrize("returned", [None, 7, "text", [1], [None]])
    def test_what_is_no_list_of_changes_is_an_error(self, returned: object) -> None:
        assert self.outcome(lambda one, actual: returned).status is Status.ERROR  # type: ignore[arg-type, return-value]

    def test_it_sees_what_is_there(self) -> None:
        seen: list[Actual] = []

        def check_look(one: Entry, actual: FileState | Absent) -> list[Change]:
            seen.append(actual)
            return []

        run(FakeNode({b"/a": state()}), A, checks=[Check(A, check_look)])
        run(FakeNode({}), A, checks=[Check(A, check_look)])
        run(FakeNode({}, unknown={b"/a": "Permission denied"}), A, checks=[Check(A, check_look)])
        assert seen == [state(), ABSENT]
        assert not any(isinstance(one, Unknown) for one in seen)


def test_findings_in_words() -> None:
    changes = [Change("missing", "file", "nothing")]
    assert finding(changes) == "missing"
    assert finding([Change("must not exist", "nothing", "file")]) == "must not exist"
    assert finding([Change("file size", "1", "2"), Change("mode", "1", "2")]) == "file size mismatch, mode 2 -> 1"
    assert finding([Change("owner", "root", "x" * 256)]) == f"owner {'x' * 40}... -> root"
    assert drift(A, changes).details == ("missing: expected file, found nothing", "source: overlay/a._all")
