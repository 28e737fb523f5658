"""Output of nodes without end: what is kept of it is limited."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.dsh import aggregate
from pytest_synctool.dsh.aggregate import Aggregate
from pytest_synctool.dsh.calls import Call, CallEnding, exit_status
from pytest_synctool.dsh.clients import LONGEST_LINE, Lines
from pytest_synctool.errors import AnswerTooLong

MANY = 1_000_000


@given(st.lists(st.sampled_from([b"x", b"\n", b"yy\nz", b"x" * (LONGEST_LINE // 2)]), max_size=12))
def test_lines_lose_nothing(pieces: list[bytes]) -> None:
    lines = Lines()
    cut = [line for piece in pieces for line in lines.feed(piece)]
    assert b"".join([*cut, lines.rest()]) == b"".join(pieces).replace(b"\n", b"")
    assert all(len(line) <= 2 * LONGEST_LINE for line in cut)


def test_a_short_line_is_not_cut() -> None:
    lines = Lines()
    assert [*lines.feed(b"one\ntw"), *lines.feed(b"o\nthree")] == [b"one", b"two"]
    assert lines.rest() == b"three"


def test_held_lines_have_a_limit() -> None:
    call = Call("node1", "token")
    assert call.add_stderr(b"x" * MANY) == [b"x" * MANY]
    assert call.add_stderr(b"y") == [b"y"]


def test_a_long_word_behind_the_token_is_no_notice() -> None:
    call = Call("node1", "token")
    call.add_stderr(b"token " + b"x" * MANY)
    assert call.notice == ""


def test_the_reason_of_an_unreachable_node_is_short() -> None:
    call = Call("node1", "token")
    call.add_stderr(b"token 77")
    call.add_stderr(b"Connection closed " + b"\xff" * MANY)
    (line,) = call.end(255)
    assert line.startswith(b"unreachable: Connection closed")
    assert len(line) < 5_000


def test_a_call_that_was_cut_off() -> None:
    call = Call("node1", "token")
    call.cut_off("too much")
    assert call.outcome is not None
    assert call.outcome.ending is CallEnding.CUT_OFF
    assert exit_status([call.outcome]) == 1


def test_a_node_has_a_part_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "MOST_OF_A_NODE", 3_000)
    grouped = Aggregate()
    grouped.add("node1", b"fits")
    for _ in range(2):
        with pytest.raises(AnswerTooLong, match="the rest is left out"):
            grouped.add("node1", b"x" * 5_000)
    grouped.add("node2", b"fits")
    out = io.BytesIO()
    grouped.write(out)
    assert out.getvalue().count(b"the rest is left out") == 1
    assert b"node2:\n    fits\n" in out.getvalue()


def test_input_that_does_not_fit_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "MOST_OF_A_NODE", 3_000)
    assert not Aggregate().feed(b"node[1-2]: " + b"x" * 5_000)
    grouped = Aggregate(2_000)
    assert grouped.feed(b"node[1-2]: x")
    assert not grouped.feed(b"node[3-4]: x")
