"""The decision after an audit: which drift the repair changes, and which it leaves alone for a waiver or a refusal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pytest_synctool.audit.check import AuditBinding, Check
from pytest_synctool.audit.inspection import Inspection
from pytest_synctool.model import ABSENT, MISSING, Absent, FileState, Kind, Outcome, Status, Unknown
from pytest_synctool.repair.kept_names import reserved
from pytest_synctool.repair.marked_entries import MarkedEntries
from pytest_synctool.repair.plan import Plan, plan, same_content
from pytest_synctool.repair.rogue_paths import RoguePaths, exclusive_directories
from pytest_synctool.repair.waiver_conflicts import behind_links, below_missing
from pytest_synctool.repository.entry import Entry, ExclusiveContents
from pytest_synctool.repository.entry_commands import OwnedCommand
from pytest_synctool.repository.source import Tree, parents

DriftedEntries = dict[Entry, FileState | Absent]


@dataclass(frozen=True)
class Decision:
    """The plan for one node, and the drift that stays.

    `reasons` has the line that says why a path changes, by path: `missing`. `waived` has the reason why drift stays
    although no waiver names it, by destination. `rogue` are the paths in no entry. `marked` are the entries and
    commands that marks keep.
    """

    plan: Plan
    reasons: Mapping[bytes, str]
    waived: Mapping[bytes, str] = field(default_factory=dict)
    rogue: RoguePaths = field(default_factory=RoguePaths)
    marked: MarkedEntries = field(default_factory=MarkedEntries)

    def left_alone(self, check: Check, outcome: Outcome) -> Outcome:
        """Return the outcome of a check whose drift the repair leaves alone, with the reason; any other unchanged."""
        if isinstance(check.entry, ExclusiveContents):
            return self.rogue.left_alone(check, _refused(check, outcome))
        if check.command is None:
            reason = self.waived.get(check.entry.destination)
        else:
            reason = self.marked.of_command(OwnedCommand(check.entry, check.command))
        if outcome.status is Status.DRIFT and reason is not None:
            return replace(outcome, message=f"{outcome.message}, left alone: {reason}", has_remark=True)
        return _refused(check, outcome)


NO_MIRROR: Final = "the controller makes its contents, and no files can be carried over this connection"


def decide(
    inspection: Inspection, checks: Sequence[Check], outcomes: Sequence[Outcome], made_in: bytes | None
) -> Decision:
    """Decide how to repair the drift of one node.

    `made_in` is the directory on the node to which contents come that the controller makes, or None if they cannot.

    Probes entries that were not selected where the decision depends on them. Raises TransportError and RemoteError.
    """
    pairs = list(zip(checks, outcomes, strict=True))
    refused = {c.entry.destination for c, outcome in pairs if c.command is None and _differs_from_audit(c, outcome)}
    drifted = _drifted(inspection, checks, outcomes)
    waived = _kept_for_waivers(inspection, checks, outcomes, drifted)
    marked = MarkedEntries.of(checks, outcomes)
    drifted = _with_hidden_by_links(
        inspection, checks, {entry: actual for entry, actual in drifted.items() if entry.destination not in waived}
    )
    waived |= _kept_for_marks(inspection, checks, drifted, marked)
    if made_in is None:
        waived |= {entry.destination: NO_MIRROR for entry, actual in drifted.items() if _needs_contents(entry, actual)}
    drifted = {entry: actual for entry, actual in drifted.items() if entry.destination not in waived}
    owed = [OwnedCommand(c.entry, c.command) for c, o in pairs if c.command is not None and o.status is Status.DRIFT]
    owed = [command for command in owed if marked.of_command(command) is None]
    tasks = [OwnedCommand(c.entry, c.command) for c in checks if c.command is not None and c.is_task]
    tasks = [task for task in tasks if marked.of_command(task) is None]
    changing = [(entry, actual) for entry, actual in drifted.items() if entry.destination not in refused]
    rogue = RoguePaths.of(inspection, [pair for pair in pairs if pair[0].entry.destination not in refused], marked)
    exclusive = exclusive_directories(inspection.entries)
    masterdir = os.fsencode(inspection.masterdir)
    named = reserved(inspection.entries)
    todo = plan(changing, inspection.overlay, masterdir, owed, tasks, rogue.removed, exclusive, made_in, named)
    reasons = _missing_directories(inspection, checks, todo) | rogue.reasons
    reasons |= {c.entry.destination: o.message for c, o in pairs if o.status is Status.DRIFT and c.command is None}
    return Decision(todo, reasons, waived, rogue, marked)


def _drifted(inspection: Inspection, checks: Sequence[Check], outcomes: Sequence[Outcome]) -> DriftedEntries:
    drifted: DriftedEntries = {}
    for check, outcome in zip(checks, outcomes, strict=True):
        actual = inspection.actual.get(check.entry.probed_path) if check.command is None else None
        if outcome.status is Status.DRIFT and actual is not None and not isinstance(actual, Unknown):
            drifted[check.entry] = actual
    return drifted


def _with_hidden_by_links(inspection: Inspection, checks: Sequence[Check], drifted: DriftedEntries) -> DriftedEntries:
    """Return the drift with the entries added that a probe saw only through a link which becomes a directory."""
    links = tuple(e.destination + b"/" for e, actual in drifted.items() if _becomes_directory(e, actual))
    if not links:
        return drifted
    files = (check.entry for check in checks if check.entry.tree is Tree.OVERLAY and check.command is None)
    below = [entry for entry in files if entry.destination.startswith(links)]
    return drifted | {entry: ABSENT for entry in below if inspection.has_source(entry)}


def _kept_for_waivers(
    inspection: Inspection, checks: Sequence[Check], outcomes: Sequence[Outcome], drifted: DriftedEntries
) -> dict[bytes, str]:
    """Return the reason why repairing an entry would change waived drift, by destination."""
    waivers, node, overlay = inspection.waivers, inspection.node, inspection.overlay
    if not waivers:
        return {}
    missing = [e.destination for e, actual in drifted.items() if e.tree is Tree.OVERLAY and actual is ABSENT]
    above = {
        overlay[parent]: waiver.place
        for parent in {parent for path in missing for parent in parents(path) if parent in overlay}
        if (waiver := waivers.waiver(node, parent)) is not None
    }
    if above:
        unprobed = [entry for entry in above if entry.probed_path not in inspection.actual]
        inspection.probe_unselected(unprobed, checks[0])
    gone = {entry.destination: place for entry, place in above.items() if inspection.is_absent(entry)}
    links = [entry.destination for entry, actual in drifted.items() if _becomes_directory(entry, actual)]
    waived = {
        check.entry.destination: waiver.place
        for check, outcome in zip(checks, outcomes, strict=True)
        if outcome.status is Status.WAIVED
        if (waiver := waivers.waiver(node, check.entry.destination)) is not None
    }
    return below_missing(missing, gone) | behind_links(links, waived)


def _kept_for_marks(
    inspection: Inspection, checks: Sequence[Check], drifted: DriftedEntries, marked: MarkedEntries
) -> dict[bytes, str]:
    """Return the reason why repairing an entry would change what a mark keeps, by destination."""
    if not marked:
        return {}
    overlay = inspection.overlay
    missing = [e.destination for e, actual in drifted.items() if e.tree is Tree.OVERLAY and actual is ABSENT]
    above = {overlay[parent] for path in missing for parent in parents(path) if parent in overlay}
    kept = {entry: reason for entry in above if (reason := marked.of_creation(entry, overlay)) is not None}
    unprobed = [entry for entry in kept if entry.probed_path not in inspection.actual and inspection.has_source(entry)]
    inspection.probe_unselected(unprobed, checks[0])
    gone = {entry.destination: reason for entry, reason in kept.items() if inspection.is_absent(entry)}
    reasons = {}
    for entry, actual in drifted.items():
        inside = next((gone[parent] for parent in parents(entry.destination) if parent in gone), None)
        reason = marked.of_change(entry, overlay, moves=_moves(entry, actual)) or inside
        if reason is not None:
            reasons[entry.destination] = reason
    return reasons


def _needs_contents(entry: Entry, actual: FileState | Absent) -> bool:
    """Return True if a repair brings contents that the controller has made."""
    is_made = entry.source.made is not None
    return is_made and not (isinstance(actual, FileState) and same_content(entry.expected, actual))


def _moves(entry: Entry, actual: FileState | Absent) -> bool:
    """Return True if a repair moves away or deletes a directory, or a link that may lead to one."""
    if not isinstance(actual, FileState) or actual.kind not in (Kind.DIRECTORY, Kind.LINK):
        return False
    return entry.tree is Tree.DELETE or actual.kind is not entry.expected.kind or actual.target != entry.expected.target


def _missing_directories(inspection: Inspection, checks: Sequence[Check], todo: Plan) -> dict[bytes, str]:
    """Return `missing` for each directory that the plan makes, that was not selected and is not there."""
    selected = {check.entry.destination for check in checks if check.command is None}
    others = (action.path for action in todo.actions if action.path not in selected)
    needed = [inspection.overlay[path] for path in others if path in inspection.overlay]
    if needed:
        inspection.probe_unselected(needed, checks[0])
    return {entry.destination: MISSING for entry in needed if inspection.is_absent(entry)}


def _differs_from_audit(check: Check, outcome: Outcome) -> bool:
    """Return True if a check found other drift than the audit that its repair is bound to."""
    return outcome.status is Status.DRIFT and check.audited not in (AuditBinding.NONE, outcome.message)


def _refused(check: Check, outcome: Outcome) -> Outcome:
    """Return the outcome of a check whose drift the last audit did not see; any other unchanged."""
    if not _differs_from_audit(check, outcome):
        return outcome
    if check.audited is AuditBinding.IN_SYNC:
        message = f"not found by the audit: {outcome.message}; look again before --fix"
    else:
        message = f"changed since the audit: was {check.audited}, is {outcome.message}; look again before --fix"
    return replace(outcome, message=message, has_remark=True)


def _becomes_directory(entry: Entry, actual: FileState | Absent) -> bool:
    """Return True if the repair replaces a symbolic link by a directory, wherever the link leads."""
    if entry.tree is not Tree.OVERLAY or not isinstance(actual, FileState):
        return False
    return actual.kind is Kind.LINK and entry.expected.kind is Kind.DIRECTORY and entry.follow is False
