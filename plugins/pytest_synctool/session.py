"""One node from probe to outcome: look, compare, with --fix repair and look again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from pytest_synctool import journal, plan, probe, script
from pytest_synctool.errors import RemoteError, RepositoryError, TransportError
from pytest_synctool.model import (
    ABSENT,
    OK,
    Absent,
    Actual,
    Change,
    FileState,
    Kind,
    Node,
    Outcome,
    Status,
    Unknown,
    printable,
)
from pytest_synctool.repository import Entry
from pytest_synctool.source import Tree
from pytest_synctool.transport import Transport

Push = Callable[[Sequence[Entry]], Sequence[str]]
Explain = Callable[[Entry, Node], Sequence[str]]
CheckFunction = Callable[[Entry, FileState | Absent], list[Change]]


# What a dry run has to say of a task.
NOT_RUN: Final = Outcome(Status.SKIPPED, "dry run, not running")


@dataclass(frozen=True, slots=True)
class Check:
    """One test: a check function applied to one entry, or to the note on a node that a `command` of it is owed.

    A `command` that is a task is not looked at, but run.

    `audited` is what an audit found: a repair of anything else is refused. None: whatever is found is put right.
    """

    entry: Entry
    function: CheckFunction
    command: plan.Command | None = None
    audited: str | None = None

    @property
    def is_task(self) -> bool:
        """Whether it is about a task."""
        return self.command is not None and self.command.kind == "task"


@dataclass(frozen=True, slots=True)
class Settings:
    """How sessions are run.

    `deadline` bounds each command on a node and `trigger_timeout` each trigger, in seconds; `explain` tells of an entry
    why the node has to have it. `who` tells others who is at work.
    """

    masterdir: Path
    fix: bool = False
    deadline: float = 120.0
    explain: Explain | None = None
    trigger_timeout: int = 60
    who: str = "somebody"


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of a node: one outcome per check, or the reason why the node could not be looked at at all.

    `done` tells what was changed and run on the node, in this order, in the words of the log. `notes` are what people
    should know beside, a line each.
    """

    outcomes: tuple[Outcome, ...] = ()
    error: str | None = None
    duration: float = 0.0
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether the node could be looked at, and nothing differs (any more) or failed."""
        return self.error is None and all(outcome.status in (Status.OK, Status.FIXED) for outcome in self.outcomes)


@dataclass
class NodeSession:
    """Carries out the checks of one node.

    `entries` are all that the masterdir has for it, selected or not; `push` brings what belongs to them to the node's
    mirror, returns notes about that, and raises TransportError where it cannot.
    """

    node: Node
    checks: Sequence[Check]
    entries: Sequence[Entry]
    transport: Transport
    push: Push
    settings: Settings
    _actual: dict[bytes, Actual] = field(default_factory=dict)
    _unreadable: dict[bytes, str] = field(default_factory=dict)
    _notes: tuple[str, ...] = ()
    _done: list[str] = field(default_factory=list)

    @cached_property
    def _overlay(self) -> dict[bytes, Entry]:
        return {entry.destination: entry for entry in self.entries if entry.tree is Tree.OVERLAY}

    def run(self) -> NodeResult:
        """Probe, compare, and with `fix` repair and probe again. Never raises for what a node does."""
        started = time.perf_counter()
        try:
            self._look(self.checks)
            outcomes = [self._outcome(check) for check in self.checks]
            if self.settings.fix:
                outcomes = self._fix(outcomes)
        except TransportError as error:
            return self._result((), f"{self.node.name} unreachable: {error}", started)
        except RemoteError as error:
            return self._result((), f"{self.node.name}: {error}", started)
        return self._result(outcomes, None, started)

    def _result(self, outcomes: Sequence[Outcome], error: str | None, started: float) -> NodeResult:
        return NodeResult(tuple(outcomes), error, time.perf_counter() - started, tuple(self._done), self._notes)

    def _path(self, check: Check) -> bytes:
        """What has to be looked at for a check."""
        if check.command is None:
            return check.entry.looked_at
        return journal.owed(os.fsencode(self.settings.masterdir), check.entry.destination, check.command.kind)

    def _look(self, checks: Sequence[Check]) -> None:
        requests: dict[bytes, probe.Request] = {}
        for check in (check for check in checks if not check.is_task):
            path = self._path(check)
            if check.entry.tree is Tree.DELETE or check.command is not None:
                requests.setdefault(path, probe.Request(path))
                continue
            try:
                expected = check.entry.expected
            except RepositoryError as error:
                self._unreadable[path] = str(error)
                continue
            requests[path] = probe.Request(path, expected.size if expected.kind is Kind.FILE else None)
        for part in probe.split(list(requests.values()), self.transport.script_limit):
            answer = self.transport.run(probe.script(part), self.settings.deadline)
            try:
                self._actual.update(probe.parse(part, answer.stdout))
            except RemoteError as error:
                complaint = answer.stderr.decode("utf-8", "replace").strip().splitlines()
                raise RemoteError(f"{error} ({complaint[-1]})" if complaint else str(error)) from error

    def _changes(self, check: Check) -> list[Change] | Outcome:
        """The differences, or the outcome of a check that cannot be carried out."""
        path = self._path(check)
        if path in self._unreadable and check.entry.tree is Tree.OVERLAY:
            return Outcome(Status.ERROR, self._unreadable[path])
        actual = self._actual[path]
        if isinstance(actual, Unknown):
            return Outcome(Status.ERROR, f"cannot be looked at: {actual.reason}")
        try:
            changes: object = check.function(check.entry, actual)
        except Exception as error:  # a site's own function: whatever it raises is the result of its test
            reason = printable(str(error).encode("utf-8", "surrogateescape"))
            return Outcome(Status.ERROR, f"{_name(check.function)} raised {type(error).__name__}: {reason}")
        if isinstance(changes, list) and all(isinstance(change, Change) for change in changes):
            return changes
        return Outcome(Status.ERROR, f"{_name(check.function)} did not return a list of Change")

    def _outcome(self, check: Check) -> Outcome:
        if check.is_task:
            return NOT_RUN
        changes = self._changes(check)
        if isinstance(changes, list) and not changes:
            return OK
        outcome = changes if isinstance(changes, Outcome) else drift(check.entry, changes)
        more = [] if self.settings.fix or outcome.status is not Status.DRIFT else self._not_run(check)
        if self.settings.explain is not None:
            more += self.settings.explain(check.entry, self.node)
        return replace(outcome, details=(*outcome.details, *more)) if more else outcome

    def _not_run(self, check: Check) -> list[str]:
        """What --fix would run, in the documentation's words."""
        if check.command is not None:
            return [f"not running {check.command.announced}"]
        return [f"not running {command.announced}" for _, command in plan.fired_by(check.entry, self._overlay)]

    def _fix(self, before: Sequence[Outcome]) -> list[Outcome]:
        pairs = list(zip(self.checks, before, strict=True))
        refused = {c.entry.destination for c, outcome in pairs if c.command is None and _is_news(c, outcome)}
        drifted = [(entry, actual) for entry, actual in self._drifted(before) if entry.destination not in refused]
        owed = [
            (check.entry, check.command)
            for check, outcome in pairs
            if check.command is not None and outcome.status is Status.DRIFT
        ]
        tasks = [check.entry for check in self.checks if check.is_task]
        todo = plan.plan(drifted, self._overlay, os.fsencode(self.settings.masterdir), owed, tasks)
        if not todo.actions and not todo.triggers:
            return [_refusal(check, outcome) for check, outcome in pairs]
        selected = {check.entry.destination for check in self.checks if check.command is None}
        needed = [action.path for action in todo.actions if action.path not in selected]
        if needed:  # directories that were not selected: to tell later whether they were made
            self._look([Check(self._overlay[path], self.checks[0].function) for path in needed])
        report = _Applied(todo)
        try:
            if todo.needs_mirror and self.node.rsync:
                self._notes = tuple(self.push(self.entries))
            self._apply(todo, report)
        except TransportError as error:
            # Some of it may have been done: the second probe tells, if the node still answers.
            report.broken = str(error)
        findings = {path: "missing" for path in needed if self._actual.get(self._overlay[path].looked_at) is ABSENT}
        drifts = [(check, o) for check, o in pairs if o.status is Status.DRIFT and check.command is None]
        findings |= {check.entry.destination: o.message for check, o in drifts}
        self._done += report.done(findings)  # before the node is looked at again, which may fail
        self._look(self.checks)
        return [self._verdict(check, outcome, report) for check, outcome in pairs]

    def _drifted(self, outcomes: Sequence[Outcome]) -> list[tuple[Entry, FileState | Absent]]:
        drifted: dict[Entry, FileState | Absent] = {}
        for check, outcome in zip(self.checks, outcomes, strict=True):
            if check.command is not None:
                continue
            actual = self._actual.get(check.entry.looked_at)
            if outcome.status is Status.DRIFT and actual is not None and not isinstance(actual, Unknown):
                drifted[check.entry] = actual
        # What was found through a link that gives way to a directory is not there any more then.
        links = tuple(e.destination + b"/" for e, actual in drifted.items() if _gives_way(e, actual))
        files = (c.entry for c in self.checks if c.entry.tree is Tree.OVERLAY and c.command is None)
        below = [entry for entry in files if entry.destination.startswith(links)]
        drifted.update((entry, ABSENT) for entry in below if entry.looked_at not in self._unreadable)
        return list(drifted.items())

    def _apply(self, todo: plan.Plan, report: _Applied) -> None:
        context = script.Context(
            os.fsencode(self.settings.masterdir),
            self.node.name,
            self.node.hostname or self.node.name,
            self.settings.who,
            self.settings.trigger_timeout,
        )
        for part in script.parts(todo, context, self.transport.script_limit):
            done = [number for number, result in report.results.items() if result.failure is None]
            answer = self.transport.run(script.script(todo, context, part, done), self.settings.deadline)
            results, complete = script.parse(todo, answer.stdout)
            report.results.update({number: result for number, result in results.items() if number in part})
            if not complete:
                report.broken = "the repair did not come to its end"
                return

    def _verdict(self, check: Check, before: Outcome, report: _Applied) -> Outcome:
        if _is_news(check, before):
            return _refusal(check, before)
        if check.command is not None and check.is_task:
            return report.task(check.entry.destination, check.command)
        after = self._outcome(check)
        if before.status is not Status.DRIFT:
            return after
        if check.command is not None:
            return report.run_late(check.entry.destination, check.command, before, after)
        path = check.entry.destination
        failure = report.failure(path)
        if after.status is Status.OK:
            if failure is not None:
                return Outcome(Status.DRIFT, f"put right, but {failure}", report.output(path))
            ran = "".join(f", ran {name}" for name in report.ran(path))
            return Outcome(Status.FIXED, f"{report.verb(path)} ({before.message}){ran}", before.details)
        if after.status is Status.DRIFT and failure is not None:
            return Outcome(Status.DRIFT, f"{after.message}, not fixed: {failure}", after.details)
        return after


