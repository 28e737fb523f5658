"""The age and the cause of drift, from the runs before. Pure.

Only a probe shows something. A node that could not be looked at and an entry that was skipped or unknown begin or end
no drift. A run that restores old versions ends none; it is the cause of the drift that later runs see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import Outcome, Status, Touched
from pytest_synctool.report.ending import NodeEnding
from pytest_synctool.report.expected_digest import UNREADABLE
from pytest_synctool.report.history_values import COMMAND, FIRST, MASTERDIR, NODE, RESTORE, UNKNOWN, Onset
from pytest_synctool.report.record import WITHOUT_COMPARISON, EntryName, NodeRecord, RunRecord

Signatures = Callable[[str, EntryName], str]
"""A short digest of what is asked for, by node and entry."""


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Entries with their signatures. Nodes alike share one object, which equals only itself and is a cheap key."""

    signatures: Mapping[EntryName, str]


@dataclass(frozen=True, slots=True)
class Begun:
    """The beginning of a state and its cause, as in an Onset."""

    since: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The known state of a node.

    `wanted` has every entry that was ever looked at, with the expected state of the last look. `drifts` differed then;
    `errors` could not be looked at the last time.
    """

    wanted: Wanted
    drifts: Mapping[EntryName, Begun]
    errors: Mapping[EntryName, Begun]


NO_ENTRIES: Final = Wanted({})
NOTHING: Final = Standing(NO_ENTRIES, {}, {})


@dataclass(frozen=True, slots=True)
class Look:
    """The results of a run on a node, and the known state of the node before and after.

    `wanted` are the entries that were not skipped; nodes alike share this object. `results` are those of them that were
    not in sync. With `error` the run saw nothing. `touched` has the times of paths that differ.
    """

    node: str
    ending: NodeEnding
    error: str | None
    wanted: Wanted
    results: Sequence[tuple[EntryName, Outcome, Onset]]
    before: Standing
    after: Standing
    touched: Mapping[EntryName, Touched] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A node of a run with the signature of each of its entries, in order; none if nothing was looked at."""

    record: NodeRecord
    signatures: tuple[str, ...]


def asked(run: RunRecord, signatures: Signatures, kept: Callable[[str], str]) -> list[Asked]:
    """Return the nodes of a run with their expected entries; `kept` maps a signature to its stored form."""
    nodes = {record.node: record for record in run.nodes}.values()
    return [Asked(n, tuple(kept(signatures(n.node, e)) for e in n.entries) if n.begun else ()) for n in nodes]


def looks(run: RunRecord, nodes: Sequence[Asked], before: Mapping[str, Standing]) -> Iterator[Look]:
    """Return the results of a run on its nodes, given their known states."""
    sharing = _Sharing()
    for node in nodes:
        standing = before.get(node.record.node, NOTHING)
        if node.record.begun:
            yield _look(run, node, standing, sharing)
        else:
            error = node.record.error
            text = None if error is None else error.text
            yield Look(node.record.node, node.record.ending, text, NO_ENTRIES, (), standing, standing)


class _Sharing:
    """A store that lets nodes alike share their expected entries: there are many nodes and few different ones."""

    def __init__(self) -> None:
        self._looked: dict[tuple[SharedList[EntryName], tuple[str, ...], frozenset[int]], Wanted] = {}
        self._known: dict[tuple[Wanted, Wanted], Wanted] = {}
        self._onsets: dict[tuple[datetime, str, bool], Onset] = {}
        self._begun: dict[tuple[datetime, str], Begun] = {}

    def looked(self, node: Asked, left_out: frozenset[int]) -> Wanted:
        """Return the entries of a node without those at some positions."""
        key = (node.record.entries, node.signatures, left_out)
        if key not in self._looked:
            pairs = zip(node.record.entries, node.signatures, strict=True)
            self._looked[key] = Wanted(
                {entry: s for position, (entry, s) in enumerate(pairs) if position not in left_out}
            )
        return self._looked[key]

    def known(self, before: Wanted, seen: Wanted) -> Wanted:
        """Return the known entries with these added; the same object if nothing is new."""
        key = (before, seen)
        if key not in self._known:
            known = before.signatures
            news = {e: s for e, s in seen.signatures.items() if s != UNREADABLE and known.get(e) != s}
            self._known[key] = Wanted({**known, **news}) if news else before
        return self._known[key]

    def onset(self, since: datetime, cause: str, known: bool) -> Onset:
        """Return an onset; there are many results and few different ones."""
        key = (since, cause, known)
        if key not in self._onsets:
            self._onsets[key] = Onset(*key)
        return self._onsets[key]

    def begun(self, onset: Onset) -> Begun:
        """Return the state that begins with an onset."""
        key = (onset.since, onset.cause)
        if key not in self._begun:
            self._begun[key] = Begun(*key)
        return self._begun[key]


