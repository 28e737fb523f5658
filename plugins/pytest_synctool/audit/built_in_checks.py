"""The checks of the compliance suite for runs without pytest: the same entries, the same comparisons."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pytest_synctool.audit.check import Check
from pytest_synctool.audit.compare import compare, compare_absent, compare_owed
from pytest_synctool.model import Absent, Change, FileState, Kind
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.entry_commands import OwnedCommand, commands_of, owners, task
from pytest_synctool.repository.source import Source, Tree


def checks(
    entries: Sequence[Entry],
    *,
    single: Collection[bytes] = (),
    tasks: bool = False,
    always: Sequence[OwnedCommand] = (),
) -> list[Check]:
    """Return the checks of a node with these entries: of all, or only of the destinations in `single`.

    With `tasks` only those of tasks: 4.x runs nothing else with -t. `always` are commands that every repair runs, each
    with the entry that stands for it.
    """
    chosen = [entry for entry in entries if not single or entry.destination in single]
    if tasks:
        return [Check(entry, _never, task(entry)) for entry in chosen if entry.tree is Tree.TASKS]
    made = [Check(entry, _same) for entry in chosen if entry.tree is not Tree.TASKS]
    exclusive = entries.exclusive if isinstance(entries, EntryList) else ()
    made += [Check(each, _none) for each in exclusive if not single or each.destination.rstrip(b"/") in single]
    owning = chosen if single else owners(chosen)
    made += [Check(entry, _not_owed, command) for entry in owning for command in commands_of(entry)]
    return made + [Check(owned.owner, _never, owned.command) for owned in always]


def answers(masterdir: bytes) -> Check:
    """Return the check of a node for which the masterdir has nothing: it has a root directory, so it answers.

    Otherwise nobody would look at the node, and a dead one would pass.
    """
    root = Source(Tree.OVERLAY, masterdir, b"overlay", b"/", FileState(Kind.DIRECTORY, 0o755, 0, 0, 0))
    return Check(Entry(root), _is_there)


def _is_there(entry: Entry, actual: FileState | Absent) -> list[Change]:
    return [] if isinstance(actual, FileState) else compare(entry.expected, actual)


def _same(entry: Entry, actual: FileState | Absent) -> list[Change]:
    return compare_absent(actual) if entry.tree is Tree.DELETE else compare(entry.expected, actual)


def _none(entry: Entry, actual: FileState | Absent) -> list[Change]:
    del entry
    return compare_absent(actual)


def _not_owed(entry: Entry, actual: FileState | Absent) -> list[Change]:
    del entry
    return compare_owed(actual)


def _never(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Refuse to compare: a command of this kind is run."""
    raise AssertionError(f"{entry.source.shown} was to be compared with {actual}")
