"""The summary of a run for people: equal findings of many nodes are one line, the worst come first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import in_brackets, printable_text
from pytest_synctool.model import Status
from pytest_synctool.report.ending import in_words
from pytest_synctool.report.grouping import RANKS, WORDS, of_most_nodes_first
from pytest_synctool.report.record import StaleWaiver
from pytest_synctool.report.tally import Tally

_MOST_FINDINGS: Final = 40
_MOST_WARNINGS: Final = 10
_MOST_DIFF_LINES: Final = 400
_DIFF_COLOURS: Final = {"+": "green", "-": "red"}
_COLOURS: Final = {Status.ERROR: "red", Status.DRIFT: "red", Status.WAIVED: "yellow", Status.FIXED: "green"}


def summary(
    tally: Tally,
    warnings: Sequence[str],
    *,
    fixing: bool,
    repair: str = "pytest --lf --fix",
    always: Sequence[str] = (),
    diffs: bool = False,
    stale: Sequence[StaleWaiver] = (),
) -> Iterator[tuple[str, str]]:
    """Yield the lines of the summary, each with its colour.

    `repair` is the command that repairs the drift. `always` are the commands that every repair runs. With `diffs`, the
    lines include the differences in contents, equal ones once. `stale` are the stale waivers.
    """
    for warning in warnings[:_MOST_WARNINGS]:
        yield f"WARNING {warning}", "yellow"
    if len(warnings) > _MOST_WARNINGS:
        yield f"... and {len(warnings) - _MOST_WARNINGS} more warnings", "yellow"
    if not tally.nodes:
        return
    yield from _capped([(f"WARNING {fold(nodes)}: {note}", "yellow") for note, nodes in sorted(tally.notes.items())])
    yield from _capped([(f"STALE {each.place}: {each.message}", "red") for each in stale])
    errors = of_most_nodes_first(tally.node_errors)
    yield from _capped([(f"ERROR {fold(nodes)}: {text}", "red") for text, nodes in errors])
    ranked = sorted(tally.findings.items(), key=lambda f: (RANKS.index(f[0][0]), -len(f[1]), f[0][1]))
    yield from _capped(
        [
            (f"{WORDS[status]} {fold(nodes)}: {text}{in_brackets(nodes)}", _COLOURS[status])
            for (status, text), nodes in ranked
        ]
    )
    if diffs:
        yield from _differences(tally, [finding for finding, _ in ranked])
    yield from _capped([(f"SKIPPED {fold(nodes)}: {reason}", "yellow") for reason, nodes in tally.not_begun.items()])
    yield from _closing(tally, fixing=fixing, repair=repair)
    if not fixing:
        yield from _capped([(f"not running command {printable_text(text)} (always_run)", "") for text in always])


def in_a_line(tally: Tally, warnings: Sequence[str], stale: Sequence[StaleWaiver]) -> str:
    """Return the summary as one line: `9 nodes: 7 in sync, 2 drifted; 3 findings, 1 warning`."""
    numbers = {
        "finding": len(tally.findings) + len(tally.node_errors),
        "stale waiver": len(stale),
        "warning": len(warnings) + len(tally.notes),
    }
    more = ", ".join(f"{number:,} {word}{'' if number == 1 else 's'}" for word, number in numbers.items() if number)
    counts = in_words(tally.endings, restoring=tally.restoring) if tally.nodes else ""
    return "; ".join(text for text in (counts, more) if text)


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


def _capped(lines: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    yield from lines[:_MOST_FINDINGS]
    if len(lines) > _MOST_FINDINGS:
        yield f"... and {len(lines) - _MOST_FINDINGS} more findings, see the reports", ""


def _closing(tally: Tally, *, fixing: bool, repair: str) -> Iterator[tuple[str, str]]:
    yield in_words(tally.endings, restoring=tally.restoring), ""
    if not fixing and any(status is Status.DRIFT for status, _ in tally.findings):
        yield f"DRY RUN, nothing was changed. To put right what was found: {repair}", ""
    if tally.not_begun:
        yield "To go on with what failed and what was not begun: the same command with --lf", ""
