"""One node from probe to outcome: look, compare, with --fix repair and look again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_synctool import plan, probe
from pytest_synctool.errors import RemoteError, RepositoryError, TransportError
from pytest_synctool.model import OK, Absent, Actual, Change, FileState, Kind, Node, Outcome, Status, Unknown, printable
from pytest_synctool.repository import Entry
from pytest_synctool.source import Tree
from pytest_synctool.transport import Transport

Push = Callable[[Sequence[bytes]], None]
Explain = Callable[[Entry, Node], Sequence[str]]
CheckFunction = Callable[[Entry, FileState | Absent], list[Change]]


@dataclass(frozen=True, slots=True)
class Check:
    """One test: a check function applied to one entry."""

    entry: Entry
    function: CheckFunction


@dataclass(frozen=True, slots=True)
class Settings:
    """How sessions are run.

    `deadline` bounds each command on a node, in seconds; `explain` tells of an entry why the node has to have it.
    """

    masterdir: Path
    fix: bool = False
    deadline: float = 120.0
    explain: Explain | None = None


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of a node: one outcome per check, or the reason why the node could not be looked at at all."""

    outcomes: tuple[Outcome, ...] = ()
    error: str | None = None
    duration: float = 0.0


@dataclass
class NodeSession:
    """Carries out the checks of one node.

    `entries` are all that the masterdir has for it, selected or not; `push` brings files below the masterdir to the
    node's mirror, and raises TransportError where it cannot.
    """

    node: Node
    checks: Sequence[Check]
    entries: Sequence[Entry]
    transport: Transport
    push: Push
    settings: Settings
    _actual: dict[bytes, Actual] = field(default_factory=dict)
    _unreadable: dict[bytes, str] = field(default_factory=dict)

    def run(self) -> NodeResult:
        """Probe, compare, and with `fix` repair and probe again. Never raises for what a node does."""
        started = time.perf_counter()
        try:
            self._look([check.entry for check in self.checks])
            outcomes = [self._outcome(check) for check in self.checks]
            if self.settings.fix:
                outcomes = self._fix(outcomes)
        except TransportError as error:
            return NodeResult((), f"{self.node.name} unreachable: {error}", time.perf_counter() - started)
        except RemoteError as error:
            return NodeResult((), f"{self.node.name}: {error}", time.perf_counter() - started)
        return NodeResult(tuple(outcomes), None, time.perf_counter() - started)

    def _look(self, entries: Sequence[Entry]) -> None:
        requests: dict[bytes, probe.Request] = {}
        for entry in entries:
            path = entry.destination
            if entry.tree is Tree.DELETE:
                requests.setdefault(path, probe.Request(path))
                continue
            try:
                expected = entry.expected
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
        if check.entry.destination in self._unreadable and check.entry.tree is Tree.OVERLAY:
            return Outcome(Status.ERROR, self._unreadable[check.entry.destination])
        actual = self._actual[check.entry.destination]
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
        changes = self._changes(check)
        if isinstance(changes, list) and not changes:
            return OK
        outcome = changes if isinstance(changes, Outcome) else drift(check.entry, changes)
        if self.settings.explain is None:
            return outcome
        return replace(outcome, details=(*outcome.details, *self.settings.explain(check.entry, self.node)))

    def _fix(self, before: Sequence[Outcome]) -> list[Outcome]:
        drifted = self._drifted(before)
        by_destination = {e.destination: e for e in self.entries if e.tree is Tree.OVERLAY}
        todo = plan.plan(drifted, by_destination, os.fsencode(self.settings.masterdir))
        if not todo.actions:
            return list(before)
        report = _Applied(todo)
        try:
            if todo.needs_mirror and self.node.rsync:
                self.push(visible(self.entries))
            self._apply(todo, report)
        except TransportError as error:
            # Some of it may have been done: the second probe tells, if the node still answers.
            report.broken = str(error)
        self._look([check.entry for check in self.checks])
        return [self._verdict(c, o, report) for c, o in zip(self.checks, before, strict=True)]

    def _drifted(self, outcomes: Sequence[Outcome]) -> list[tuple[Entry, FileState | Absent]]:
        drifted: dict[Entry, FileState | Absent] = {}
        for check, outcome in zip(self.checks, outcomes, strict=True):
            actual = self._actual.get(check.entry.destination)
            if outcome.status is Status.DRIFT and actual is not None and not isinstance(actual, Unknown):
                drifted[check.entry] = actual
        return list(drifted.items())

    def _apply(self, todo: plan.Plan, report: _Applied) -> None:
        masterdir = os.fsencode(self.settings.masterdir)
        for part in plan.parts(todo, self.transport.script_limit):
            done = [number for number, result in report.results.items() if result.failure is None]
            answer = self.transport.run(plan.script(todo, masterdir, part, done), self.settings.deadline)
            results, complete = plan.parse(todo, answer.stdout)
            report.results.update({number: result for number, result in results.items() if number in part})
            if not complete:
                report.broken = "the repair did not come to its end"
                return

    def _verdict(self, check: Check, before: Outcome, report: _Applied) -> Outcome:
        after = self._outcome(check)
        if before.status is not Status.DRIFT:
            return after
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


def _name(function: CheckFunction) -> str:
    return getattr(function, "__name__", "the check")


@dataclass
class _Applied:
    """A plan and what became of it."""

    todo: plan.Plan
    results: dict[int, plan.Result] = field(default_factory=dict)
    broken: str | None = None

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
                return f"{printable(trigger.script)} failed: {result.failure}"
        return self.broken

    def ran(self, path: bytes) -> list[str]:
        """The triggers that a path has fired."""
        return [printable(trigger.script) for number, trigger in self._triggers(path) if number in self.results]

    def output(self, path: bytes) -> tuple[str, ...]:
        """What the triggers of a path printed."""
        return tuple(line for n, _ in self._triggers(path) if n in self.results for line in self.results[n].output)

    def _triggers(self, path: bytes) -> list[tuple[int, plan.Trigger]]:
        numbered = enumerate(self.todo.triggers, len(self.todo.actions))
        return [(number, trigger) for number, trigger in numbered if path in trigger.causes]


def visible(entries: Iterable[Entry]) -> list[bytes]:
    """The files below the masterdir that a node with these entries may see, sorted: its sources and triggers."""
    sources = {e.source.relative for e in entries if e.tree is Tree.OVERLAY}
    return sorted(sources | {e.trigger for e in entries if e.trigger is not None})


def drift(entry: Entry, changes: Sequence[Change]) -> Outcome:
    """The outcome for differences: one line that names them, below it what was expected and found, and why."""
    details = [
        f"{change.what}: differs, not shown since it is sensitive"
        if entry.sensitive and change.what == "MD5"
        else f"{change.what}: expected {change.expected}, found {change.found}"
        for change in changes
    ]
    return Outcome(Status.DRIFT, finding(changes), (*details, f"source: {entry.source.shown}"))


def finding(changes: Sequence[Change]) -> str:
    """`file size mismatch, mode mismatch`: the differences in one line."""
    plain = ("missing", "must not exist")
    return ", ".join(c.what if c.what in plain else f"{c.what} mismatch" for c in changes)
