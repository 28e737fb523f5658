"""One outcome for all entries of a node: what --granularity=node reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pytest_synctool.model import OK, Outcome, Status
from pytest_synctool.report.node_tests import NodeTests, shown_destination

_TOLD: Final = (Status.ERROR, Status.DRIFT, Status.WAIVED)
_MOST_NAMED: Final = 3  # in the line
_LONGEST_LINE: Final = 300  # characters
_MOST_TOLD: Final = 100  # below it


def outcomes_of(tests: NodeTests, outcomes: Sequence[Outcome]) -> Iterator[tuple[str, Outcome, float]]:
    """The node id of each test of a node, its outcome, and its share of the node's entries (all of them: 1).

    `outcomes` are those of its entries.
    """
    start = 0
    for test in tests.whole:
        end = start + test.checks
        yield test.nodeid, _folded(tests.ids[start:end], outcomes[start:end]), test.checks / len(outcomes)
        start = end


def _folded(ids: Sequence[str], outcomes: Sequence[Outcome]) -> Outcome:
    """The worst of several outcomes; what was restored makes up for what there was nothing to restore of."""
    if outcomes.count(OK) == len(outcomes):  # nearly always
        return OK
    found = {outcome.status for outcome in outcomes}
    for status in (Status.ERROR, Status.DRIFT):
        if status in found:
            return Outcome(status, _line(ids, outcomes), tuple(_details(ids, outcomes)))
    if Status.WAIVED in found:
        waivers = dict.fromkeys(outcome.waiver for outcome in outcomes if outcome.waiver)
        details = tuple(_details(ids, outcomes))
        return Outcome(Status.WAIVED, _line(ids, outcomes), details, waiver="; ".join(waivers))
    if Status.FIXED in found:
        return Outcome(Status.FIXED)
    if Status.SKIPPED in found:
        messages = dict.fromkeys(outcome.message for outcome in outcomes if outcome.status is Status.SKIPPED)
        return Outcome(Status.SKIPPED, "; ".join(messages))
    return OK


def _told(ids: Sequence[str], outcomes: Sequence[Outcome]) -> list[tuple[str, Outcome]]:
    pairs = zip(ids, outcomes, strict=True)
    failed = [(nodeid, outcome) for nodeid, outcome in pairs if outcome.status in _TOLD]
    return sorted(failed, key=lambda pair: _TOLD.index(pair[1].status))


def _line(ids: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """`2 drifted of 100: /etc/motd missing, /etc/ntp.conf mode mismatch`: counts and the first findings."""
    found = [outcome.status for outcome in outcomes]
    words = {
        Status.ERROR: "with errors",
        Status.DRIFT: "drifted",
        Status.WAIVED: "waived",
        Status.FIXED: "fixed",
    }
    counts = ", ".join(f"{found.count(status)} {word}" for status, word in words.items() if status in found)
    failed = _told(ids, outcomes)
    named = [f"{shown_destination(nodeid)} {outcome.message}" for nodeid, outcome in failed[:_MOST_NAMED]]
    more = [f"and {len(failed) - _MOST_NAMED} more"] if len(failed) > _MOST_NAMED else []
    line = f"{counts} of {len(found)}: {'; '.join([*named, *more])}"
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 3] + "..."


def _details(ids: Sequence[str], outcomes: Sequence[Outcome]) -> Iterator[str]:
    failed = _told(ids, outcomes)
    for nodeid, outcome in failed[:_MOST_TOLD]:
        yield f"{shown_destination(nodeid)} {outcome.message}"
        yield from (f"  {detail}" for detail in outcome.details)
    if len(failed) > _MOST_TOLD:
        yield f"... and {len(failed) - _MOST_TOLD} more, which --granularity=entry tells"
