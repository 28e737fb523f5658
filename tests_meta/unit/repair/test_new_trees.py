"""New trees: directories that appear by one rename with all that belongs below them, or else step by step."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool.common.shell import whole
from pytest_synctool.model import ABSENT, FileState, Kind
from pytest_synctool.repair.new_trees import new_trees
from pytest_synctool.repair.plan import Plan, plan
from pytest_synctool.repair.script import Context, parse, script, tidy
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Source, Tree

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import IS_ROOT, Shell, state

DIRECTORY = state(Kind.DIRECTORY, mode=0o755)

needs_root = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


def plain(node: DiskNode, name: str, expected: FileState) -> Entry:
    """Return the entry of a file whose source has the path of its destination, as in a real masterdir."""
    destination = os.fsencode(node.files / name)
    relative = b"overlay" + destination + b"._all"
    path = node.master / os.fsdecode(relative)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"new")
    unread = replace(expected, md5=None)  # it is that of the content
    return Entry(Source(Tree.OVERLAY, os.fsencode(node.master), relative, destination, unread), None)


def tree(node: DiskNode, top: str) -> list[Entry]:
    """Return the entries of a directory with one below it, files of several owners and modes, and a link."""
    return [
        node.entry(top, DIRECTORY),
        node.entry(f"{top}/in", EXPECTED["directory"]),
        *(plain(node, f"{top}/{name}", state(mode=0o644)) for name in ("a", "b", "in/c d", "in/it's")),
        node.entry(f"{top}/in/e", EXPECTED["file"]),
        node.entry(f"{top}/in/l", EXPECTED["link"]),
    ]


def all_absent(node: DiskNode, *entries: Entry) -> Plan:
    """Return the plan of a node that has none of them."""
    return plan([(e, ABSENT) for e in entries], {e.destination: e for e in entries}, os.fsencode(node.master))


@needs_root
def test_trees_appear_as_a_whole(node: DiskNode) -> None:
    """With owners, modes and links."""
    entries = [*tree(node, "t"), *tree(node, "u"), node.entry("f", state())]
    assert set(node.fix(*entries)) == {None}
    assert [node.changes(one) for one in entries] == [[]] * len(entries)
    assert (node.files / "t/a").read_bytes() == b"new"


@needs_root
def test_a_tree_that_somebody_else_has_begun(node: DiskNode) -> None:
    """No rename replaces a directory with something in it: the rest is brought step by step."""
    entries = tree(node, "t")
    todo = all_absent(node, *entries)
    (node.files / "t").mkdir()
    (node.files / "t/theirs").write_text("theirs")
    results = node.carry_out(todo)
    assert results[0] is not None
    assert results[0].failure is not None
    assert [result.failure for result in results[1:] if result is not None] == [None] * (len(entries) - 1)
    assert [node.changes(one) for one in entries] == [[]] * len(entries)
    assert (node.files / "t/theirs").read_text() == "theirs"


@needs_root
def test_triggers_wait_for_what_is_brought_step_by_step(node: DiskNode) -> None:
    """They run once, when all of it is there."""
    command = node.trigger("overlay/t.post", f"#!/bin/sh\nls t >>{node.top}/log\n")
    entries = [node.entry("t", DIRECTORY), plain(node, "t/a", state())]
    entries.append(replace(node.entry("f", state()), trigger=os.fsencode(command)))
    todo = all_absent(node, *entries)
    (node.files / "t").mkdir()
    (node.files / "t/theirs").write_text("theirs")
    results = node.carry_out(todo)
    assert [result and result.failure for result in results[1:]] == [None] * 3
    assert (node.top / "log").read_text() == "a\ntheirs\n"


@needs_root
def test_a_command_whose_change_fails_step_by_step_is_not_owed(node: DiskNode) -> None:
    command = node.trigger("overlay/a.post", f"#!/bin/sh\necho ran >>{node.top}/log\n")
    entries = [node.entry("t", DIRECTORY), replace(plain(node, "t/a", state()), trigger=os.fsencode(command))]
    todo = all_absent(node, *entries)
    (node.master / os.fsdecode(entries[1].source.relative)).unlink()
    made, failed, trigger = node.carry_out(todo)
    assert (made and made.failure, failed is not None and bool(failed.failure), trigger) == (None, True, None)
    assert not (node.top / "log").exists()
    assert [*(node.top / "state").glob("*/owed/*")] == []


@needs_root
def test_one_source_that_is_gone(node: DiskNode) -> None:
    """The others do not suffer from it."""
    entries = tree(node, "t")
    todo = all_absent(node, *entries)
    (node.master / os.fsdecode(entries[3].source.relative)).unlink()
    results = dict(zip([action.path for action in todo.actions], node.carry_out(todo), strict=True))
    failed = [path for path, result in results.items() if result is None or result.failure]
    assert failed == [entries[3].destination]
    assert not (node.files / "t/b").exists()
    assert [node.changes(one) for one in entries if one is not entries[3]] == [[]] * (len(entries) - 1)


@needs_root
def test_a_parent_that_is_not_there(node: DiskNode) -> None:
    """Nothing is made elsewhere, and everything has failed."""
    entries = tree(node, "no/t")
    results = node.carry_out(all_absent(node, *entries))
    assert all(result is not None and result.failure for result in results)
    assert list(node.files.iterdir()) == []


@needs_root
@pytest.mark.parametrize(
    "before",
    [b"  fill ", b"  own_below ", b"  find ", b"  { sync ", b"put_all ", b"with_all ", b"if "],
    ids=lambda line: line.split()[-1].decode(),
)
def test_a_kill_in_the_middle(node: DiskNode, before: bytes) -> None:
    """The tree is there as a whole or not at all, and the next repair succeeds."""
    entries = tree(node, "t")
    context = Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))
    todo = all_absent(node, *entries)
    text = script(todo, context)
    start = text.index(b"\n" + before, text.rindex(b"\nbegin\n")) + 1
    killed = text[:start] + b"kill -KILL $$ && " + text[start:]
    answer = node.shell.run(whole(killed))
    assert not parse(todo, answer.stdout)[1]
    there = [node.changes(one) == [] for one in entries]
    assert set(there) == {before in (b"with_all ", b"if ")}
    node.shell.run(whole(tidy(context) + b"echo looked"))
    assert not [*(node.top / "state").glob("stage/*")]
    assert set(node.fix(*entries)) <= {None}
    assert [node.changes(one) for one in entries] == [[]] * len(entries)


@needs_root
def test_a_trigger_of_a_tree_runs_once(node: DiskNode) -> None:
    command = node.trigger("overlay/t.post", f"#!/bin/sh\necho ran >>{node.top}/log\n")
    entries = [node.entry("t", DIRECTORY, trigger=command), node.entry("t/a", state())]
    assert set(node.fix(*entries)) == {None}
    assert (node.top / "log").read_text() == "ran\n"


def test_what_is_a_tree(tmp_path: Path) -> None:
    """A directory that is known to be missing, with the files, links and directories below it."""
    node = DiskNode.make(Shell("none", (), {}), tmp_path)
    entries = [*tree(node, "t"), node.entry("f", state()), node.entry("empty", DIRECTORY)]
    actions = list(enumerate(all_absent(node, *entries).actions))
    trees, others = new_trees(actions)
    paths = [os.path.relpath(each.top.path, os.fsencode(node.files)) for each in trees]
    assert paths == [b"t"]
    assert {action.path for _, action in trees[0].below} == {one.destination for one in entries[1:8]}
    assert [action.path for _, action in others] == [entries[9].destination, entries[8].destination]
