"""The questions of `synctool -f --ask`, and the checks of a repair that is limited to what was shown."""

from __future__ import annotations

import sys
import termios
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from pytest_synctool.audit.check import AuditBinding, Check
from pytest_synctool.model import NodeResult, Outcome, Skip, Status

LEFT_ALONE: Final = "left alone: not confirmed"
_QUESTION: Final = "repair this node? [y]es, [n]o, [a]ll that follow, [q]uit: "


class Confirmation(Enum):
    """The answers to a question; the values are the words that people type, or their first letter."""

    YES = "yes"
    NO = "no"
    ALL = "all"
    QUIT = "quit"


def refusal() -> str | None:
    """Return the reason why this process can ask nobody, or None."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return None
    return "--ask needs a terminal: standard input and output are not both one"


def ask_terminal(prompt: str) -> str:
    """Return the line that somebody types after the prompt. What was typed before it does not count.

    Raises EOFError at the end of input.
    """
    with suppress(termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
    sys.stdout.write(prompt)
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


@dataclass
class Questions:
    """The questions about nodes, one after the other. After `all` there are none; `quit` ends the run."""

    ask: Callable[[str], str] = ask_terminal
    agrees_to_all: bool = False

    def answer(self, node: str) -> Confirmation:
        """Return the answer for a node. Anything else than the four answers is asked again; an end of input is quit."""
        while not self.agrees_to_all:
            try:
                word = self.ask(f"{node}: {_QUESTION}").strip().lower()
            except EOFError:
                return Confirmation.QUIT
            for answer in Confirmation:
                if word in (answer.value, answer.value[0]):
                    self.agrees_to_all = answer is Confirmation.ALL
                    return answer
        return Confirmation.ALL


def bound(checks: Sequence[Check], outcomes: Sequence[Outcome]) -> list[Check]:
    """Return the checks of a repair that changes only the drift in these outcomes."""
    pairs = zip(checks, outcomes, strict=True)
    return [replace(check, audited=_binding(outcome)) for check, outcome in pairs]


def _binding(outcome: Outcome) -> str | AuditBinding:
    if outcome.status is Status.DRIFT:
        return outcome.message
    return AuditBinding.NONE if outcome.status is Status.SKIPPED else AuditBinding.IN_SYNC


def declined(result: NodeResult) -> NodeResult:
    """Return the result of a node whose repair was not confirmed. A task that was to run counts as drift."""
    return replace(result, outcomes=tuple(_declined(result.outcomes)), planned=())


def _declined(outcomes: Iterable[Outcome]) -> Iterable[Outcome]:
    for outcome in outcomes:
        if outcome.skip is Skip.NOT_RUN:
            yield Outcome(Status.DRIFT, f"not run, {LEFT_ALONE}", has_remark=True)
        elif outcome.status is Status.DRIFT and not outcome.has_remark:
            yield replace(outcome, message=f"{outcome.message}, {LEFT_ALONE}", has_remark=True)
        else:
            yield outcome
