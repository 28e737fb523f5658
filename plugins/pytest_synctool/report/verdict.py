"""The verdict on a run: one answer for all reports."""

from __future__ import annotations

from enum import Enum

from pytest_synctool.model import Status
from pytest_synctool.report.ending import NodeEnding
from pytest_synctool.report.record import RunRecord


class RunVerdict(Enum):
    """Verdicts on a run, from bad to good. A run that restores has two of its own."""

    UNSEEN = "not everything could be looked at"
    NOT_RESTORED = "not everything could be put back"
    RESTORED = "old versions put back"
    DRIFT = "drift"
    STALE = "stale waivers"
    FAILED = "the run failed"
    WAIVED = "nothing but waived drift"
    NOTHING = "nothing was looked at"
    FIXED = "fixed"
    IN_SYNC = "in sync"


def verdict(run: RunRecord) -> RunVerdict:
    """Return the verdict on a run; it is good only if all entries were looked at and the exit status is 0."""
    nodes, entries = run.node_counts(), run.entry_counts()
    if not run.everything_seen or not run.selected:
        return RunVerdict.UNSEEN
    if run.is_restoring:
        return RunVerdict.NOT_RESTORED if nodes[NodeEnding.DRIFTED] or run.exit_status else RunVerdict.RESTORED
    if nodes[NodeEnding.DRIFTED]:
        return RunVerdict.DRIFT
    if run.stale_waivers:
        return RunVerdict.STALE
    if run.exit_status:
        return RunVerdict.FAILED
    if nodes[NodeEnding.WAIVED]:
        return RunVerdict.WAIVED
    if not entries[Status.OK.value] + entries[Status.FIXED.value]:
        return RunVerdict.NOTHING
    return RunVerdict.FIXED if nodes[NodeEnding.FIXED] else RunVerdict.IN_SYNC
