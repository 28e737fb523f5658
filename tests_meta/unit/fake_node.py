"""A connection to a node that is not there, which knows only the scripts that it should be sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_synctool.audit import probe
from pytest_synctool.audit.check import Check
from pytest_synctool.audit.compare import compare, compare_absent
from pytest_synctool.common.shell import argument_size
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.connection.processes import Answer
from pytest_synctool.engine.session import NodeSession
from pytest_synctool.engine.settings import Mode, Settings
from pytest_synctool.errors import TransportError
from pytest_synctool.model import ABSENT, Absent, Actual, Change, FileState, Kind, NodeResult
from pytest_synctool.repair.kept_report import wait_for
from pytest_synctool.repair.mirror_contents import visible
from pytest_synctool.repair.plan import Plan
from pytest_synctool.repair.script import Context, heard, tidy
from pytest_synctool.repair.shell_functions import PROLOGUE
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Tree, file_type
from pytest_synctool.repository.waivers import NOTHING_WAIVED, InForce

from tests_meta.unit.helpers import node

MASTER = Path("/master")
States = dict[bytes, FileState]
_CONTEXT = Context(os.fsencode(MASTER))
BEFORE_A_PROBE = (
    tidy(_CONTEXT),
    tidy(_CONTEXT, more=wait_for(_CONTEXT.who, 17.0)),
    heard(_CONTEXT, [_CONTEXT.who]),
)


def told(requests: Sequence[probe.Request], states: States, unknown: dict[bytes, str]) -> bytes:
    """A node's answer to a probe."""
    lines = [b"synctool-probe"]
    asked = {request.path: request for request in requests}
    for number, path in enumerate(probe.layout(requests)):
        found, about = states.get(path), b"i:%d" % number
        if path not in asked:
            continue
        if found is None:
            lines += [about, b"r:" + os.fsencode(unknown[path]) if path in unknown else b"a:"]
            continue
        owner, group = os.fsencode(found.owner or "UNKNOWN"), os.fsencode(found.group or "UNKNOWN")
        numbers = b"%x:%d:%d:%d" % (file_type(found.kind) | found.mode, found.uid, found.size, found.gid)
        lines += [about, b"%s:%s:%s" % (numbers, owner, group)]
        if found.target is not None:
            lines += [about, b"t:" + found.target]
        if found.md5 and found.size == asked[path].size:
            lines += [about, b"m:" + os.fsencode(found.md5)]
    return b"\n".join((*lines, b"synctool-probe-end", b""))


@dataclass
class FakeNode:
    """A node: what it has, and what becomes of it.

    Knows the probe of its `requests`, that of `later` ones, and repairs; nothing else.
    `repair` gets the states to change, and returns the answer to the plan.
    """

    states: States
    repair: Callable[[States], bytes] | None = None
    unknown: dict[bytes, str] = field(default_factory=dict)
    broken: dict[int, Exception | Answer] = field(default_factory=dict)
    script_limit: int | None = None
    requests: list[probe.Request] = field(default_factory=list)
    later: list[probe.Request] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    pieces: int = 0  # of scripts that are too long for the connection
    unpushable: TransportError | None = None

    def run(self, script: bytes, deadline: float, phase: Phase = Phase.PROBE, ceiling: int | None = None) -> Answer:
        """Answer a script."""
        del phase, ceiling
        assert deadline == 17.0
        assert self.script_limit is None or argument_size(script) <= self.script_limit
        number = len(self.log)
        for before in BEFORE_A_PROBE:
            script = script.removeprefix(before)
        if not script:
            return Answer(0, b"", b"")
        if script.startswith(PROLOGUE) and b"\ntake " in script:
            self.pieces += 1
            return Answer(0, b"taken\n", b"")
        if script.startswith(PROLOGUE) or b"/script." in script:
            self.log.append("repair")
            assert self.repair is not None, "a repair that nobody asked for"
            answer = Answer(0, self.repair(self.states), b"")
        else:
            parts = [list(part) for part in probe.split(self.requests, self.script_limit)] + [self.later]
            asked = [part for part in parts if probe.script(part, deadline) == script]
            assert asked, f"a script that it does not know: {script[-200:]!r}"
            self.log.append("probe")
            answer = Answer(0, told(asked[0], self.states, self.unknown), b"")
        broken = self.broken.get(number)
        if isinstance(broken, Exception):
            raise broken
        return broken or answer


@dataclass
class FakeMirror:
    """The mirror of a fake node, which notes the names that a push brings."""

    node: FakeNode
    entries: Sequence[Entry]
    mark: probe.Request | None = None

    def prepare(self) -> None:
        """Do nothing: the names are known."""

    def note_mark(self, actual: Actual) -> None:
        """Refuse: there is no mark to be found."""
        raise AssertionError(f"a mirror without a mark was found as {actual}")

    def push(self, _todo: Plan) -> Sequence[str]:
        """Take files into the mirror."""
        if self.node.unpushable is not None:
            raise self.node.unpushable
        self.node.log.append("push " + b" ".join(visible(self.entries)).decode("utf-8", "backslashreplace"))
        return ()

    def removal(self) -> bytes:
        """Return nothing: the mirror stays."""
        return b""

    def refresh(self, actual: Actual) -> Sequence[str]:
        """Refuse: there is no mark to find it outdated by."""
        raise AssertionError(f"a mirror without a mark was to be refreshed after {actual}")


def same(one: Entry, actual: FileState | Absent) -> list[Change]:
    """The suite's own check."""
    return compare_absent(actual) if one.tree is Tree.DELETE else compare(one.expected, actual)


def run(
    fake: FakeNode,
    *entries: Entry,
    fix: bool = False,
    checks: Sequence[Check] | None = None,
    rsync: bool = True,
    waivers: InForce = NOTHING_WAIVED,
    others: Sequence[Entry] = (),
) -> NodeResult:
    """Run a session for these entries, each under the suite's check; the node has the `others` too."""
    for one in entries:
        expected = one.expected if one.tree is Tree.OVERLAY else ABSENT
        size = expected.size if isinstance(expected, FileState) and expected.kind is Kind.FILE else None
        fake.requests.append(probe.Request(one.destination, size, expected=expected))
    checks = checks if checks is not None else [Check(one, same) for one in entries]
    settings = Settings(MASTER, Mode.FIX if fix else Mode.AUDIT, deadline=17.0, waivers=waivers)
    fake.later += [probe.Request(other.destination) for other in others]
    both = [*others, *entries]
    mirror = FakeMirror(fake, both) if rsync else None
    return NodeSession(replace(node(), rsync=rsync), checks, both, fake, settings, mirror).run()
