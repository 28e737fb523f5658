"""The decision after an audit: what a repair changes, and what marked tests keep. No node is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
from pytest_synctool.audit.check import Check, ExpectedFailure
from pytest_synctool.audit.inspection import Inspection
from pytest_synctool.model import ABSENT, Absent, Change, FileState, Kind, Outcome, Skip, Status, Xfail
from pytest_synctool.repair.decision import Decision, decide
from pytest_synctool.repair.marked_entries import MarkedEntries
from pytest_synctool.repository import entry_commands
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.entry_commands import Command, OwnedCommand
from pytest_synctool.repository.source import Tree

from tests_meta.unit.helpers import entry, node, state

DIRECTORY: Final = state(Kind.DIRECTORY, mode=0o755)
SKIPPED: Final = Outcome(Status.SKIPPED, "no", skip=Skip.MARKED)
NOT_RUN: Final = Outcome(Status.SKIPPED, "no", skip=Skip.MARKED, xfail=Xfail("no"))
NOT_SET_UP: Final = Outcome(Status.ERROR, "OSError: no")
DRIFT: Final = Outcome(Status.DRIFT, "missing")
XFAIL: Final = ExpectedFailure("known")


def function(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Find nothing: outcomes are given."""
    del entry, actual
    return []


def check(one: Entry, command: Command | None = None, settled: Outcome | None = None) -> Check:
    """Return a check of an entry or of its command."""
    return Check(one, function, command, settled=settled)


def decision(
    pairs: Sequence[tuple[Check, Outcome]], actual: Mapping[bytes, FileState | Absent], *more: Entry
) -> Decision:
    """Decide for checks with their outcomes. `more` are entries without a check; a node that is asked is an error."""
    entries = list(dict.fromkeys([*(check.entry for check, _ in pairs), *more]))
    nobody: object = None
    inspection = Inspection(node(), entries, nobody, Path("/m"), 1.0, actual={**actual})  # type: ignore[arg-type]
    return decide(inspection, [check for check, _ in pairs], [outcome for _, outcome in pairs], None)


def changed(made: Decision) -> list[bytes]:
    """Return the paths that a plan changes."""
    return [action.path for action in made.plan.actions]


FILE: Final = entry(b"/d/file")
OTHER: Final = entry(b"/d/other")
PARENT: Final = entry(b"/d", DIRECTORY)


@pytest.mark.parametrize("settled", [SKIPPED, NOT_RUN, NOT_SET_UP])
def test_a_settled_entry_stays(settled: Outcome) -> None:
    pairs = [(check(FILE, settled=settled), settled), (check(OTHER), DRIFT)]
    made = decision(pairs, {b"/d/file": ABSENT, b"/d/other": ABSENT})
    assert changed(made) == [b"/d/other"]


def test_an_entry_with_two_tests_stays_if_one_is_marked() -> None:
    """Its other test finds drift, and says why it stays."""
    pairs = [(check(FILE), DRIFT), (check(FILE, settled=SKIPPED), SKIPPED)]
    made = decision(pairs, {b"/d/file": ABSENT})
    assert changed(made) == []
    assert made.left_alone(*pairs[0]).message == "missing, left alone: its test is skipped"
    assert made.left_alone(*pairs[1]) == SKIPPED


@pytest.mark.parametrize("outcome", [Outcome(Status.WAIVED, "missing", xfail=Xfail("known")), DRIFT])
def test_an_expected_failure_stays(outcome: Outcome) -> None:
    """Also one whose exception the mark does not accept."""
    made = decision([(Check(FILE, function, expected=XFAIL), outcome)], {b"/d/file": ABSENT})
    assert changed(made) == []


@pytest.mark.parametrize("owner", [b"/d/file", b"/d"])
def test_an_entry_stays_whose_repair_would_run_a_marked_command(owner: bytes) -> None:
    """The command may be that of its directory."""
    trigger = b"overlay/x.post"
    file = entry(b"/d/file", trigger=trigger if owner == b"/d/file" else None)
    parent = entry(b"/d", DIRECTORY, trigger=trigger if owner == b"/d" else None)
    marked = file if owner == b"/d/file" else parent
    command = Command("post", trigger)
    pairs = [(check(file), DRIFT), (check(marked, command, SKIPPED), SKIPPED)]
    made = decision(pairs, {b"/d/file": ABSENT, b"/d": DIRECTORY}, parent)
    assert (changed(made), made.plan.triggers) == ([], ())
    assert "it would run overlay/x.post of " in made.left_alone(*pairs[0]).message


