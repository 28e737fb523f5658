"""The repair of one node: decide, rehearse or carry out, confirm; and `--restore`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_synctool.audit.check import Check
from pytest_synctool.audit.inspection import Inspection
from pytest_synctool.model import NodeResult, Outcome, PlannedStep
from pytest_synctool.repair import script
from pytest_synctool.repair.apply import Applied, NodeChanges, log_lines
from pytest_synctool.repair.decision import decide
from pytest_synctool.repair.repaired_outcome import confirmed
from pytest_synctool.repair.restoration import restore


class NodeRepair(NodeChanges):
    """The repair of one node. All methods raise TransportError and RemoteError."""

    def tidy(self) -> bytes:
        """Return the shell text that removes the remains of a killed repair, for the first probe to run before it.

        A connection that carries only short scripts runs it here, by itself.
        """
        text = script.tidy(self.context)
        if self.transport.script_limit is None:
            return text
        self.transport.run(text, self.deadline)
        return b""

    def rehearse(self, inspection: Inspection, checks: Sequence[Check], outcomes: Sequence[Outcome]) -> NodeResult:
        """Return the outcomes with the plan and the script that fix() would carry out."""
        decision = decide(inspection, checks, outcomes)
        todo, lines = decision.plan, log_lines(decision.plan, decision.reasons)
        text = script.script(todo, self.context, lines) if todo.actions or todo.triggers else b""
        paths = [*(action.path for action in todo.actions), *(trigger.path for trigger in todo.triggers)]
        planned = tuple(PlannedStep(path, line) for path, line in zip(paths, lines, strict=True) if line)
        pairs = zip(checks, outcomes, strict=True)
        return NodeResult(tuple(decision.left_alone(*pair) for pair in pairs), planned=planned, script=text)

    def fix(self, inspection: Inspection, checks: Sequence[Check], before: Sequence[Outcome]) -> list[Outcome]:
        """Repair the drift in these outcomes; return the outcomes that a second probe confirms."""
        after = self._fix(inspection, checks, before)
        # The repair may not have needed the mirror, but the node may audit itself later and must not use an old one.
        if self.mirror is not None and (mark := self.mirror.mark) is not None:
            self.notes += self.mirror.refresh(inspection.actual[mark.path])
        return after

    def restore(self, inspection: Inspection, checks: Sequence[Check], answered: Callable[[], None]) -> list[Outcome]:
        """Put back the old versions of the selected entries; `answered` is called before anything is changed."""
        return restore(self, inspection, checks, answered)

    def _fix(self, inspection: Inspection, checks: Sequence[Check], before: Sequence[Outcome]) -> list[Outcome]:
        decision = decide(inspection, checks, before)
        todo = decision.plan
        left = [decision.left_alone(check, outcome) for check, outcome in zip(checks, before, strict=True)]
        if not todo.actions and not todo.triggers:
            return left
        applied = Applied(todo, log_lines(todo, decision.reasons))
        self.carry_out(applied)
        inspection.run_probe(checks, mark=None if self.mirror is None else self.mirror.mark)
        return [
            alone if alone is not outcome else confirmed(check, outcome, applied, inspection)
            for check, outcome, alone in zip(checks, before, left, strict=True)
        ]
