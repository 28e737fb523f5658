"""The questions of --ask, what a repair is bound to, and nodes that nobody has agreed to repair."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.check import AuditBinding, Check
from pytest_synctool.cli.asking import Confirmation, Questions, bound, declined
from pytest_synctool.model import NOT_RUN, OK, NodeResult, Outcome, PlannedStep, Status

from tests_meta.unit.helpers import entry


def typed(*lines: str) -> Callable[[str], str]:
    """Return a function that answers questions with these lines; then the input ends."""
    waiting = list(lines)

    def ask(prompt: str) -> str:
        assert prompt == "node1: repair this node? [y]es, [n]o, [a]ll that follow, [q]uit: "
        if not waiting:
            raise EOFError
        return waiting.pop(0)

    return ask


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("y\n",), Confirmation.YES),
        ((" YES \n",), Confirmation.YES),
        (("n\n",), Confirmation.NO),
        (("a\n",), Confirmation.ALL),
        (("quit\n",), Confirmation.QUIT),
        (("\n", "perhaps\n", "yess\n", "n"), Confirmation.NO),
        (("yn\n",), Confirmation.QUIT),
        ((), Confirmation.QUIT),
    ],
)
def test_answers(lines: tuple[str, ...], expected: Confirmation) -> None:
    assert Questions(typed(*lines)).answer("node1") is expected


def test_after_all_nothing_is_asked() -> None:
    questions = Questions(typed("all\n"))
    assert [questions.answer("node1") for _ in range(3)] == [Confirmation.ALL] * 3


@given(st.lists(st.text(max_size=5), max_size=5))
def test_only_the_words_agree(lines: list[str]) -> None:
    words = [line.strip().lower() for line in lines]
    agreed = next((word for word in words if word in ("y", "n", "a", "q", "yes", "no", "all", "quit")), "q")
    assert Questions(typed(*lines)).answer("node1").value[0] == agreed[0]


def test_a_repair_is_bound_to_what_was_shown() -> None:
    check = Check(entry(b"/f"), lambda _entry, _actual: [])
    others = (Outcome(Status.ERROR, "dead"), Outcome(Status.WAIVED, "x"), NOT_RUN)
    outcomes = [Outcome(Status.DRIFT, "mode 0644"), OK, *others]
    assert [each.audited for each in bound([check] * 5, outcomes)] == [
        *("mode 0644", AuditBinding.IN_SYNC, AuditBinding.IN_SYNC, AuditBinding.IN_SYNC, AuditBinding.NONE),
    ]


def test_a_declined_node_has_drift() -> None:
    """So has a task that was to run."""
    refused = Outcome(Status.DRIFT, "a, left alone: b", has_remark=True)
    shown = NodeResult((OK, NOT_RUN, Outcome(Status.DRIFT, "missing"), refused), planned=(PlannedStep(b"/f", "/f"),))
    result = declined(shown)
    assert [(each.status, each.message) for each in result.outcomes] == [
        (Status.OK, ""),
        (Status.DRIFT, "not run, left alone: not confirmed"),
        (Status.DRIFT, "missing, left alone: not confirmed"),
        (Status.DRIFT, "a, left alone: b"),
    ]
    assert not result.planned
