"""The summary of a run for people: equal findings of many nodes are one line, the worst come first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import in_brackets, printable_text
from pytest_synctool.model import Status
from pytest_synctool.report.ending import AFTER_RESTORE, NodeEnding, in_words, unread_in_words
from pytest_synctool.report.grouping import RANKS, WORDS, of_most_nodes_first
from pytest_synctool.report.record import StaleWaiver
from pytest_synctool.report.tally import Tally

_MOST_FINDINGS: Final = 40
_MOST_WARNINGS: Final = 10
_MOST_DIFF_LINES: Final = 400
_DIFF_COLOURS: Final = {"+": "green", "-": "red"}
_DRY_RUN: Final = "DRY RUN, nothing was changed"
_T = TypeVar("_T")
_COLOURS: Final = {Status.ERROR: "red", Status.DRIFT: "red", Status.WAIVED: "yellow", Status.FIXED: "green"}


def summary(
    tally: Tally,
    warnings: Sequence[str],
    *,
    fixing: bool,
    repair: str = "pytest --lf --fix",
    always: Sequence[str] = (),
    diffs: bool = False,
    printed: bool = False,
    stale: Sequence[StaleWaiver] = (),
) -> Iterator[tuple[str, str]]:
    """Yield the lines of the summary, each with its colour.

    `repair` is the command that repairs the drift. `always` are the commands that every repair runs. With `diffs`, the
    lines include the differences in contents, equal ones once; with `printed` what the commands printed that a repair
    has run. `stale` are the stale waivers.
    """
    for warning in warnings[:_MOST_WARNINGS]:
        yield f"WARNING {warning}", "yellow"
    if len(warnings) > _MOST_WARNINGS:
        yield f"... and {len(warnings) - _MOST_WARNINGS} more warnings", "yellow"
    if not tally.nodes:
        return
    yield from _findings(tally, stale, diffs=diffs, most=_MOST_FINDINGS)
    if printed:
        yield from _printed(tally)
    yield from _closing(tally, fixing=fixing, repair=repair)
    if not (fixing or tally.restoring):
        yield from _capped(always, lambda text: (f"not running command {printable_text(text)} (always_run)", ""))


def quiet_summary(
    tally: Tally, warnings: Sequence[str], *, fixing: bool, diffs: bool = False, stale: Sequence[StaleWaiver] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the lines for -q, each with its colour: every finding once, and a line of counts; nothing if all is well.

    The arguments are those of summary().
    """
    yield from _findings(tally, stale, diffs=diffs)
    if set(tally.endings) - {NodeEnding.IN_SYNC} or warnings or tally.notes or stale:
        yield in_a_line(tally, warnings, fixing=fixing), ""


def in_a_line(tally: Tally, warnings: Sequence[str], *, fixing: bool) -> str:
    """Return the counts as one line: `9 nodes: 7 in sync, 2 drifted; 1 warning; DRY RUN, nothing was changed`."""
    counts = in_words(tally.endings, restoring=tally.restoring, changing=fixing) if tally.nodes else ""
    number = f"{len(warnings):,} warning{'' if len(warnings) == 1 else 's'}" if warnings else ""
    return "; ".join(text for text in (counts, number, _DRY_RUN if _is_rehearsal(tally, fixing) else "") if text)


def _findings(
    tally: Tally, stale: Sequence[StaleWaiver], *, diffs: bool, most: int | None = None
) -> Iterator[tuple[str, str]]:
    """Yield the lines of all findings, at most `most` of each kind. The nodes that were not begun come last."""
    notes = sorted(tally.notes.items())
    yield from _capped(notes, lambda note: (f"WARNING {fold(note[1])}: {note[0]}", "yellow"), most)
    yield from _capped(stale, lambda each: (f"STALE {each.place}: {each.message}", "red"), most)
    errors = of_most_nodes_first(tally.node_errors)
    yield from _capped(errors, lambda error: (f"ERROR {fold(error[1])}: {error[0]}", "red"), most)
    ranked = sorted(tally.findings.items(), key=lambda f: (RANKS.index(f[0][0]), -len(f[1]), f[0][1]))
    yield from _capped(ranked, _finding, most)
    restorable = sorted(tally.restorable.items())
    yield from _capped(restorable, lambda listed: (f"{fold(listed[1])}: {listed[0]}", ""), most)
    if diffs:
        yield from _differences(tally, [finding for finding, _ in ranked])
    not_begun = list(tally.not_begun.items())
    yield from _capped(not_begun, lambda pair: (f"SKIPPED {fold(pair[1])}: {pair[0]}", "yellow"), most)


def _finding(finding: tuple[tuple[Status, str], list[str]]) -> tuple[str, str]:
    (status, text), nodes = finding
    return f"{WORDS[status]} {fold(nodes)}: {text}{in_brackets(nodes)}", _COLOURS[status]


def _printed(tally: Tally) -> Iterator[tuple[str, str]]:
    """Yield what the commands of fixed entries printed, equal lines of many nodes once."""
    for (_, text), outputs in tally.printed.items():
        for lines, nodes in outputs.items():
            yield f"{fold(nodes)}: {text}{in_brackets(nodes)}", ""
            yield from ((f"  {line}", "") for line in lines)


def _differences(tally: Tally, findings: Sequence[tuple[Status, str]]) -> Iterator[tuple[str, str]]:
    """Yield the differences in contents, that of most nodes first, each difference once."""
    lines: list[tuple[str, str]] = []
    for finding in findings:
        for diff, nodes in sorted(tally.diffs.get(finding, {}).items(), key=lambda item: -len(item[1])):
            lines.append((f"{fold(nodes)}: {finding[1]}{in_brackets(nodes)}", ""))
            lines += [(f"  {line}", _DIFF_COLOURS.get(line[:1], "")) for line in diff.split("\n")]
    yield from lines[:_MOST_DIFF_LINES]
    if len(lines) > _MOST_DIFF_LINES:
        yield f"... and {len(lines) - _MOST_DIFF_LINES:,} more lines, see drift.json", ""


def _is_rehearsal(tally: Tally, fixing: bool) -> bool:
    """Return True if a repair would change something that the run did not."""
    return not fixing and (bool(tally.restorable) or any(status is Status.DRIFT for status, _ in tally.findings))


def _capped(
    values: Sequence[_T], line: Callable[[_T], tuple[str, str]], most: int | None = _MOST_FINDINGS
) -> Iterator[tuple[str, str]]:
    """Yield the lines of the first values. Those of the others are not made: each may fold thousands of names."""
    yield from map(line, values[:most])
    if most is not None and len(values) > most:
        yield f"... and {len(values) - most} more findings, see the reports", ""


def _closing(tally: Tally, *, fixing: bool, repair: str) -> Iterator[tuple[str, str]]:
    yield in_words(tally.endings, restoring=tally.restoring, changing=fixing), ""
    if tally.unread:
        yield unread_in_words(tally.unread), ""
    if tally.restoring and tally.endings[NodeEnding.FIXED]:
        yield AFTER_RESTORE, ""
    if _is_rehearsal(tally, fixing):
        yield f"{_DRY_RUN}. To {'restore these' if tally.restoring else 'put right what was found'}: {repair}", ""
    if tally.not_begun:
        yield "To go on with what failed and what was not begun: the same command with --lf", ""
