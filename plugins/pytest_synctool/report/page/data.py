"""The data of the page's script, as JSON that can stand in a script element. Recurring values are in it once."""

from __future__ import annotations

import json
from collections.abc import Hashable
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.wording import printable_text
from pytest_synctool.model import Outcome
from pytest_synctool.report.grouping import waiver_in_words
from pytest_synctool.report.history_values import Onset, Onsets
from pytest_synctool.report.links import NO_LINKS, Links
from pytest_synctool.report.record import EntryName, NodeRecord, RunRecord

_MOST_OF_DIFFS: Final = 8 << 20  # characters of all of them together
_NOTHING: Final = -1
_LEFT_OUT: Final = -2
_UNSEEN: Final = "unseen"
_ESCAPED: Final = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&"})
_T = TypeVar("_T", bound=Hashable)


def data(run: RunRecord, onsets: Onsets, links: Links = NO_LINKS) -> str:
    """Return the run as JSON in ASCII, without `<`, `>` and `&`. Contents of the arrays:

    - entries: [kind, path, check, name in test ids]
    - sets: numbers of entries
    - findings: [outcome, message, [[what, expected, found], ...], source, number of the diff, waiver]; the number is -1
      where there is none and -2 where it is left out
    - details: lines
    - lives: [since, cause] of an onset
    - found: [finding, number of its details or -1, number of its onset or -1]
    - nodes: [name, groups, outcome, error, set, seconds, what was done, notes, [position in the set, found, ...]]
    """
    tables = _Tables(onsets)
    nodes = [tables.node(run, node) for node in run.nodes]
    values = {
        "mode": run.mode,
        "run": printable_text(run.id),
        "base": links.base,
        "configuration": printable_text(run.configuration),
        "entries": [_entry(entry) for entry in tables.entries.values],
        "sets": tables.sets,
        "findings": tables.findings.values,
        "details": [[printable_text(line) for line in lines] for lines in tables.details.values],
        "lives": [[readable(onset.since), onset.cause] for onset in tables.onsets.values],
        "found": tables.results.values,
        "diffs": tables.diffs,
        "nodes": nodes,
    }
    return json.dumps(values, separators=(",", ":")).translate(_ESCAPED)


class _Numbers(Generic[_T]):
    """Values by number, equal ones once."""

    def __init__(self) -> None:
        self._numbers: dict[_T, int] = {}

    @property
    def values(self) -> list[_T]:
        return list(self._numbers)

    def of(self, value: _T) -> int:
        return self._numbers.setdefault(value, len(self._numbers))


class _Tables:
    """The values that nodes share, as far as rows have been made."""

    def __init__(self, onsets: Onsets) -> None:
        self.entries: _Numbers[EntryName] = _Numbers()
        self.sets: list[list[int]] = []
        self.findings: _Numbers[tuple[Hashable, ...]] = _Numbers()
        self.details: _Numbers[tuple[str, ...]] = _Numbers()
        self.onsets: _Numbers[Onset] = _Numbers()
        self.results: _Numbers[tuple[int, int, int]] = _Numbers()
        self.diffs: list[str] = []
        self._onsets = onsets
        self._sets: dict[SharedList[EntryName], int] = {}
        # By id(): hashing an outcome reads its changes and details, and a run has one for each entry that is not OK.
        # The run keeps its outcomes alive. Equal ones that are two objects only take the slower way through `findings`.
        self._outcomes: dict[int, tuple[int, int]] = {}
        self._diffs: dict[str, int] = {}
        self._room = _MOST_OF_DIFFS

    def node(self, run: RunRecord, node: NodeRecord) -> list[Any]:
        """Return the row of a node."""
        pairs: list[int] = []
        for position, outcome in node.results:
            onset = self._onsets.get((node.node, node.entries[position]))
            number = _NOTHING if onset is None else self.onsets.of(onset)
            pairs += (position, self.results.of((*self._outcome(outcome), number)))
        return [
            printable_text(node.node),
            [printable_text(group) for group in run.groups.get(node.node, ())],
            node.ending.value,
            None if node.error is None else printable_text(node.error.text),
            self._set(node.entries),
            round(node.duration, 3),
            [printable_text(line) for line in node.done],
            [printable_text(line) for line in node.notes],
            pairs,
        ]

    def _set(self, entries: SharedList[EntryName]) -> int:
        """Return the number of the set of entries that nodes alike share as one object."""
        number = self._sets.setdefault(entries, len(self.sets))
        if number == len(self.sets):
            self.sets.append([self.entries.of(entry) for entry in entries])
        return number

    def _outcome(self, outcome: Outcome) -> tuple[int, int]:
        """Return the numbers of a result and of its details; equal outcomes are mostly one object."""
        known = self._outcomes.get(id(outcome))
        if known is None:
            lines = _beyond(outcome)
            number = self.findings.of(self._finding(outcome))
            known = (number, self.details.of(lines) if lines else _NOTHING)
            self._outcomes[id(outcome)] = known
        return known

    def _finding(self, outcome: Outcome) -> tuple[Hashable, ...]:
        return (
            _UNSEEN if outcome.is_missed else outcome.status.value,
            printable_text(outcome.message),
            tuple(tuple(map(printable_text, (c.what, c.expected, c.found))) for c in outcome.changes),
            printable_text(outcome.source),
            self._diff(outcome.diff),
            printable_text(outcome.waiver),
        )

    def _diff(self, text: str) -> int:
        if not text:
            return _NOTHING
        if text not in self._diffs:
            shown = "\n".join("\t".join(map(printable_text, line.split("\t"))) for line in text.split("\n"))
            fits = len(shown) <= self._room
            self._diffs[text] = len(self.diffs) if fits else _LEFT_OUT
            if fits:
                self._room -= len(shown)
                self.diffs.append(shown)
        return self._diffs[text]


def readable(when: datetime) -> str:
    """Return a time for people, `2026-11-25 03:14:15+01:00`."""
    return when.isoformat(" ", "seconds")


def _beyond(outcome: Outcome) -> tuple[str, ...]:
    """Return the details that add something to the table of changes and the source."""
    repeated = {f"{change.what}: expected {change.expected}, found {change.found}" for change in outcome.changes}
    repeated |= {f"source: {outcome.source}", waiver_in_words(outcome)}
    return tuple(line for line in outcome.details if line not in repeated)


def _entry(entry: EntryName) -> list[str]:
    return [entry.kind, entry.path, printable_text(entry.check), printable_text(entry.name)]