def test_an_owed_command_of_a_skipped_entry_does_not_run() -> None:
    file = entry(b"/d/file", trigger=b"overlay/x.post")
    owed = Outcome(Status.DRIFT, "command owed")
    pairs = [(check(file, settled=SKIPPED), SKIPPED), (check(file, Command("post", b"overlay/x.post")), owed)]
    made = decision(pairs, {b"/d/file": ABSENT})
    assert made.plan.triggers == ()
    assert made.left_alone(*pairs[1]).message == "command owed, left alone: its test is skipped"


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_marked_task_does_not_run(is_marked: bool) -> None:
    one, two = (entry(name, tree=Tree.TASKS) for name in (b"/a", b"/b"))
    pairs = [(check(each, entry_commands.task(each)), Outcome(Status.SKIPPED)) for each in (one, two)]
    if is_marked:
        pairs[0] = (check(one, entry_commands.task(one), SKIPPED), SKIPPED)
    made = decision(pairs, {})
    assert [trigger.path for trigger in made.plan.triggers] == ([b"/b"] if is_marked else [b"/a", b"/b"])


def test_nothing_is_made_below_a_marked_directory_that_is_missing() -> None:
    pairs = [(check(PARENT, settled=SKIPPED), SKIPPED), (check(FILE), DRIFT)]
    made = decision(pairs, {b"/d": ABSENT, b"/d/file": ABSENT})
    assert changed(made) == []
    assert made.left_alone(*pairs[1]).message == "missing, left alone: /d is missing, and its test is skipped"
    there = decision(pairs, {b"/d": DIRECTORY, b"/d/file": ABSENT})
    assert changed(there)[-1] == b"/d/file"  # before it: making the directory if it has gone since


@pytest.mark.parametrize("in_the_way", [state(Kind.LINK, target=b"/else"), DIRECTORY])
def test_what_has_a_marked_entry_below_it_is_not_moved_away(in_the_way: FileState) -> None:
    link = entry(b"/d", state(Kind.LINK, target=b"/new"))
    pairs = [(check(link), DRIFT), (check(FILE, settled=SKIPPED), SKIPPED)]
    made = decision(pairs, {b"/d": in_the_way})
    assert changed(made) == []
    assert "/d/file is below it, and its test is skipped" in made.left_alone(*pairs[0]).message
    free = decision([pairs[0], (check(entry(b"/dd/file"), settled=SKIPPED), SKIPPED)], {b"/d": in_the_way})
    assert changed(free) == [b"/d"]


def test_a_link_is_not_deleted_with_a_marked_entry_below_it() -> None:
    """Nobody knows whether it leads to the entry."""
    gone, link = entry(b"/d", tree=Tree.DELETE), state(Kind.LINK, target=b"/else")
    pairs = [(check(gone), Outcome(Status.DRIFT, "exists")), (check(FILE, settled=SKIPPED), SKIPPED)]
    assert changed(decision(pairs, {b"/d": link})) == []
    assert changed(decision(pairs[:1], {b"/d": link})) == [b"/d"]


def test_marked_entries_are_those_of_marked_tests_alone() -> None:
    other = [Outcome(Status.SKIPPED, "no"), Outcome(Status.OK), DRIFT, NOT_SET_UP, Outcome(Status.WAIVED)]
    assert not MarkedEntries.of([check(FILE)] * len(other), other)
    marked = MarkedEntries.of([check(FILE, settled=SKIPPED), Check(OTHER, function, expected=XFAIL)], [SKIPPED, DRIFT])
    assert marked.entries == {b"/d/file": "its test is skipped", b"/d/other": "its test is marked xfail"}


def test_the_mark_of_an_entry_is_not_for_its_task() -> None:
    """A task runs on request, whatever the path of the same name is like."""
    marked = MarkedEntries({b"/d/file": "reason"}, {})
    post, task = Command("post", b"x.post"), Command("task", b"x")
    assert marked.of_command(OwnedCommand(FILE, post)) == "reason"
    assert marked.of_command(OwnedCommand(FILE, task)) is None


@pytest.mark.parametrize("tree", [Tree.OVERLAY, Tree.DELETE])
def test_an_old_version_takes_no_place_of_an_entry(tree: Tree) -> None:
    """Also of one that is not selected."""
    more = entry(b"/d/file.saved", tree=tree)
    made = decision([(check(FILE), DRIFT), (check(OTHER), DRIFT)], {b"/d/file": ABSENT, b"/d/other": ABSENT}, more)
    assert {action.path: action.aside for action in made.plan.actions} == {b"/d/file": True, b"/d/other": False}
