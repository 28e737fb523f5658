"""Paths in no entry that a repair removes from exclusive directories, and those that it leaves there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from pytest_synctool.audit.check import Check
from pytest_synctool.audit.inspection import Inspection
from pytest_synctool.audit.rogue import removable
from pytest_synctool.model import Outcome, Status
from pytest_synctool.repair.apply import Applied
from pytest_synctool.repair.marked_entries import MarkedEntries
from pytest_synctool.repository.entry import Entry, EntryList, ExclusiveContents

REASON: Final = "not in the masterdir"


def exclusive_directories(entries: Iterable[Entry]) -> frozenset[bytes]:
    """Return the directories of a node that may have nothing else."""
    contents = entries.exclusive if isinstance(entries, EntryList) else ()
    return frozenset(directory for each in contents for directory in each.known)


@dataclass(frozen=True, slots=True)
class RoguePaths:
    """The paths to remove, as entries, by the exclusive directory; and the reasons why others stay, by path."""

    by_contents: Mapping[Entry, Sequence[Entry]] = field(default_factory=dict)
    kept: Mapping[Entry, Mapping[bytes, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, inspection: Inspection, pairs: Iterable[tuple[Check, Outcome]], marked: MarkedEntries) -> Self:
        """Return the paths that the last probe found, of those checks that found drift."""
        removed: dict[Entry, Sequence[Entry]] = {}
        kept: dict[Entry, Mapping[bytes, str]] = {}
        for check, outcome in pairs:
            contents = check.entry
            if not isinstance(contents, ExclusiveContents) or outcome.status is not Status.DRIFT:
                continue
            names = inspection.rogue_names(check)
            if isinstance(names, Outcome):
                continue
            entries = [contents.rogue(path, kind) for path, kind in sorted(names.items())]
            stays = {
                each.destination: reason
                for each in entries
                if (reason := removable(contents, each.destination, each.source.state.kind))
                or (reason := marked.of_change(each, inspection.overlay, moves=True))
            }
            removed[contents] = [each for each in entries if each.destination not in stays]
            kept[contents] = stays
        return cls(removed, kept)

    @property
    def removed(self) -> list[Entry]:
        """All paths to remove."""
        return [entry for entries in self.by_contents.values() for entry in entries]

    @property
    def reasons(self) -> dict[bytes, str]:
        """The line of a log that says why a path changes, by path."""
        return {entry.destination: REASON for entry in self.removed}

    def confirmed(self, check: Check, before: Outcome, after: Outcome, applied: Applied) -> Outcome:
        """Return the outcome of an exclusive directory after the repair; `after` is that of the second probe."""
        if before.status is not Status.DRIFT:
            return after
        paths = [entry.destination for entry in self.by_contents.get(check.entry, ())]
        failures = [failure for path in paths if (failure := applied.failure(path, right=after.status is Status.OK))]
        ran = "".join(dict.fromkeys(applied.ran(path) for path in paths))
        output = tuple(dict.fromkeys(line for path in paths for line in applied.output(path)))
        if after.status is Status.OK and not failures:
            if applied.refused:
                return after
            return before.fixed(f"removed ({before.message}){ran}", (*before.details, *output), has_remark=bool(ran))
        if after.status is Status.OK:
            return replace(before, message=f"put right, but {failures[0]}", has_remark=True, was_set=True)
        reasons = Counter([*failures, *self.kept.get(check.entry, {}).values()])
        if after.status is not Status.DRIFT or not reasons:
            return after
        return replace(after, message=f"{after.message}, not fixed: {_in_words(reasons)}", has_remark=True)

    def left_alone(self, check: Check, outcome: Outcome) -> Outcome:
        """Return the outcome of an exclusive directory of which nothing is removed, with the reason."""
        stays = self.kept.get(check.entry)
        if not stays or self.by_contents[check.entry]:
            return outcome
        reasons = Counter(stays.values())
        return replace(outcome, message=f"{outcome.message}, left alone: {_in_words(reasons)}", has_remark=True)


NOTHING_ROGUE: Final = RoguePaths()


def _in_words(reasons: Mapping[str, int]) -> str:
    first, *others = reasons
    return first + (f" (and {len(others)} other reason{'s' if len(others) > 1 else ''})" if others else "")
