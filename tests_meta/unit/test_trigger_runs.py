"""Triggers carried out by real shells: when, where, how often, and how they may end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from pytest_synctool.model import ABSENT, Kind
from pytest_synctool.plan import Result, plan

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import IS_ROOT, Shell, state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

ROOT = state(Kind.DIRECTORY, mode=0o755)


@pytest.fixture
def node(shell: Shell, open_directory: Path) -> DiskNode:
    """An empty node with each of the shells."""
    return DiskNode.make(shell, open_directory)


def log(node: DiskNode) -> list[str]:
    """What the triggers wrote, a line each."""
    path = node.top / "log"
    return path.read_text().splitlines() if path.exists() else []


def test_order_directory_and_number_of_runs(node: DiskNode) -> None:
    note = f'#!/bin/sh\necho "${{0##*/}} in $(pwd)" >>{node.top}/log\n'
    directory = node.entry("d d", ROOT, trigger=node.trigger("overlay/d d.post", note))
    one = node.entry("d d/one", EXPECTED["file"], trigger=node.trigger("overlay/d d/one.post", note))
    two = node.entry("d d/two", EXPECTED["file"], trigger=node.trigger("overlay/d d/two.post._all", note))
    (node.files / "d d").mkdir()
    assert set(node.fix(directory, two, one)) == {None}
    place = node.files / "d d"
    assert log(node) == [f"one.post in {place}", f"two.post._all in {place}", f"d d.post in {place}"]
    assert node.fix(directory, one, two) == []
    assert len(log(node)) == 3


def test_only_after_a_change_that_was_made(node: DiskNode) -> None:
    note = f'#!/bin/sh\necho "${{0##*/}}" >>{node.top}/log\n'
    directory = node.entry("d", ROOT, trigger=node.trigger("overlay/d.post", note))
    bad = node.entry("d/bad", EXPECTED["file"], trigger=node.trigger("overlay/d/bad.post", note))
    good = node.entry("d/good", EXPECTED["file"], trigger=node.trigger("overlay/d/good.post", note))
    (node.files / "d/bad.saved").mkdir(parents=True)
    (node.files / "d/bad").write_text("old")
    failures = node.fix(bad, of=(directory,))
    assert failures[1:] == ["did not run", "did not run"]
    assert log(node) == []
    parent, failure, *others = node.fix(bad, good, of=(directory,))
    assert (parent, others) == (None, [None, "did not run", None, None])
    assert failure is not None
    assert log(node) == ["good.post", "d.post"]


@pytest.mark.parametrize(
    ("text", "mode", "failure", "output"),
    [
        ("#!/bin/sh\necho out; echo err >&2\n", 0o755, None, ("out", "err")),
        ("echo no first line\n", 0o755, None, ("no first line",)),
        ("#!/bin/sh\nprintf 'no newline'", 0o755, None, ("no newline",)),
        ("#!/bin/sh\nprintf 'ok 0\\nfailed 1 x\\nend\\n'", 0o755, None, ("ok 0", "failed 1 x", "end")),
        ("#!/bin/sh\nprintf '\\033[1m\\377\\n'", 0o755, None, ("\\x1b[1m\\xff",)),
        ("#!/bin/sh\ncat; echo read everything\n", 0o755, None, ("read everything",)),
        ("#!/bin/sh\necho why; exit 3\n", 0o755, "exit status 3", ("why",)),
        ("exit 4\n", 0o755, "exit status 4", ()),
        ("#!/bin/sh\nkill -9 $$\n", 0o755, "exit status 137", ()),
        ("#!/bin/sh\n", 0o644, "it is not an executable file", ()),
    ],
)
def test_how_they_end(node: DiskNode, text: str, mode: int, failure: str | None, output: tuple[str, ...]) -> None:
    one = node.entry("f", EXPECTED["file"], trigger=node.trigger("overlay/f.post", text, mode))
    todo = plan([(one, ABSENT)], {one.destination: one}, os.fsencode(node.master))
    assert node.carry_out(todo) == [Result(None), Result(failure, output)]


@pytest.mark.parametrize("text", ["#!/no/such/interpreter\n", None])
def test_what_cannot_be_run(node: DiskNode, text: str | None) -> None:
    name = "overlay/f.post" if text is None else node.trigger("overlay/f.post", text)
    assert node.fix(node.entry("f", EXPECTED["file"], trigger=name))[1] is not None


def test_a_daemon_that_keeps_its_output_open_does_not_hold_up_the_run(node: DiskNode) -> None:
    text = f"#!/bin/sh\nsleep 300 &\necho $! >{node.top}/pid\necho started\n"
    one = node.entry("f", EXPECTED["file"], trigger=node.trigger("overlay/f.post", text))
    todo = plan([(one, ABSENT)], {one.destination: one}, os.fsencode(node.master))
    try:
        assert node.carry_out(todo) == [Result(None), Result(None, ("started",))]
    finally:
        os.kill(int((node.top / "pid").read_text()), signal.SIGKILL)