def _look(run: RunRecord, node: Asked, before: Standing, sharing: _Sharing) -> Look:
    record = node.record
    skipped = frozenset(p for p, outcome in record.results if outcome.status is Status.SKIPPED)
    unread = frozenset(p for p, outcome in record.results if outcome.status is Status.ERROR)
    wanted = sharing.looked(node, skipped)
    entries = tuple(record.entries)
    results = [
        (
            entry := entries[p],
            outcome,
            sharing.onset(*_onset(run, entry, node.signatures[p], outcome, before)),
        )
        for p, outcome in record.results
        if outcome.status not in (Status.SKIPPED, Status.OK)
    ]
    if run.is_restoring:
        after = Standing(before.wanted, {**before.drifts, **_restored(results, before)}, before.errors)
    elif run.mode in WITHOUT_COMPARISON:
        after = before
    else:
        seen = sharing.looked(node, skipped | unread)
        drifts = {entry: begun for entry, begun in before.drifts.items() if entry not in seen.signatures}
        errors = {entry: begun for entry, begun in before.errors.items() if entry not in wanted.signatures}
        for entry, outcome, onset in results:
            if outcome.status is Status.ERROR:
                errors[entry] = sharing.begun(onset)
            elif not outcome.is_repaired:
                drifts[entry] = sharing.begun(onset)
        after = Standing(sharing.known(before.wanted, seen), drifts, errors)
        if wanted.signatures == after.wanted.signatures:  # the usual case; an equal set is not stored once more
            wanted = after.wanted
    touched = {record.entries[position]: times for position, times in record.touched.items()}
    return Look(record.node, record.ending, None, wanted, results, before, after, touched)


def _restored(results: Sequence[tuple[EntryName, Outcome, Onset]], before: Standing) -> dict[EntryName, Begun]:
    """Return the drift that a run of --restore leaves. Where a restoration failed, nobody knows how far it came."""
    begun: dict[EntryName, Begun] = {}
    for entry, outcome, onset in results:
        if outcome.status in (Status.FIXED, Status.DRIFT):
            earlier = before.drifts.get(entry, Begun(onset.since, onset.cause))
            begun[entry] = Begun(earlier.since, onset.cause if outcome.is_repaired else earlier.cause)
    return begun


def _onset(
    run: RunRecord, entry: EntryName, signature: str, outcome: Outcome, before: Standing
) -> tuple[datetime, str, bool]:
    """Return the values of the Onset of an entry's state. A fixed entry has that of the drift that it was."""
    if run.mode in WITHOUT_COMPARISON:
        return run.started, RESTORE if run.is_restoring and outcome.is_repaired else UNKNOWN, False
    if outcome.status is Status.ERROR:
        earlier, cause = before.errors.get(entry), UNKNOWN
    else:
        earlier, cause = before.drifts.get(entry), _cause(entry, signature, before)
    return run.started if earlier is None else earlier.since, cause, earlier is not None


def _cause(entry: EntryName, signature: str, before: Standing) -> str:
    """Return the cause of a drift, as far as it is known: a new check of the site, for one, leaves no trace."""
    drift = before.drifts.get(entry)
    previous = before.wanted.signatures.get(entry)
    if entry.is_command:
        return COMMAND
    if previous is not None and is_other(previous, signature):
        return MASTERDIR
    if drift is not None:
        return drift.cause
    if previous is None:
        return FIRST
    is_same = previous == signature != UNREADABLE
    return NODE if is_same and not entry.is_own else UNKNOWN


def is_other(before: str, after: str) -> bool:
    """Return True if two signatures certainly stand for different states."""
    return before != after and UNREADABLE not in (before, after) and _comparable(before, after)


def _comparable(before: str, after: str) -> bool:
    """Return True if two signatures were made with the same key."""
    return UNREADABLE in (before, after) or before.partition(":")[0] == after.partition(":")[0]
