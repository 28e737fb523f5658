"""The checks of the compliance suite, for runs without pytest: the same entries under the same comparisons."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pytest_synctool.audit.check import Check
from pytest_synctool.audit.compare import compare, compare_absent, compare_owed
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.commands import Command, commands_of, task
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Tree


def checks(
    entries: Sequence[Entry],
    *,
    single: Collection[bytes] = (),
    tasks: bool = False,
    always: Sequence[tuple[Entry, Command]] = (),
) -> list[Check]:
    """The checks of a node with these entries: of all, or of the destinations in `single` alone.

    With `tasks` those are among them; `always` are commands that are run in any case, and what stands for them.
    """
    chosen = [entry for entry in entries if not single or entry.destination in single]
    found = [Check(entry, _same) for entry in chosen if entry.tree is not Tree.TASKS]
    found += [Check(entry, _not_owed, command) for entry in chosen for command in commands_of(entry)]
    if tasks:
        found += [Check(entry, _never, task(entry)) for entry in chosen if entry.tree is Tree.TASKS]
    return found + [Check(entry, _never, command) for entry, command in always]


def _same(entry: Entry, actual: FileState | Absent) -> list[Change]:
    return compare_absent(actual) if entry.tree is Tree.DELETE else compare(entry.expected, actual)


def _not_owed(entry: Entry, actual: FileState | Absent) -> list[Change]:
    del entry
    return compare_owed(actual)


def _never(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """What is run is not compared."""
    raise AssertionError(f"{entry.source.shown} was to be compared with {actual}")
