"""Reports of nodes: one report of a whole node, as a worker sends it, and the ordinary test reports it stands for."""

from __future__ import annotations

import sys
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol, cast

import pytest

from pytest_synctool.model import (
    OK,
    Change,
    NodeError,
    NodeErrorKind,
    NodeResult,
    Outcome,
    Skip,
    Status,
    Touched,
    UnmanagedFiles,
    Xfail,
)
from pytest_synctool.plugin.whole_node_outcomes import outcomes_of
from pytest_synctool.report.ending import NodeEnding, ending_of_result
from pytest_synctool.report.node_test_ids import NodeTests, Whole, shown_destination

# Attributes of reports. pytest keeps attributes that it does not know.
_NODE: Final = "synctool_node"
_ENTRY: Final = "synctool_entry"
_OUTCOME: Final = "synctool_outcome"
_LETTER: Final = "synctool_letter"

_LETTERS: Final = {
    NodeEnding.UNREACHABLE: "E",
    NodeEnding.UNKNOWN: "E",
    NodeEnding.ERROR: "E",
    NodeEnding.DRIFTED: "F",
    NodeEnding.NOT_BEGUN: "s",
    NodeEnding.WAIVED: "x",
    NodeEnding.FIXED: "+",
    NodeEnding.IN_SYNC: ".",
    NodeEnding.SKIPPED: "s",
}

_BETWEEN_IDS: Final = "\0"  # no path has it

_Row = tuple[
    *tuple[str, str, tuple[str, ...], tuple[tuple[str, str, str], ...], str, str, str, str | None, bool],
    *tuple[tuple[str, bool] | None, bool, tuple[int, int] | None],
]


class LineWriter(Protocol):
    """The part of pytest's terminal writer that this module uses."""

    def line(self, text: str) -> None:
        """Write one line."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The place of a failure and its message in one line, which pytest and other plugins read of a traceback."""

    path: str
    lineno: int
    message: str

    def __str__(self) -> str:
        """Return what --tb=line prints."""
        return f"{self.path}:{self.lineno}: {self.message}"


class DriftText:
    """The failure text of an entry: one line, and details below it. It is never a traceback.

    Files also get the diff, terminals do not. `path` and `lineno` are the source that is to be read.
    """

    def __init__(
        self, headline: str, details: Sequence[str], diff: str = "", *, path: str = "", lineno: int = 1
    ) -> None:
        self.diff = diff
        # Many nodes have the same drift, and pytest keeps all texts.
        self.lines = (headline, *(sys.intern(f"  {detail}") for detail in details))
        # pytest and its junit writer read the one-line message from this attribute.
        self.reprcrash = Origin(path, lineno, headline)

    def __str__(self) -> str:
        return "\n".join([*self.lines, *([self.diff] if self.diff else [])])

    def toterminal(self, writer: LineWriter) -> None:
        """Write the text for pytest's FAILURES section."""
        for line in self.lines:
            writer.line(line)


def pack(tests: NodeTests, result: NodeResult, total: int, nodes: int) -> pytest.TestReport:
    """Return a report of the whole node, of plain types that xdist can send from a worker to the controller.

    `total` is the number of tests in the whole run, `nodes` the number of nodes.
    """
    rows = [(number, _row(outcome)) for number, outcome in enumerate(result.outcomes) if outcome != OK]
    report = pytest.TestReport(
        tests.nodeid, _location(tests.nodeid), {}, "passed", None, "call", duration=result.duration
    )
    payload = {
        "node": tests.node,
        "ids": _packed(tests.ids),
        "left_out": sorted(tests.left_out),
        "whole": [(test.nodeid, test.checks) for test in tests.whole],
        "outcomes": len(result.outcomes),
        "rows": rows,
        "error": None if result.error is None else (result.error.kind.value, result.error.reason),
        "duration": result.duration,
        "done": list(result.done),
        "printed": dict(result.printed),
        "notes": result.notes,
        "unread": result.unread,
        "unmanaged": None if result.unmanaged is None else _packed_unmanaged(result.unmanaged),
        "total": total,
        "nodes": nodes,
    }
    setattr(report, _NODE, payload)
    return report


def _packed(ids: Sequence[str]) -> str:
    """Return node ids in one text. execnet takes seven times as long for a list, and sends 15 times as many bytes."""
    return b64encode(zlib.compress(_BETWEEN_IDS.join(ids).encode(), 1)).decode()


def _unpacked(ids: str) -> list[str]:
    text = zlib.decompress(b64decode(ids)).decode()
    return text.split(_BETWEEN_IDS) if text else []


def _row(outcome: Outcome) -> _Row:
    changes = tuple((change.what, change.expected, change.found) for change in outcome.changes)
    texts = (outcome.source, outcome.diff, outcome.waiver)
    skip = None if outcome.skip is None else outcome.skip.name
    xfail = None if outcome.xfail is None else (outcome.xfail.reason, outcome.xfail.strict)
    touched = None if outcome.touched is None else (outcome.touched.modified, outcome.touched.changed)
    return (
        outcome.status.value,
        outcome.message,
        outcome.details,
        changes,
        *texts,
        skip,
        outcome.has_remark,
        xfail,
        outcome.was_set,
        touched,
    )


