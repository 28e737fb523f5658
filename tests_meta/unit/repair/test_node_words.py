"""The parsers of a repair's answers: any words of a node are read, in linear time, and give short texts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.wording import LONGEST_NODE_TEXT
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.connection.processes import Answer
from pytest_synctool.errors import RemoteError, TransportError
from pytest_synctool.model import ABSENT
from pytest_synctool.repair.apply import Applied, apply
from pytest_synctool.repair.kept_versions import parse_recalled
from pytest_synctool.repair.plan import Plan, plan
from pytest_synctool.repair.script import MOST_OUTPUT, MOST_REMARKS, Context, Result, parse, remarks

from tests_meta.unit.helpers import entry, state

TWO = plan([(entry(b"/a", state()), ABSENT), (entry(b"/b", state()), ABSENT)], {}, b"/m")
LONGEST = 4 * LONGEST_NODE_TEXT + 50  # a byte may become `\\xNN`

HUGE = b"9" * 5_000
WORDS = st.sampled_from(
    [
        *(b"ok ", b"failed ", b"output ", b"refused ", b"remark ", b"0", b"1", b" ", b"\n", b"end", b"recalled"),
        *(HUGE, b"\xb2", "٣".encode(), b"-1", b"+1", b"/a\n/b\n", b"x" * 70_000, b"\0", b"\x1b[1m"),
    ]
)
ANSWERS = st.lists(WORDS | st.binary(max_size=3)).map(b"".join)


@given(ANSWERS)
def test_any_answer_to_a_plan_is_read(answer: bytes) -> None:
    results, _ = parse(TWO, answer)
    assert set(results) <= {0, 1}
    for result in results.values():
        texts = [*result.output, result.failure or ""]
        assert all(text.isprintable() and len(text) <= LONGEST for text in texts)


@given(ANSWERS)
def test_any_remarks_are_read(answer: bytes) -> None:
    lines = remarks(answer)
    assert len(lines) <= MOST_REMARKS
    assert all(line.isprintable() and len(line) <= LONGEST for line in lines)


@given(ANSWERS)
def test_any_list_of_old_versions_is_read_or_refused(answer: bytes) -> None:
    try:
        kept = parse_recalled(answer)
    except RemoteError:
        return
    assert all(path.startswith(b"/") and old.path.startswith(b"/") for path, old in kept.items())


def test_the_reason_why_old_versions_are_not_listed_is_short() -> None:
    with pytest.raises(RemoteError) as refused:
        parse_recalled(b"refused " + b"\xff" * 5_000_000)
    assert len(str(refused.value)) <= LONGEST + 100


@pytest.mark.parametrize(
    "kept",
    [
        *("/a", "/a /b", "/a b - x 1:2:3", "a /b - x 1:2:3", "/a /b\0 - x 1:2:3", f"/a /{'x' * 5_000} - x 1:2:3"),
        *("/a /b 0:0:999 x 1:2:3", f"/a /b 0:0:644:{HUGE.decode()} x 1:2:3", "/a /b 0:0:644 x 1:2:3"),
        *("/a /b 0:0:644:1:2:3 x 1:2", f"/a /b 0:0:644:1:2:3 x {HUGE.decode()}:2:3", "/a /b 0:0:644:1:2:3 x no"),
    ],
)
def test_a_list_of_old_versions_that_no_node_sends(kept: str) -> None:
    words = kept.replace(" ", "\n").encode()
    with pytest.raises(RemoteError, match="cannot be told"):
        parse_recalled(b"recalled\n%b\nend\n" % words)


@pytest.mark.parametrize("digits", [HUGE, b"2", b"-1", b"+1", b"0x1", b"1_0", "٣".encode(), b"\xb2", b"000"])
def test_a_number_that_is_not_in_the_plan(digits: bytes) -> None:
    assert parse(TWO, b"ok %b\nok 0\nend\n" % digits) == ({0: Result(None)}, True)


def test_many_remarks_take_little_time() -> None:
    began = time.process_time()
    answer = b"".join(b"remark %d\n" % number for number in range(100_000))
    assert remarks(answer) == [str(number) for number in range(MOST_REMARKS)]
    assert time.process_time() - began < 1


def test_the_output_of_a_trigger_has_an_end() -> None:
    results, _ = parse(TWO, b"output x\n" * 1_000_000 + b"ok 0\noutput last\nok 1\nend\n")
    assert len(results[0].output) < MOST_OUTPUT
    assert results[1].output == ("last",)


class _Cut:
    """A connection that is cut off after the first action."""

    script_limit = None

    def run(self, script: bytes, deadline: float, phase: Phase = Phase.PROBE, ceiling: int | None = None) -> Answer:
        """Raise, with what came before."""
        del script, deadline, phase, ceiling
        raise TransportError("no answer within 1 s", b"remark odd\nok 0\n")


def test_results_that_came_before_the_connection_broke_count() -> None:
    todo: Plan = TWO
    applied = Applied(todo, ["", ""])
    apply(applied, _Cut(), Context(b"/m"), 1.0)
    assert applied.results == {0: Result(None)}
    assert applied.broken == "no answer within 1 s"
    assert list(applied.remarks) == ["odd"]


@dataclass
class _Answers:
    """A connection over which these answers come, one for each script."""

    answers: list[bytes]
    script_limit: int | None = None

    def run(self, script: bytes, deadline: float, phase: Phase = Phase.PROBE, ceiling: int | None = None) -> Answer:
        """Return the next answer."""
        del script, deadline, phase, ceiling
        return Answer(0, self.answers.pop(0), b"")


def test_the_second_script_of_a_repair_may_be_refused() -> None:
    """What somebody else has put right meanwhile is right; the rest was not done."""
    applied = Applied(TWO, ["", ""])
    reason = "another --fix is under way there: anna"
    apply(applied, _Answers([b"ok 0\nunplaced\n", f"refused {reason}\n".encode()]), Context(b"/m"), 1.0)
    assert applied.results == {0: Result(None), 1: Result(reason)}
    second = TWO.actions[1].path
    assert [applied.failure(second, right=right) for right in (True, False)] == [None, reason]
    assert applied.broken is None
