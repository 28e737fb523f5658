"""Marks skip, skipif and xfail of tests, and what a check function or a setup hook raises, as outcomes of entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Final

import pytest
from _pytest.skipping import evaluate_skip_marks, evaluate_xfail_marks

from pytest_synctool.audit.check import Check, CheckEndedError, CheckFunction, ExpectedFailure
from pytest_synctool.common.wording import printable_text
from pytest_synctool.model import Absent, Change, FileState, Outcome, Skip, Status, Xfail
from pytest_synctool.plugin.cluster import mode_of
from pytest_synctool.repository.entry import Entry

_NAMES: Final = ("skip", "skipif", "xfail")
_REFUSED: Final = {
    "parametrize": "a check gets its tests from the masterdir",
    "usefixtures": "a check runs without fixtures",
}
_Unsettled = pytest.exit.Exception, KeyboardInterrupt


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark that forbids the repair of a test's entries. Without a `settled` outcome they are compared."""

    settled: Outcome | None = None
    expected: ExpectedFailure | None = None

    def on(self, check: Check) -> Check:
        """Return a check with the mark. A task that is expected to fail does not run: running it is all it does."""
        settled = self.settled
        if settled is None and self.expected is not None and check.is_task:
            settled = _xfailed(f"[NOTRUN] {self.expected.reason}")
        return replace(check, settled=settled, expected=self.expected)


def mark_of(item: pytest.Item, *, together: bool = False) -> Mark | None:
    """Return the mark of a test, as pytest evaluates it; None without one. A condition that fails is an error.

    With `together` the test is one for all entries of a node. Raises pytest.UsageError for a mark that checks refuse.
    """
    names = {mark.name for mark in item.iter_markers()}
    for name, reason in _REFUSED.items():
        if name in names:
            raise pytest.UsageError(f"{item.nodeid}: pytest.mark.{name} does not go with a check: {reason}")
    if names.isdisjoint(_NAMES):
        return None
    return _evaluated(lambda: _mark(item, together=together))


def _mark(item: pytest.Item, *, together: bool) -> Mark | None:
    if (skip := evaluate_skip_marks(item)) is not None:
        return Mark(_skipped(skip.reason))
    if (xfail := evaluate_xfail_marks(item)) is None:
        return None
    ignored = item.config.option.runxfail
    if not xfail.run and not ignored:
        return Mark(_xfailed(f"[NOTRUN] {xfail.reason}"))
    if mode_of(item.config).is_about_old_versions:  # nothing is compared
        return Mark(_xfailed(xfail.reason))
    reason = printable_text(str(xfail.reason))
    return Mark(None, ExpectedFailure(reason, bool(xfail.strict), _accepting(xfail.raises), together, ignored))


def _accepting(raises: Any) -> Callable[[BaseException], bool]:
    """Return a function that tells if an exception is expected; `raises` is that of the mark."""
    if raises is None:
        return lambda error: True
    if isinstance(raises, type | tuple):
        return lambda error: isinstance(error, raises)
    return lambda error: bool(raises.matches(error))  # pytest.RaisesExc and its like


def setup_mark(setup: Callable[[], object]) -> Mark | None:
    """Run the setup hooks of a test. Return a mark with the outcome if one raises, and None otherwise."""

    def run() -> None:
        setup()

    return _evaluated(run)


def _evaluated(evaluate: Callable[[], Mark | None]) -> Mark | None:
    try:
        return evaluate()
    except _Unsettled:
        raise
    except BaseException as error:  # pytest's own outcomes are no Exceptions
        return Mark(_outcome("the setup", error))


def guarded(function: CheckFunction) -> CheckFunction:
    """Return a check function that raises only what the audit takes as the outcome of its entry."""

    @wraps(function)
    def call(entry: Entry, actual: FileState | Absent) -> list[Change]:
        try:
            return function(entry, actual)
        except BaseException as error:  # threads run it, so no KeyboardInterrupt is from a signal
            raise CheckEndedError(error, _outcome(function.__name__, error)) from error

    return call


def _outcome(what: str, error: BaseException) -> Outcome:
    message = _text(error)
    match error:
        case pytest.skip.Exception():
            return _skipped(message)
        case pytest.xfail.Exception():
            return _xfailed(message)
        case pytest.fail.Exception():
            return Outcome(Status.ERROR, f"{what} failed: {message}")
        case pytest.exit.Exception():
            return Outcome(Status.ERROR, f"{what} called pytest.exit: {message}")
    return Outcome(Status.ERROR, f"{what} raised {type(error).__name__}: {message}")


def _text(error: BaseException) -> str:
    try:
        return printable_text(" ".join(_lines(str(error))))
    except Exception as problem:  # the exception's own __str__
        return f"(no message: {type(problem).__name__})"


def _lines(text: str) -> Iterator[str]:
    return (stripped for line in text.splitlines() if (stripped := line.strip()))


def _skipped(reason: str) -> Outcome:
    return Outcome(Status.SKIPPED, printable_text(str(reason)) or "skipped", skip=Skip.MARKED)


def _xfailed(reason: str) -> Outcome:
    return Outcome(Status.SKIPPED, printable_text(reason), skip=Skip.MARKED, xfail=Xfail(printable_text(reason)))
