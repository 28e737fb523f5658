"""Which nodes make which batch, and when no other begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.engine.batches import Batches, Size, size, split

_totals = st.integers(1, 10_000)
_names = st.integers(1, 30).map(lambda count: [f"n{number}" for number in range(count)])


@pytest.mark.parametrize(
    ("text", "expected"), [("1", Size(1)), ("500", Size(500)), ("1%", Size(1, True)), ("100%", Size(100, True))]
)
def test_sizes(text: str, expected: Size) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "0%", "101%", "%", "1.5", "10 %", "ten", "٣", "1%%", "9" * 5000])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="a number of nodes from 1, or a percentage from 1% to 100%"):
        size(text)


@pytest.mark.parametrize(
    ("text", "total", "expected"), [("25%", 8, 2), ("25%", 7, 1), ("1%", 5, 1), ("100%", 5, 5), ("10", 3, 10)]
)
def test_a_percentage_is_of_all_nodes_and_rounded_down(text: str, total: int, expected: int) -> None:
    assert size(text).of(total) == expected


@given(total=_totals, percent=st.integers(1, 100))
def test_a_batch_has_a_node_and_no_more_than_were_asked_for(total: int, percent: int) -> None:
    number = Size(percent, True).of(total)
    assert number == 1 or number * 100 <= total * percent


@given(nodes=_names, number=st.integers(1, 40))
def test_batches_are_all_nodes_in_their_order(nodes: list[str], number: int) -> None:
    made = split(nodes, number)
    assert [node for batch in made for node in batch] == nodes
    assert all(len(batch) == number for batch in made[:-1])
    assert 1 <= len(made[-1]) <= number


def begun(nodes: list[str], number: int, allowed: int, failing: set[str]) -> list[str]:
    """The nodes of a run that are begun, when some fail."""
    made = Batches(split(nodes, number), allowed)
    found = []
    for node in nodes:
        if made.refusal(node) is None:
            found.append(node)
            made.ended(node, well=node not in failing)
    return found


@given(nodes=_names, number=st.integers(1, 8), allowed=st.integers(0, 5), data=st.data())
def test_whole_batches_are_begun_until_too_many_have_failed(
    nodes: list[str], number: int, allowed: int, data: st.DataObject
) -> None:
    failing = data.draw(st.sets(st.sampled_from(nodes)))
    found = begun(nodes, number, allowed, failing)
    assert found == nodes[: len(found)]
    assert len(found) % number == 0 or found == nodes
    last = (len(found) - 1) // number * number  # where the last batch that was begun starts
    assert len(failing & set(nodes[:last])) <= allowed
    assert found == nodes or len(failing & set(found)) > allowed


def test_the_reason_tells_of_the_batch_before() -> None:
    made = Batches(split(["a", "b", "c", "d", "e"], 2))
    assert made.refusal("a") is None
    made.ended("a", well=True)
    made.ended("b", well=False)
    assert made.refusal("b") is None
    assert made.refusal("c") == "not begun: 1 of 2 nodes failed in the batch before"
    assert made.refusal("e") == made.refusal("c")


def test_the_reason_tells_how_many_were_allowed() -> None:
    made = Batches(split(["a", "b", "c"], 1), allowed=1)
    for node in ("a", "b"):
        assert made.refusal(node) is None
        made.ended(node, well=False)
    assert made.refusal("c") == "not begun: 2 of 2 nodes failed in the batches before, and --max-fail-nodes is 1"


def test_a_node_that_never_ended_has_failed() -> None:
    made = Batches(split(["a", "b"], 1))
    assert made.refusal("b") == "not begun: 1 of 1 node failed in the batch before"


def test_together() -> None:
    made = Batches(split(["a", "b", "c"], 2))
    assert made.together("a", "b")
    assert not made.together("b", "c")
