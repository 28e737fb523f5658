"""Outcomes of whole nodes, for --granularity=node: one outcome for all entries of a node under a check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pytest_synctool.audit.check import unexpected_pass
from pytest_synctool.model import OK, Outcome, Status
from pytest_synctool.report.ending import ending_of
from pytest_synctool.report.node_test_ids import NodeTests, shown_destination

_LISTED: Final = (Status.ERROR, Status.DRIFT, Status.WAIVED)  # in this order
_MOST_IN_LINE: Final = 3  # entries in the one-line message
_LONGEST_LINE: Final = 300  # characters
_MOST_LISTED: Final = 100  # entries below the message


def outcomes_of(tests: NodeTests, outcomes: Sequence[Outcome]) -> Iterator[tuple[str, Outcome, float]]:
    """Yield the node id, the outcome and the share of each test of a node. The shares add up to 1.

    `outcomes` are the outcomes of the node's entries. A share is the part of them that the test stands for.
    """
    start = 0
    for test in tests.whole:
        end = start + test.checks
        yield test.nodeid, _folded(tests.ids[start:end], outcomes[start:end]), test.checks / len(outcomes)
        start = end


def _folded(ids: Sequence[str], outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome that several outcomes of a node come to, by the same rule as the node's ending."""
    status = ending_of(None, outcomes).status
    match status:
        case Status.OK:
            return _passed(outcomes)
        case Status.FIXED:
            return Outcome(status)
        case Status.ERROR | Status.DRIFT:
            return Outcome(status, _line(ids, outcomes), tuple(_details(ids, outcomes)))
        case Status.WAIVED:
            waivers = dict.fromkeys(outcome.waiver for outcome in outcomes if outcome.waiver)
            details = tuple(_details(ids, outcomes))
            expected = next((outcome.xfail for outcome in outcomes if outcome.xfail), None)
            return Outcome(status, _line(ids, outcomes), details, waiver="; ".join(waivers), xfail=expected)
        case Status.SKIPPED:
            skipped = [outcome for outcome in outcomes if outcome.status is Status.SKIPPED]
            messages = dict.fromkeys(outcome.message for outcome in skipped)
            return Outcome(status, "; ".join(messages), skip=skipped[0].skip, xfail=skipped[0].xfail)


def _passed(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a node in sync, which may have been expected to fail."""
    expected = next((outcome.xfail for outcome in outcomes if outcome.xfail), None)
    if expected is None:
        return OK
    return unexpected_pass(expected.reason) if expected.strict else Outcome(Status.OK, xfail=expected)


def _listed(ids: Sequence[str], outcomes: Sequence[Outcome]) -> list[tuple[str, Outcome]]:
    pairs = zip(ids, outcomes, strict=True)
    listed = [(nodeid, outcome) for nodeid, outcome in pairs if outcome.status in _LISTED]
    return sorted(listed, key=lambda pair: _LISTED.index(pair[1].status))


def _line(ids: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """Return `2 drifted of 100: /etc/motd missing; /etc/ntp.conf mode 0600 -> 0644`: counts and the first entries."""
    statuses = [outcome.status for outcome in outcomes]
    words = {
        Status.ERROR: "with errors",
        Status.DRIFT: "drifted",
        Status.WAIVED: "waived",
        Status.FIXED: "fixed",
    }
    counts = ", ".join(f"{statuses.count(status)} {word}" for status, word in words.items() if status in statuses)
    listed = _listed(ids, outcomes)
    named = [f"{shown_destination(nodeid)} {outcome.message}" for nodeid, outcome in listed[:_MOST_IN_LINE]]
    more = [f"and {len(listed) - _MOST_IN_LINE} more"] if len(listed) > _MOST_IN_LINE else []
    line = f"{counts} of {len(statuses)}: {'; '.join([*named, *more])}"
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 3] + "..."


def _details(ids: Sequence[str], outcomes: Sequence[Outcome]) -> Iterator[str]:
    listed = _listed(ids, outcomes)
    for nodeid, outcome in listed[:_MOST_LISTED]:
        yield f"{shown_destination(nodeid)} {outcome.message}"
        yield from (f"  {detail}" for detail in outcome.details)
    if len(listed) > _MOST_LISTED:
        yield f"... and {len(listed) - _MOST_LISTED} more, listed with --granularity=entry"
