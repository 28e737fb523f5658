"""A node that lacks a program: it is named, what does not need it is repaired, and nothing is falsely in sync."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from pytest_synctool.audit.fetch import FetchRequest
from pytest_synctool.audit.fetch import parse as parse_contents
from pytest_synctool.audit.fetch import script as contents
from pytest_synctool.audit.probe import Request, parse, script
from pytest_synctool.common.shell import whole
from pytest_synctool.model import ABSENT, Kind, Unknown
from pytest_synctool.repair.plan import plan
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Tree

from tests_meta.unit.disk_node import DiskNode
from tests_meta.unit.helpers import IS_ROOT, Shell, lstat_state, snapshot, state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

AUDIT: Final = ("env", "ls", "md5sum", "pwd", "readlink", "sleep", "stat")
FIX: Final = (
    *("cat", "chmod", "chown", "cp", "env", "head", "id", "ln", "md5sum", "mkdir", "mktemp", "mv", "rm", "rmdir"),
    *("sed", "sleep", "stat", "sync", "tail", "uname"),
)
# What these are for is done otherwise, or left out.
SPARE: Final = ("date", "du", "find", "fold", "logger", "ls", "readlink", "tar", "timeout", "true", "wc")
PROGRAMS: Final = sorted({*AUDIT, *FIX, *SPARE})

FILE: Final = state(mode=0o640, uid=4242, gid=4243, owner=None, group=None, md5="22af645d1859cb5ca6da0c484f1f37ea")
LINK: Final = state(Kind.LINK, target=b"wanted")


@dataclass(frozen=True)
class Bare(Shell):
    """A shell that finds programs only in its own PATH."""

    def run(
        self, script: bytes, *, user: int | None = None, timeout: float = 30, cwd: str = "/"
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a script without the usual directories of programs."""
        script = script.replace(b":/usr/sbin:/usr/bin:/sbin:/bin", b"")
        return super().run(script, user=user, timeout=timeout, cwd=cwd)


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_contents_without_head(shell: str, open_directory: Path) -> None:
    """A difference is not shown, and the reason names the program."""
    node = node_without("head", shell, open_directory)
    path = os.fsencode(node.files / "same")
    requests = [FetchRequest(path, secrets=True)]
    answer = node.shell.run(whole(contents(requests, b"0123456789abcdef")))
    copies = parse_contents(requests, b"0123456789abcdef", answer.stdout)
    assert copies[path].complaint == "the node has no program head"


def node_without(missing: str, shell: str, top: Path) -> DiskNode:
    """Return a node with all programs but one."""
    programs = top / "programs"
    programs.mkdir()
    for each in {*PROGRAMS} - {missing}:
        (programs / each).symlink_to(shutil.which(each) or pytest.skip(f"needs {each}"))
    node = DiskNode.make(Bare(shell, (f"/bin/{shell}",), {"PATH": str(programs)}), top)
    (node.files / "home").mkdir()
    os.chown(node.files / "home", 7, 7)
    for name in ("same", "old", "mode", "home/old", "home/same", "home/mode"):
        path = node.files / name
        path.write_text("odd" if path.name == "old" else "new")
        os.chown(path, 4242, 4243)
        path.chmod(0o600 if path.name == "mode" else 0o640)
    (node.files / "way").mkdir()
    (node.files / "link").symlink_to("wanted")
    (node.files / "other link").symlink_to("other")
    (node.files / "evil").touch()
    return node


def entries_of(node: DiskNode) -> list[Entry]:
    """Return entries for every kind of drift, and some that are in sync."""
    trigger = node.trigger("overlay/old.post", f"#!/bin/sh\n: >'{node.top}/ran'\n")
    return [
        node.entry("old", FILE, trigger=trigger),
        *(node.entry(name, FILE) for name in ("same", "way", "mode", "new", "home/old", "home/same", "home/mode")),
        *(node.entry(name, LINK) for name in ("link", "other link", "new link")),
        node.entry("tree", state(Kind.DIRECTORY, mode=0o755)),
        *(node.entry(f"tree/{name}", FILE) for name in "ab"),
        *(node.delete(name) for name in ("evil", "good")),
    ]


def audited(node: DiskNode, entries: list[Entry]) -> set[str]:
    """Return the reasons of what an audit cannot look at. All else it must see as it is."""
    requests = []
    for entry in entries:
        expected = entry.expected if entry.tree is Tree.OVERLAY else ABSENT
        size = 3 if expected is not ABSENT and expected.kind is Kind.FILE else None
        requests.append(Request(entry.destination, size, expected=expected))
    reasons = set()
    for request, actual in zip(
        requests, parse(requests, node.shell.run(whole(script(requests))).stdout).values(), strict=True
    ):
        if isinstance(actual, Unknown):
            reasons.add(actual.reason)
        else:
            assert actual == lstat_state(request.path, size=request.size), request.path
    return reasons


def test_the_documentation_has_them() -> None:
    text = (Path(__file__).parents[3] / "docs/compatibility.md").read_text()
    assert not [name for name in PROGRAMS if name != "true" and f"`{name}`" not in text]


@pytest.mark.parametrize(
    ("shell", "missing"), [*(("dash", each) for each in PROGRAMS), *(("bash", each) for each in AUDIT)]
)
def test_a_missing_program(shell: str, missing: str, open_directory: Path) -> None:
    node = node_without(missing, shell, open_directory)
    entries = entries_of(node)
    overlay = {entry.destination: entry for entry in entries if entry.tree is Tree.OVERLAY}
    reasons = audited(node, entries)
    assert all(missing in reason for reason in reasons), reasons
    assert not reasons or missing in AUDIT
    before = snapshot(node.files)
    todo = plan([(e, node.actual(e)) for e in entries if node.changes(e)], overlay, os.fsencode(node.master))
    applied = node.apply(todo)
    assert applied.broken is None
    failures = {result.failure for result in applied.results.values()} - {None}
    assert len(applied.results) == len(todo.actions) + len(todo.triggers)
    if missing in FIX:
        assert failures == {f"programs that --fix needs are missing there: {missing}"}
        assert snapshot(node.files) == before
        return
    assert all(missing in str(failure) for failure in failures), failures
    assert not failures or missing == "pwd"
    assert {e.destination for e in entries if node.changes(e)} == {
        action.path for number, action in enumerate(todo.actions) if applied.results[number].failure
    }
    assert (node.top / "ran").exists()
    assert not [*(node.top / "state").glob("stage/*")]
    reasons = audited(node, entries)
    assert all(missing in reason for reason in reasons), reasons
