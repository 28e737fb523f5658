"""A node whose masterdir and whose files are in one directory, for plans that are carried out by real shells."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypedDict, Unpack

from pytest_synctool.audit.compare import compare, compare_absent
from pytest_synctool.common.shell import argument_size, whole
from pytest_synctool.common.wording import printable
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.connection.processes import Answer
from pytest_synctool.model import Absent, Change, FileState, Kind, OldVersions
from pytest_synctool.repair.apply import Applied, apply
from pytest_synctool.repair.kept_names import reserved
from pytest_synctool.repair.plan import Plan, plan
from pytest_synctool.repair.script import Context, Result
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Source, Tree

from tests_meta.unit.helpers import FixedSource, Shell, lstat_state, snapshot, state

EXPECTED: Final = {
    "file": state(mode=0o4751, uid=4242, gid=4243, owner=None, group=None),
    "link": state(Kind.LINK, target=b"wanted -> 'target'", uid=4242, gid=0, owner=None),
    "directory": state(Kind.DIRECTORY, mode=0o1770, uid=0, gid=4243, group=None),
}


class How(TypedDict, total=False):
    """More of a Context."""

    who: str
    saved: bytes | OldVersions
    log: bytes
    syslog: bool


@dataclass
class _Transport:
    """A shell of this machine as a user, or as the one that runs the tests. `sent` collects the scripts."""

    shell: Shell
    user: int | None
    directory: str
    script_limit: int | None
    sent: list[bytes]

    def run(self, script: bytes, deadline: float, phase: Phase = Phase.PROBE, ceiling: int | None = None) -> Answer:
        """Run a script."""
        del phase, ceiling
        assert self.script_limit is None or argument_size(script) <= self.script_limit
        self.sent.append(script)
        done = self.shell.run(whole(script), user=self.user, timeout=deadline, cwd=self.directory)
        return Answer(done.returncode, done.stdout, done.stderr)


@dataclass
class DiskNode:
    """The node: `top` holds the mirror of the masterdir, and what stands for the root of the node."""

    shell: Shell
    top: Path
    remarks: list[str] = field(default_factory=list)
    trigger_timeout: int = 60
    script_limit: int | None = None
    sent: list[bytes] = field(default_factory=list)

    @property
    def master(self) -> Path:
        """The mirror of the masterdir."""
        return self.top / "master"

    @property
    def files(self) -> Path:
        """What stands for the root of the node."""
        return self.top / "files"

    def entry(self, name: str, expected: FileState, content: bytes = b"new", trigger: str | None = None) -> Entry:
        """An overlay entry; for a regular file with its source in the masterdir."""
        destination, relative = os.fsencode(self.files / name), b"overlay/" + os.fsencode(name) + b"._all"
        source_class: type[Source] = FixedSource
        if expected.kind is Kind.FILE:
            source_class = Source
            path = self.master / os.fsdecode(relative)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            expected = replace(expected, md5=None)  # that of the content
        source = source_class(Tree.OVERLAY, os.fsencode(self.master), relative, destination, expected)
        return Entry(source, None if trigger is None else os.fsencode(trigger))

    def delete(self, name: str) -> Entry:
        """A delete entry."""
        destination = os.fsencode(self.files / name)
        return Entry(FixedSource(Tree.DELETE, os.fsencode(self.master), b"delete/x._all", destination, state()))

    def trigger(self, name: str, text: str, mode: int = 0o755) -> str:
        """A trigger script in the masterdir."""
        path = self.master / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return name

    def actual(self, entry: Entry) -> FileState | Absent:
        """What is there."""
        size = entry.expected.size if entry.tree is Tree.OVERLAY else None
        return lstat_state(entry.destination, size=size)

    def changes(self, entry: Entry) -> list[Change]:
        """What differs."""
        actual = self.actual(entry)
        return compare(entry.expected, actual) if entry.tree is Tree.OVERLAY else compare_absent(actual)

    @contextmanager
    def unmovable(self, name: str) -> Iterator[None]:
        """Make an old file that no rename can replace: something is mounted over it."""
        path = self.files / name
        path.write_text("old")
        subprocess.run(["mount", "--bind", "--", path, path], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "--", path], check=True)

    def apply(self, todo: Plan, user: int | None = None, **how: Unpack[How]) -> Applied:
        """Run the scripts of a plan."""
        context = Context(
            os.fsencode(self.master),
            "node3",
            "three",
            "me",
            self.trigger_timeout,
            state=os.fsencode(self.top / "state"),
        )
        steps = [f"{printable(action.path)} {action.verb}" for action in todo.actions]
        steps += [f"running {trigger.command.announced}" for trigger in todo.triggers]
        applied = Applied(todo, steps)
        transport = _Transport(self.shell, user, str(self.top / "here"), self.script_limit, self.sent)
        apply(applied, transport, replace(context, **how), 30)
        return applied

    def carry_out(self, todo: Plan, user: int | None = None, **how: Unpack[How]) -> list[Result | None]:
        """Run a plan; the results in order, None for what did not run."""
        here = self.top / "here"
        strays = [
            path
            for action in todo.actions
            if not (path := Path("/", os.fsdecode(os.path.basename(action.path)))).exists()
        ]
        applied = self.apply(todo, user, **how)
        self.remarks = list(applied.remarks)
        assert applied.broken is None
        assert not [*here.iterdir(), *(path for path in strays if path.exists())], "written beside the target"
        assert list((self.top / "tmp").iterdir()) == []
        assert not [path for path in snapshot(self.top) if b"/.synctool." in path]
        assert not [*(self.top / "state").glob("stage/*")]
        return [applied.results.get(number) for number in range(len(todo.actions) + len(todo.triggers))]

    def fix(self, *entries: Entry, of: tuple[Entry, ...] = (), **how: Unpack[How]) -> list[str | None]:
        """Repair what differs in these entries, which are all but for those in `of`; how every step failed, or None."""
        drifted = [(e, self.actual(e)) for e in entries if self.changes(e)]
        overlay = {e.destination: e for e in (*entries, *of) if e.tree is Tree.OVERLAY}
        named = reserved((*entries, *of))
        results = self.carry_out(plan(drifted, overlay, os.fsencode(self.master), reserved=named), **how)
        return ["did not run" if result is None else result.failure for result in results]

    @classmethod
    def make(cls, shell: Shell, top: Path) -> DiskNode:
        """An empty node."""
        for name, mode in (("files", 0o755), ("master", 0o755), ("here", 0o755), ("tmp", 0o1777)):
            (top / name).mkdir()
            (top / name).chmod(mode)
        return cls(replace(shell, env={**shell.env, "TMPDIR": str(top / "tmp")}), top)
