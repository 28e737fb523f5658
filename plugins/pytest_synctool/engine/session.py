"""One node from probe to outcome: audit, with --fix repair and confirm, with --restore put back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_synctool.audit.check import Check
from pytest_synctool.audit.inspection import Inspection
from pytest_synctool.connection.transport import Transport
from pytest_synctool.engine.settings import Mode, Settings
from pytest_synctool.errors import RemoteError, TransportError
from pytest_synctool.model import Node, NodeError, NodeErrorKind, NodeResult, Outcome, PlannedStep
from pytest_synctool.repair import script
from pytest_synctool.repair.apply import Applied, MirrorOfNode, NodeRepair, NoMirror, log_lines
from pytest_synctool.repair.confirmation import confirmed
from pytest_synctool.repair.decision import decide
from pytest_synctool.repair.restoration import restore
from pytest_synctool.repository.entry import Entry

if TYPE_CHECKING:
    from pytest_synctool.audit.content_diff import ContentDiffs

NO_MIRROR = NoMirror()


@dataclass
class NodeSession:
    """The session of one node: it runs the node's checks as the mode of its settings says.

    `entries` are all that the masterdir has for the node, whether selected or not. `contents` compares files whose
    contents differ; None leaves that out.
    """

    node: Node
    checks: Sequence[Check]
    entries: Sequence[Entry]
    transport: Transport
    settings: Settings
    mirror: MirrorOfNode = NO_MIRROR
    contents: ContentDiffs | None = None

    def run(self, answered: Callable[[], None] = lambda: None) -> NodeResult:
        """Run the checks and return their outcomes. Never raises for anything that the node does.

        `answered` is called when the node has answered for the first time, before anything is changed.
        """
        started = time.perf_counter()
        try:
            result = self._run(answered)
        except TransportError as error:
            result = NodeResult((), NodeError(NodeErrorKind.UNREACHABLE, str(error)))
        except RemoteError as error:
            result = NodeResult((), NodeError(NodeErrorKind.BAD_ANSWER, str(error)))
        repair = self._repair
        return replace(
            result, duration=time.perf_counter() - started, done=tuple(repair.done), notes=tuple(repair.notes)
        )

    def _run(self, answered: Callable[[], None]) -> NodeResult:
        if self.settings.mode is Mode.RESTORE:
            return NodeResult(tuple(restore(self._repair, self._inspection, self.checks, answered)))
        self._inspection.run_probe(self.checks, self._tidy(), self.mirror.mark)
        answered()
        outcomes = self._inspection.outcomes(self.checks)
        if self.settings.mode is Mode.REHEARSE:
            return self._rehearse(outcomes)
        if self.settings.mode is Mode.FIX:
            outcomes = self._fix(outcomes)
            self._refresh_mirror()
        return NodeResult(tuple(outcomes))

    @cached_property
    def _inspection(self) -> Inspection:
        settings = self.settings
        return Inspection(
            self.node,
            self.entries,
            self.transport,
            settings.masterdir,
            settings.deadline,
            settings.waivers,
            dry_run=settings.mode is not Mode.FIX,
            explain=settings.explain,
            contents=self.contents,
        )

    @cached_property
    def _repair(self) -> NodeRepair:
        settings = self.settings
        context = script.Context(
            os.fsencode(settings.masterdir),
            self.node.name,
            self.node.hostname or self.node.name,
            settings.who,
            settings.trigger_timeout,
            saved=settings.saved,
            log=settings.log,
            syslog=settings.syslog,
        )
        return NodeRepair(self.transport, context, settings.deadline, self.mirror)

    def _tidy(self) -> bytes:
        """Return the shell text that removes the remains of a killed repair, for the first probe to run before it.

        A connection that carries only short scripts runs it here, by itself.
        """
        if self.settings.mode is not Mode.FIX:
            return b""
        text = script.tidy(self._repair.context)
        if self.transport.script_limit is None:
            return text
        self.transport.run(text, self.settings.deadline)
        return b""

    def _rehearse(self, outcomes: Sequence[Outcome]) -> NodeResult:
        decision = decide(self._inspection, self.checks, outcomes)
        todo, lines = decision.plan, log_lines(decision.plan, decision.reasons)
        text = script.script(todo, self._repair.context, lines) if todo.actions or todo.triggers else b""
        paths = [*(action.path for action in todo.actions), *(trigger.path for trigger in todo.triggers)]
        planned = tuple(PlannedStep(path, line) for path, line in zip(paths, lines, strict=True) if line)
        pairs = zip(self.checks, outcomes, strict=True)
        return NodeResult(tuple(decision.left_alone(*pair) for pair in pairs), planned=planned, script=text)

    def _fix(self, before: Sequence[Outcome]) -> list[Outcome]:
        decision = decide(self._inspection, self.checks, before)
        todo = decision.plan
        left = [decision.left_alone(check, outcome) for check, outcome in zip(self.checks, before, strict=True)]
        if not todo.actions and not todo.triggers:
            return left
        applied = Applied(todo, log_lines(todo, decision.reasons))
        self._repair.carry_out(applied)
        self._inspection.run_probe(self.checks, mark=self.mirror.mark)
        return [
            alone if alone is not outcome else confirmed(check, outcome, applied, self._inspection)
            for check, outcome, alone in zip(self.checks, before, left, strict=True)
        ]

    def _refresh_mirror(self) -> None:
        """Push to a mirror that the repair did not need but that is outdated: the node may later audit itself."""
        if (mark := self.mirror.mark) is not None:
            self._repair.notes += self.mirror.refresh(self._inspection.actual[mark.path])