def _outcome(row: _Row) -> Outcome:
    status, message, details, changes, source, diff, waiver, skip, has_remark, xfail, was_set, touched = row
    return Outcome(
        Status(status),
        message,
        tuple(details),
        tuple(Change(*change) for change in changes),
        source,
        diff,
        waiver,
        None if skip is None else Skip[skip],
        has_remark,
        None if xfail is None else Xfail(*xfail),
        was_set,
        None if touched is None else Touched(*touched),
    )


def _packed_unmanaged(unmanaged: UnmanagedFiles) -> tuple[object, ...]:
    from pytest_synctool.plugin.packed_unmanaged import packed  # most runs do without

    return packed(unmanaged)


def _unpacked_unmanaged(payload: tuple[Any, ...]) -> UnmanagedFiles:
    from pytest_synctool.plugin.packed_unmanaged import unpacked

    return unpacked(payload)


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The arguments of pack()."""

    tests: NodeTests
    result: NodeResult
    total: int
    nodes: int


def unpack(report: pytest.TestReport) -> NodeReport | None:
    """Return the arguments of pack() from a report that it made; None for any other report."""
    payload = getattr(report, _NODE, None)
    if payload is None:
        return None
    outcomes = [OK] * payload["outcomes"]
    for number, row in payload["rows"]:
        outcomes[number] = _outcome(row)
    whole = tuple(Whole(nodeid, checks) for nodeid, checks in payload["whole"])
    tests = NodeTests(payload["node"], report.nodeid, _unpacked(payload["ids"]), whole, frozenset(payload["left_out"]))
    error = payload["error"]
    result = NodeResult(
        tuple(outcomes),
        None if error is None else NodeError(NodeErrorKind(error[0]), error[1]),
        payload["duration"],
        done=tuple(payload["done"]),
        printed={line: tuple(lines) for line, lines in payload["printed"].items()},
        notes=tuple(payload["notes"]),
        unread=payload["unread"],
        unmanaged=None if payload["unmanaged"] is None else _unpacked_unmanaged(payload["unmanaged"]),
    )
    return NodeReport(tests, result, payload["total"], payload["nodes"])


def cut(tests: NodeTests, result: NodeResult, failures: int) -> tuple[NodeTests, NodeResult]:
    """Return the tests up to the `failures`-th failure (1 or more), that one included, for --maxfail."""
    if tests.whole:
        return _cut_whole(tests, result, failures)
    for position, outcome in enumerate(result.outcomes, 1):
        failures -= outcome.status in (Status.DRIFT, Status.ERROR)
        if failures == 0:
            outcomes = result.outcomes[:position]
            return replace(tests, ids=tests.ids[:position]), replace(result, outcomes=outcomes)
    return tests, result


def _cut_whole(tests: NodeTests, result: NodeResult, failures: int) -> tuple[NodeTests, NodeResult]:
    checks = 0
    folded = outcomes_of(tests, result.outcomes)
    for number, (test, (_, outcome, _)) in enumerate(zip(tests.whole, folded, strict=True), 1):
        checks += test.checks
        failures -= outcome.status in (Status.DRIFT, Status.ERROR)
        if failures == 0:
            kept = replace(tests, ids=tests.ids[:checks], whole=tests.whole[:number])
            return kept, replace(result, outcomes=result.outcomes[:checks])
    return tests, result


def reports(tests: NodeTests, result: NodeResult, *, brief: bool = False) -> Iterator[pytest.TestReport]:
    """Return an ordinary report per test, be it of an entry or of a whole node.

    For an unreachable node, the reports are one error under the node's own id and a skip per test. With `brief` the
    terminal shows one letter for the node, from its first report, instead of one per test.
    """
    every = _reports(tests, result)
    return _with_letter(every, _LETTERS[ending_of_result(result)]) if brief else every


def _with_letter(every: Iterable[pytest.TestReport], letter: str) -> Iterator[pytest.TestReport]:
    for report in every:
        vars(report)[_LETTER] = letter
        letter = ""
        yield report


def _reports(tests: NodeTests, result: NodeResult) -> Iterator[pytest.TestReport]:
    if result.error is not None:
        yield from _error_reports(tests, result.error, result.duration)
        return
    if tests.whole:
        for nodeid, outcome, share in outcomes_of(tests, result.outcomes):
            headline = f"{tests.node}: {outcome.message}"
            yield from _outcome_reports(nodeid, tests.node, outcome, headline, result.duration * share)
        return
    share = result.duration / max(len(tests.ids), 1)
    for nodeid, outcome in zip(tests.ids, result.outcomes, strict=True):
        if outcome is OK:  # mostly: no other has anything to say
            yield _report(nodeid, tests.node, "passed", "call", None, share)
            continue
        headline = f"{tests.node}: {shown_destination(nodeid)} {outcome.message}"
        yield from _outcome_reports(nodeid, tests.node, outcome, headline, share)


def _error_reports(tests: NodeTests, error: NodeError, duration: float) -> Iterator[pytest.TestReport]:
    """Yield an error for a node of which nothing is known, and a skip for each of its tests."""
    sentence = error.of(tests.node)
    text = DriftText(sentence, (), path=_location(tests.nodeid)[0])
    report = _report(tests.nodeid, tests.node, "failed", "setup", text, duration)
    vars(report)[_OUTCOME] = Outcome(Status.ERROR, error.text)
    yield report
    missed = Outcome(Status.SKIPPED, error.text)
    # With --granularity=node, the first test has the node id of the node itself.
    for nodeid in (nodeid for nodeid in tests.tests if nodeid != tests.nodeid):
        reason = (_location(nodeid)[0], 0, f"Skipped: {sentence}")
        report = _report(nodeid, tests.node, "skipped", "setup", reason, 0.0)
        vars(report)[_OUTCOME] = missed
        yield report


def _outcome_reports(
    nodeid: str, node: str, outcome: Outcome, headline: str, duration: float
) -> Iterator[pytest.TestReport]:
    match outcome.status:
        case Status.OK:
            report = _report(nodeid, node, "passed", "call", None, duration)
            if outcome.xfail is not None:
                vars(report)["wasxfail"] = outcome.xfail.reason  # pytest's mark of an xfail
            yield report
            return
        case Status.FIXED:
            report = _report(nodeid, node, "passed", "call", None, duration)
        case Status.SKIPPED:
            reason = (_location(nodeid)[0], 0, f"Skipped: {outcome.message}")
            report = _report(nodeid, node, "skipped", "setup", reason, duration)
            if outcome.xfail is not None:
                vars(report)["wasxfail"] = outcome.xfail.reason
        case Status.WAIVED:
            text = DriftText(headline, outcome.details, path=_place(nodeid, outcome))
            report = _report(nodeid, node, "skipped", "call", text, duration)
            expected = f"waived: {outcome.waiver}" if outcome.xfail is None else f"xfail: {outcome.xfail.reason}"
            vars(report)["wasxfail"] = f"{outcome.message}; {expected}"
        case Status.DRIFT | Status.ERROR:
            text = DriftText(headline, outcome.details, outcome.diff, path=_place(nodeid, outcome))
            when: Literal["setup", "call"] = "call" if outcome.status is Status.DRIFT else "setup"
            report = _report(nodeid, node, "failed", when, text, duration)
    vars(report)[_OUTCOME] = outcome
    yield report


def _place(nodeid: str, outcome: Outcome) -> str:
    return outcome.source or _location(nodeid)[0]


def _report(
    nodeid: str,
    node: str,
    outcome: Literal["passed", "failed", "skipped"],
    when: Literal["setup", "call"],
    longrepr: tuple[str, int, str] | DriftText | None,
    duration: float,
) -> pytest.TestReport:
    text = cast(str, longrepr)  # pytest takes any object that has toterminal()
    report = pytest.TestReport(nodeid, _location(nodeid), {}, outcome, text, when, duration=duration)
    vars(report)[_ENTRY] = node
    return report


def is_entry(report: pytest.TestReport) -> bool:
    """Return True if this module made the report: it is about an entry or a whole node."""
    return hasattr(report, _ENTRY)


def node_of(report: pytest.TestReport) -> str | None:
    """Return the node of an entry's report; None for any other report."""
    node: str | None = getattr(report, _ENTRY, None)
    return node


def outcome_of(report: pytest.TestReport) -> Outcome:
    """Return the outcome in a report. Without one, only a report that has passed is OK."""
    outcome: Outcome | None = getattr(report, _OUTCOME, None)
    if outcome is None:
        return OK if report.passed else Outcome(Status.ERROR)
    return outcome


def is_fixed(report: pytest.TestReport) -> bool:
    """Return True if the entry of a report passed because it was repaired."""
    return outcome_of(report).status is Status.FIXED


def letter_of(report: pytest.TestReport) -> str | None:
    """Return the letter of a whole node from its first report, "" from the others; None if each test has a letter."""
    letter: str | None = getattr(report, _LETTER, None)
    return letter


def category_of(report: pytest.TestReport) -> str:
    """Return the category in which the terminal counts a report."""
    if is_fixed(report):
        return "fixed"
    if hasattr(report, "wasxfail"):  # pytest, too, knows an xfail by it
        return "xpassed" if report.passed else "xfailed"
    return "error" if report.failed and report.when == "setup" else report.outcome


def _location(nodeid: str) -> tuple[str, int | None, str]:
    path, _, rest = nodeid.partition("::")
    path = sys.intern(path)  # pytest keeps every report of a run
    return path, None, rest.replace("::", ": ", 1)