def _is_news(check: Check, outcome: Outcome) -> bool:
    """Whether a test found something else than the audit that its repair is based on."""
    return outcome.status is Status.DRIFT and check.audited not in (None, outcome.message)


def _refusal(check: Check, outcome: Outcome) -> Outcome:
    """The outcome of a test that was not repaired."""
    if not _is_news(check, outcome):
        return outcome
    was = f"changed since the audit: was {check.audited}, is {outcome.message}; look again before --fix"
    return replace(outcome, message=was)


def _gives_way(entry: Entry, actual: FileState | Absent) -> bool:
    """Whether a link is to become a directory, wherever it leads."""
    if entry.tree is not Tree.OVERLAY or not isinstance(actual, FileState):
        return False
    return actual.kind is Kind.LINK and entry.expected.kind is Kind.DIRECTORY and entry.follow is False


def _name(function: CheckFunction) -> str:
    return getattr(function, "__name__", "the check")


@dataclass
class _Applied:
    """A plan and what became of it."""

    todo: plan.Plan
    results: dict[int, script.Result] = field(default_factory=dict)
    broken: str | None = None

    def done(self, findings: Mapping[bytes, str]) -> list[str]:
        """The actions that succeeded, with the finding of each, and the triggers that were run."""
        lines = []
        for number, action in enumerate(self.todo.actions):
            result = self.results.get(number)
            # Not for a directory that was needed, and was there already.
            if result is not None and result.failure is None and action.path in findings:
                lines.append(f"{printable(action.path)} {action.verb} ({findings[action.path]})")
        for number, trigger in enumerate(self.todo.triggers, len(self.todo.actions)):
            if number in self.results:
                lines.append(f"running {trigger.command.announced}")
        return lines

    def verb(self, path: bytes) -> str:
        return next((action.verb for action in self.todo.actions if action.path == path), "fixed")

    def failure(self, path: bytes) -> str | None:
        """Why a path cannot be called fixed: its action failed, or a trigger that it fired."""
        for number, action in enumerate(self.todo.actions):
            if action.path == path and (result := self.results.get(number)) and result.failure:
                return result.failure
        for number, trigger in self._triggers(path):
            result = self.results.get(number)
            if result is not None and result.failure:
                return f"{trigger.command.shown} failed: {result.failure}"
        return self.broken

    def ran(self, path: bytes) -> list[str]:
        """The triggers that a path has fired."""
        return [trigger.command.shown for number, trigger in self._triggers(path) if number in self.results]

    def _result_of(self, path: bytes, command: plan.Command) -> script.Result | None:
        numbered = enumerate(self.todo.triggers, len(self.todo.actions))
        number = next((n for n, trigger in numbered if (trigger.path, trigger.command) == (path, command)), -1)
        return self.results.get(number)

    def task(self, path: bytes, command: plan.Command) -> Outcome:
        """The outcome of a task."""
        result = self._result_of(path, command)
        if result is None:
            return Outcome(Status.ERROR, f"not run: {self.broken or 'the repair did not get to it'}")
        if result.failure is not None:
            return Outcome(Status.DRIFT, f"{command.shown} failed: {result.failure}", result.output)
        return Outcome(Status.FIXED, f"ran {command.shown}", result.output)

    def run_late(self, path: bytes, command: plan.Command, before: Outcome, after: Outcome) -> Outcome:
        """The outcome of a command that was owed from an earlier run, of what is seen before and after."""
        result = self._result_of(path, command)
        if after.status is Status.OK:
            return Outcome(Status.FIXED, f"ran {command.shown} ({before.message})", before.details)
        if after.status is not Status.DRIFT:
            return after
        reason = self.broken if result is None else result.failure
        output = () if result is None else result.output
        return Outcome(Status.DRIFT, f"{after.message}, not run: {reason}", (*after.details, *output))

    def output(self, path: bytes) -> tuple[str, ...]:
        """What the triggers of a path printed."""
        return tuple(line for n, _ in self._triggers(path) if n in self.results for line in self.results[n].output)

    def _triggers(self, path: bytes) -> list[tuple[int, plan.Trigger]]:
        numbered = enumerate(self.todo.triggers, len(self.todo.actions))
        return [(number, trigger) for number, trigger in numbered if path in trigger.causes]


def drift(entry: Entry, changes: Sequence[Change]) -> Outcome:
    """The outcome for differences: one line that names them, below it what was expected and found, and why."""
    details = [
        f"{change.what}: differs, not shown since it is sensitive"
        if entry.sensitive and change.what == "MD5"
        else f"{change.what}: expected {change.expected}, found {change.found}"
        for change in changes
    ]
    is_link = any((change.what, change.found) == ("type", Kind.LINK.value) for change in changes)
    if is_link and entry.source.is_directory and entry.follow is None:
        details.append(
            "it stays if it leads to a directory; 'follow: yes' in attributes.yaml takes it as one, 'no' not"
        )
    return Outcome(Status.DRIFT, finding(changes), (*details, f"source: {entry.source.shown}"))


def finding(changes: Sequence[Change]) -> str:
    """`file size mismatch, mode mismatch`: the differences in one line."""
    plain = ("missing", "must not exist", "owed")
    return ", ".join(c.what if c.what in plain else f"{c.what} mismatch" for c in changes)
