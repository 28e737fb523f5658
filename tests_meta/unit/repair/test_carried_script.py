"""Scripts in pieces: a repair that is too long for its connection is one repair all the same."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_synctool.common.shell import whole
from pytest_synctool.repair.carried_script import pieces, running
from pytest_synctool.repair.script import Context, is_refused, tidy
from pytest_synctool.repository.entry import Entry

from tests_meta.unit.disk_node import DiskNode
from tests_meta.unit.helpers import IS_ROOT, Shell, state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

_LIMIT = 50_000


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """A node whose connection takes scripts that have little room beside the functions of a repair."""
    return replace(DiskNode.make(shell, open_directory), script_limit=_LIMIT)


def many(node: DiskNode) -> list[Entry]:
    """Return entries whose names need quotes, or are longer in an argument, and whose last one has a trigger."""
    command = node.trigger("overlay/z.post", f"#!/bin/sh\nls | wc -l >>{node.top}/log\n")
    entries = [node.entry(f"it's {'ä' * 20} \\{number}", state()) for number in range(60)]
    return [*entries, node.entry("z", state(), trigger=command)]


def left(node: DiskNode) -> list[Path]:
    """Return the pieces that are left."""
    return [*(node.top / "state").glob("script.*")]


def test_a_repair_in_pieces(node: DiskNode) -> None:
    """It has one lock and one report; the trigger runs once, when all is there."""
    entries = many(node)
    assert set(node.fix(*entries)) == {None}
    assert [node.changes(one) for one in entries] == [[]] * len(entries)
    assert (node.top / "log").read_text().split() == [str(len(entries))]
    assert len(node.sent) > 3
    assert len([*(node.top / "state").glob("*/report.*")]) == 1
    assert left(node) == []


def test_a_refusal_is_that_of_all(node: DiskNode) -> None:
    """Nothing changes, also no trigger runs on a half."""
    entries = many(node)
    (node.top / "state").mkdir()
    (node.top / "state/lock").write_text(f"{os.getpid()} - anna\n")
    failures = node.fix(*entries)
    assert failures == ["another --fix is under way there: anna"] * (len(entries) + 1)
    assert list(node.files.iterdir()) == []
    assert not (node.top / "log").exists()
    assert left(node) == []


def test_a_directory_that_others_may_write_takes_no_piece(node: DiskNode) -> None:
    entries = many(node)
    (node.top / "state").mkdir()
    (node.top / "state").chmod(0o777)
    (reason,) = {*node.fix(*entries)}
    assert reason == f"no journal can be kept there: others than root may write in {node.top}/state or above it"
    assert [*(node.top / "state").iterdir()] == []
    assert len(node.sent) == 1


@pytest.mark.parametrize("lost", ["all", "some"])
@pytest.mark.parametrize("when", ["between", "before it runs"])
def test_a_piece_that_is_lost(node: DiskNode, lost: str, when: str) -> None:
    state_directory = node.top / "state"
    path, text = state_directory / "script.x", b"echo runs\n" * 5000
    scripts = [*pieces(text, _LIMIT, os.fsencode(state_directory), os.fsencode(path))]
    scripts.append(running(os.fsencode(path), len(text)))
    at = 1 if when == "between" else -1
    assert {node.shell.run(whole(one)).stdout for one in scripts[:at]} == {b"taken\n"}
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    if lost == "some":
        path.write_bytes(text[:100])
    answer = node.shell.run(whole(scripts[at])).stdout
    assert answer == b"refused not all of its script is there any more\n"
    assert is_refused(answer)


def test_any_text_arrives(node: DiskNode) -> None:
    state_directory = node.top / "state"
    path, text = state_directory / "script.x", bytes(range(1, 256)) * 300
    for piece in pieces(text, _LIMIT, os.fsencode(state_directory), os.fsencode(path)):
        assert node.shell.run(whole(piece)).stdout == b"taken\n"
    assert path.read_bytes() == text


def test_pieces_of_a_controller_that_went_away(node: DiskNode) -> None:
    """They go away after an hour: until then somebody may be sending more."""
    context = Context(os.fsencode(node.master), state=os.fsencode(node.top / "state"))
    (node.top / "state").mkdir()
    for name, age in (("new", 3000), ("old", 4000)):
        path = node.top / f"state/script.{name}"
        path.write_text("piece")
        os.utime(path, (time.time() - age,) * 2)
    node.shell.run(whole(tidy(context) + b"echo looked"))
    assert [path.name for path in left(node)] == ["script.new"]
