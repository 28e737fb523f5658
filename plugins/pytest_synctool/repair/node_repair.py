"""The repair of one node: decide, rehearse or carry out, confirm; and `--restore`."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pytest_synctool.audit.check import Check
from pytest_synctool.audit.inspection import MOST_BEFORE, Inspection
from pytest_synctool.audit.probe import Request
from pytest_synctool.connection.exchange import SHORT_ANSWER, Phase
from pytest_synctool.errors import TransportError
from pytest_synctool.model import NodeResult, Outcome, PlannedStep, UnixOutput
from pytest_synctool.repair import kept_report, script
from pytest_synctool.repair.apply import Applied, NodeChanges, log_lines
from pytest_synctool.repair.decision import decide
from pytest_synctool.repair.erasure import erase
from pytest_synctool.repair.plan import Plan
from pytest_synctool.repair.repaired_outcome import confirmed, hidden_by
from pytest_synctool.repair.restoration import restore
from pytest_synctool.repository.runnable import obstacle


class NodeRepair(NodeChanges):
    """The repair of one node. All methods raise TransportError and RemoteError."""

    def first_probe(self, inspection: Inspection, checks: Sequence[Check], mark: Request | None) -> None:
        """Look at the node; remove the remains of a killed repair, take over the report of one that went on alone."""
        inspection.prepare(checks, mark)  # for the second probe, too
        with ThreadPoolExecutor(1) as pool:
            if self.mirror is not None:
                pool.submit(self.mirror.prepare)
            printed = self._probe(inspection, checks, mark, script.tidy(self.context))
        if self.mirror is not None and mark is not None:
            self.mirror.note_mark(inspection.actual[mark.path])
        for report in kept_report.parse(printed):
            self.notes += report.notes()
            self.done += report.done()
            self.taken += (report.by,)

    def _probe(self, inspection: Inspection, checks: Sequence[Check], mark: Request | None, before: bytes) -> bytes:
        """Look at the node after the shell text `before`; return what that printed.

        A connection that carries only short scripts runs it by itself.
        """
        if self.transport.script_limit is None:
            return inspection.run_probe(checks, before, mark)
        answer = self.transport.run(before, self.deadline, Phase.PROBE, SHORT_ANSWER + MOST_BEFORE)
        inspection.run_probe(checks, mark=mark)
        return answer.stdout

    def rehearse(self, inspection: Inspection, checks: Sequence[Check], outcomes: Sequence[Outcome]) -> NodeResult:
        """Return the outcomes with the plan that fix() would carry out."""
        decision = decide(inspection, checks, outcomes, self.made_in)
        masterdir = os.fsencode(inspection.masterdir)
        todo = decision.plan.with_obstacles(lambda command: obstacle(command, masterdir))
        lines = log_lines(todo, decision.reasons)
        numbers = todo.numbers(post=self.context.post)
        if self.unix is UnixOutput.SCRIPT and (todo.actions or todo.triggers):
            text = script.script(todo, self.context, lines, numbers, readable=True)
            self.lines += [line for line in text.split(b"\n") if line]
        self._add_commands(inspection, todo, lines, numbers)
        planned = tuple(self._steps(todo, lines))
        pairs = zip(checks, outcomes, strict=True)
        return NodeResult(tuple(decision.left_alone(*pair) for pair in pairs), planned=planned)

    def _steps(self, todo: Plan, lines: Sequence[str]) -> Iterator[PlannedStep]:
        paths = [*(action.path for action in todo.actions), *(trigger.path for trigger in todo.triggers)]
        for number in todo.numbers(post=self.context.post):
            if lines[number]:
                yield PlannedStep(paths[number], lines[number])

    def _add_commands(
        self, inspection: Inspection, todo: Plan, log_lines: Sequence[str], numbers: Collection[int]
    ) -> None:
        """Add the commands that do what these steps do, given the states before them, if they are wanted."""
        entries = inspection.overlay
        paths = (action.path for action in todo.actions if action.path in entries)
        absent = {path for path in paths if inspection.is_absent(entries[path])}
        self.add_commands(todo, log_lines, absent, numbers)

    def fix(
        self,
        inspection: Inspection,
        checks: Sequence[Check],
        before: Sequence[Outcome],
        shown: Collection[bytes] | None = None,
    ) -> list[Outcome]:
        """Repair the drift in these outcomes; return the outcomes that a second probe confirms.

        If that would change a path beyond `shown`, nothing changes.
        """
        after = self._fix(inspection, checks, before, shown)
        # The repair may not have needed the mirror, but the node may audit itself later and must not use an old one.
        if self.mirror is not None and (mark := self.mirror.mark) is not None:
            self.notes += self.mirror.refresh(inspection.actual[mark.path])
        return after

    def restore(
        self,
        inspection: Inspection,
        checks: Sequence[Check],
        answered: Callable[[], None],
        *,
        earlier: bool,
        changing: bool,
    ) -> list[Outcome]:
        """Put back the old versions of the selected entries; `answered` is called before anything is changed."""
        return restore(self, inspection, checks, answered, earlier=earlier, changing=changing)

    def erase(
        self, inspection: Inspection, only: Collection[bytes], answered: Callable[[], None], *, changing: bool
    ) -> NodeResult:
        """Remove the old versions of the paths in `only`, or all; `answered` is called before anything is changed."""
        return erase(self, inspection.overlay, only, answered, changing=changing)

    def _fix(
        self,
        inspection: Inspection,
        checks: Sequence[Check],
        before: Sequence[Outcome],
        shown: Collection[bytes] | None,
    ) -> list[Outcome]:
        decision = decide(inspection, checks, before, self.made_in)
        todo = decision.plan
        left = [decision.left_alone(check, outcome) for check, outcome in zip(checks, before, strict=True)]
        if not todo.actions and not todo.triggers:
            if self.taken:
                self.forget(*self.taken)
            return left
        lines = log_lines(todo, decision.reasons)
        if shown is not None and (more := [step for step in self._steps(todo, lines) if step.path not in shown]):
            self.notes.append(f"nothing is repaired, as this was not shown: {more[0].line}; look again")
            return left
        applied = Applied(todo, lines)
        self.carry_out(applied, hidden_by(inspection))
        self._add_commands(inspection, todo, applied.lines, applied.successes())
        self._second_probe(inspection, checks, applied)
        return [
            alone if alone is not outcome else confirmed(check, outcome, applied, inspection, decision.rogue)
            for check, outcome, alone in zip(checks, before, left, strict=True)
        ]

    def _second_probe(self, inspection: Inspection, checks: Sequence[Check], applied: Applied) -> None:
        """Look at the node after the repair. Await one that this run has lost sight of, and take over its report."""
        mark, who = None if self.mirror is None else self.mirror.mark, self.context.who
        after = b"" if self.mirror is None else self.mirror.removal()
        if not (applied.was_sent or after):
            inspection.run_probe(checks, mark=mark)
            return
        if not applied.was_sent:
            self._probe(inspection, checks, mark, after)
            return
        if applied.broken is None:
            self._probe(inspection, checks, mark, script.heard(self.context, [who]) + after)
            return
        wait = script.tidy(self.context, more=kept_report.wait_for(who, self.deadline))
        try:
            answer = self._probe(inspection, checks, mark, wait)
        except TransportError:
            self.notes.append("--fix may go on there without this run: the next --fix reports its results")
            raise
        for report in kept_report.parse(answer):
            if report.by == who:
                applied.take_over(report)
                self.done += [line for line in applied.done() if line not in self.done]
        if kept_report.is_under_way(answer):
            applied.broken = f"{applied.broken}; the repair goes on there, and the next --fix reports its results"
        else:
            self.forget(who)
