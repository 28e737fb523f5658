"""One node from probe to outcome: look, compare, with --fix repair and look again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_synctool.audit import probe
from pytest_synctool.audit.check import NOT_FOUND, Check, CheckFunction
from pytest_synctool.audit.drift_outcome import drift
from pytest_synctool.common.wording import printable
from pytest_synctool.connection.transport import Transport
from pytest_synctool.engine.settings import Settings
from pytest_synctool.errors import RemoteError, RepositoryError, TransportError
from pytest_synctool.model import (
    ABSENT,
    NOT_KEPT,
    NOT_RUN,
    OK,
    Absent,
    Actual,
    Change,
    FileState,
    Kind,
    Node,
    NodeResult,
    Outcome,
    Status,
    Unknown,
)
from pytest_synctool.repair import journal, plan, script
from pytest_synctool.repair.apply import Applied, apply, told
from pytest_synctool.repair.left_alone import behind_links, below_missing
from pytest_synctool.repair.script import Context
from pytest_synctool.repository import commands
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.secrecy import secret, tells_of_contents
from pytest_synctool.repository.source import Tree, parents

if TYPE_CHECKING:
    from pytest_synctool.audit.content_diff import ContentDiffs

Push = Callable[[Sequence[Entry]], Sequence[str]]


@dataclass
class NodeSession:
    """Carries out the checks of one node.

    `entries` are all that the masterdir has for it, selected or not; `push` brings what belongs to them to the node's
    mirror, returns notes about that, and raises TransportError where it cannot. `mark` is a file there that tells
    whether the mirror is up to date: after a repair `refresh` is told what is found, and returns notes as well.
    """

    node: Node
    checks: Sequence[Check]
    entries: Sequence[Entry]
    transport: Transport
    push: Push
    settings: Settings
    mark: probe.Request | None = None
    refresh: Callable[[Actual], Sequence[str]] = lambda _: ()
    contents: ContentDiffs | None = None
    _actual: dict[bytes, Actual] = field(default_factory=dict)
    _unreadable: dict[bytes, str] = field(default_factory=dict)
    _notes: tuple[str, ...] = ()
    _done: list[str] = field(default_factory=list)
    _held: dict[bytes, str] = field(default_factory=dict)

    @cached_property
    def _overlay(self) -> dict[bytes, Entry]:
        return {entry.destination: entry for entry in self.entries if entry.tree is Tree.OVERLAY}

    def run(self, answered: Callable[[], None] = lambda: None) -> NodeResult:
        """Probe, compare, and with `fix` repair and probe again. Never raises for what a node does.

        `answered` is called when the node has answered for the first time, before anything is changed.
        """
        started = time.perf_counter()
        try:
            if self.settings.restore:
                outcomes = self._restore(answered)
            else:
                self._look(self.checks, self._tidy() if self.settings.fix else b"")
                answered()
                outcomes = self._with_contents([self._outcome(check) for check in self.checks])
            if self.settings.rehearse:
                todo, findings = self._planned(outcomes)
                outcomes = [self._left_alone(check, o) for check, o in zip(self.checks, outcomes, strict=True)]
                result = self._result(outcomes, None, started)
                lines = told(todo, findings)
                text = script.script(todo, self._context, lines) if todo.actions or todo.triggers else b""
                paths = [*(action.path for action in todo.actions), *(trigger.path for trigger in todo.triggers)]
                planned = tuple((path, line) for path, line in zip(paths, lines, strict=True) if line)
                return replace(result, planned=planned, script=text)
            if self.settings.fix:
                outcomes = self._fix(outcomes)
                self._notes += tuple(self.refresh(self._actual[self.mark.path])) if self.mark else ()
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

    def _tidy(self) -> bytes:
        """What is to be done before a node is looked at to be repaired, unless it had to be done by itself."""
        text = script.tidy(self._context)
        if self.transport.script_limit is None:
            return text
        self.transport.run(text, self.settings.deadline)
        return b""

    def _look(self, checks: Sequence[Check], before: bytes = b"") -> None:
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
        requests |= {self.mark.path: self.mark} if self.mark else {}
        for part in probe.split(list(requests.values()), self.transport.script_limit):
            answer = self.transport.run(before + probe.script(part), self.settings.deadline)
            before = b""
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
        outcome = changes if isinstance(changes, Outcome) else drift(check.entry, changes, self._secret(check.entry))
        if check.command is None:
            outcome = self.settings.waivers.applied(self.node, check.entry.destination, outcome)
        more = [] if self.settings.fix or outcome.status is not Status.DRIFT else self._not_run(check)
        if self.settings.explain is not None:
            more += self.settings.explain(check.entry, self.node)
        return replace(outcome, details=(*outcome.details, *more)) if more else outcome

    def _secret(self, entry: Entry) -> str | None:
        """Why the contents of an entry must not be shown, if they must not."""
        if entry.tree is not Tree.OVERLAY:
            return None
        actual = self._actual.get(entry.looked_at)
        found = actual if isinstance(actual, FileState) else ABSENT
        above = [self._overlay[path].expected for path in parents(entry.destination) if path in self._overlay]
        return secret(entry, entry.expected, found, above)

    def _with_contents(self, outcomes: list[Outcome]) -> list[Outcome]:
        """The outcomes, with what differs in the contents of files, as far as that may be shown."""
        if self.contents is None:
            return outcomes
        differing: dict[int, tuple[Entry, FileState]] = {}
        for position, (check, outcome) in enumerate(zip(self.checks, outcomes, strict=True)):
            actual = self._actual.get(check.entry.looked_at)
            if isinstance(actual, FileState) and tells_of_contents(outcome.changes) and not self._secret(check.entry):
                differing[position] = check.entry, actual
        shown = self.contents.of(self.transport, dict(differing.values()))
        for position, (entry, _) in differing.items():
            outcomes[position] = shown[entry].of(outcomes[position])
        return outcomes

    def _not_run(self, check: Check) -> list[str]:
        """What --fix would run, in the documentation's words."""
        if check.command is not None:
            return [f"not running {check.command.announced}"]
        return [f"not running {command.announced}" for _, command in commands.fired_by(check.entry, self._overlay)]

    def _planned(self, before: Sequence[Outcome]) -> tuple[plan.Plan, dict[bytes, str]]:
        """What is to be done about what was found, and the finding for each path that it will be told of."""
        pairs = list(zip(self.checks, before, strict=True))
        refused = {c.entry.destination for c, outcome in pairs if c.command is None and _is_news(c, outcome)}
        drifted = [(entry, actual) for entry, actual in self._drifted(before) if entry.destination not in refused]
        owed = [
            (check.entry, check.command)
            for check, outcome in pairs
            if check.command is not None and outcome.status is Status.DRIFT
        ]
        tasks = [(check.entry, check.command) for check in self.checks if check.command is not None and check.is_task]
        todo = plan.plan(drifted, self._overlay, os.fsencode(self.settings.masterdir), owed, tasks)
        selected = {check.entry.destination for check in self.checks if check.command is None}
        needed = [action.path for action in todo.actions if action.path not in selected]
        if needed:  # directories that were not selected: to tell later whether they were made
            self._look([Check(self._overlay[path], self.checks[0].function) for path in needed])
        findings = {path: "missing" for path in needed if self._actual.get(self._overlay[path].looked_at) is ABSENT}
        drifts = [(check, o) for check, o in pairs if o.status is Status.DRIFT and check.command is None]
        return todo, findings | {check.entry.destination: o.message for check, o in drifts}

    def _fix(self, before: Sequence[Outcome]) -> list[Outcome]:
        todo, findings = self._planned(before)
        pairs = list(zip(self.checks, before, strict=True))
        if not todo.actions and not todo.triggers:
            return [self._left_alone(check, outcome) for check, outcome in pairs]
        report = Applied(todo, told(todo, findings))
        self._carry_out(report)
        self._look(self.checks)
        return [self._verdict(check, outcome, report) for check, outcome in pairs]

    @cached_property
    def _context(self) -> Context:
        settings = self.settings
        return Context(
            os.fsencode(settings.masterdir),
            self.node.name,
            self.node.hostname or self.node.name,
            settings.who,
            settings.trigger_timeout,
            saved=settings.saved,
            log=settings.log,
            syslog=settings.syslog,
        )

    def _carry_out(self, report: Applied) -> None:
        try:
            if report.todo.needs_mirror and self.node.rsync:
                self._notes = tuple(self.push(self.entries))
        except TransportError as error:
            report.broken = str(error)
            return
        apply(report, self.transport, self._context, self.settings.deadline)
        self._notes += tuple(report.remarks)
        self._done += report.done()  # before the node is looked at again, which may fail

    def _restore(self, answered: Callable[[], None]) -> list[Outcome]:
        """Put back what the last repair has kept of the selected entries."""
        answer = self.transport.run(script.recall(self._context), self.settings.deadline)
        answered()
        kept = script.parse_recalled(answer.stdout)
        saved = {
            check.entry: kept[check.entry.destination]
            for check in self.checks
            if check.command is None and check.entry.tree is Tree.OVERLAY and check.entry.destination in kept
        }
        todo = plan.restore(list(saved.items()), self._overlay)
        findings = {entry.destination: f"from {printable(old)}" for entry, old in saved.items()}
        report = Applied(todo, told(todo, findings))
        if todo.actions:
            self._carry_out(report)
        return [self._restored(check, findings, report) for check in self.checks]

    def _restored(self, check: Check, findings: Mapping[bytes, str], report: Applied) -> Outcome:
        path = check.entry.destination
        if check.command is not None or check.entry.tree is not Tree.OVERLAY or path not in findings:
            return NOT_KEPT
        failure = report.failure(path, right=False)
        if failure is not None:
            said = self._said(check.entry, report.output(path))
            return Outcome(Status.DRIFT, f"not restored {findings[path]}: {failure}", said)
        ran = "".join(f", ran {name}" for name in report.ran(path))
        return Outcome(Status.FIXED, f"restored ({findings[path]}){ran}")

    def _said(self, entry: Entry, output: tuple[str, ...]) -> tuple[str, ...]:
        """What the triggers of an entry printed, unless that may be what is in it."""
        hidden = self._secret(entry) if output else None
        return (f"what it printed is not shown, since {hidden}",) if hidden else output

    def _drifted(self, outcomes: Sequence[Outcome]) -> list[tuple[Entry, FileState | Absent]]:
        drifted: dict[Entry, FileState | Absent] = {}
        for check, outcome in zip(self.checks, outcomes, strict=True):
            if check.command is not None:
                continue
            actual = self._actual.get(check.entry.looked_at)
            if outcome.status is Status.DRIFT and actual is not None and not isinstance(actual, Unknown):
                drifted[check.entry] = actual
        self._held = self._held_by_waivers(drifted, outcomes)
        drifted = {entry: actual for entry, actual in drifted.items() if entry.destination not in self._held}
        # What was found through a link that gives way to a directory is not there any more then.
        links = tuple(e.destination + b"/" for e, actual in drifted.items() if _gives_way(e, actual))
        files = (c.entry for c in self.checks if c.entry.tree is Tree.OVERLAY and c.command is None)
        below = [entry for entry in files if entry.destination.startswith(links)]
        drifted.update((entry, ABSENT) for entry in below if entry.looked_at not in self._unreadable)
        return list(drifted.items())

    def _held_by_waivers(
        self, drifted: Mapping[Entry, FileState | Absent], outcomes: Sequence[Outcome]
    ) -> dict[bytes, str]:
        """What is not put right since that would change what is waived, with the reason, by destination."""
        in_force = self.settings.waivers
        missing = [e.destination for e, actual in drifted.items() if e.tree is Tree.OVERLAY and actual is ABSENT]
        above = {
            self._overlay[parent]: waiver.place
            for parent in {parent for path in missing for parent in parents(path) if parent in self._overlay}
            if (waiver := in_force.waiver(self.node, parent)) is not None
        }
        if unseen := [entry for entry in above if entry.looked_at not in self._actual]:  # they were not selected
            self._look([Check(entry, self.checks[0].function) for entry in unseen])
        gone = {e.destination: place for e, place in above.items() if self._actual.get(e.looked_at) is ABSENT}
        links = [entry.destination for entry, actual in drifted.items() if _gives_way(entry, actual)]
        waived = {
            check.entry.destination: waiver.place
            for check, outcome in zip(self.checks, outcomes, strict=True)
            if outcome.status is Status.WAIVED
            if (waiver := in_force.waiver(self.node, check.entry.destination)) is not None
        }
        return below_missing(missing, gone) | behind_links(links, waived)

    def _left_alone(self, check: Check, outcome: Outcome) -> Outcome:
        """The outcome of a test that was not to be repaired; any other as it is."""
        held = self._held.get(check.entry.destination) if check.command is None else None
        if outcome.status is Status.DRIFT and held is not None:
            return replace(outcome, message=f"{outcome.message}, left alone: {held}")
        return _refusal(check, outcome)

    def _verdict(self, check: Check, before: Outcome, report: Applied) -> Outcome:
        path = check.entry.destination
        if (left := self._left_alone(check, before)) is not before:
            return left
        if check.command is not None and check.is_task:
            return report.task(path, check.command)
        after = self._outcome(check)
        if before.status is not Status.DRIFT:
            return after
        if check.command is not None:
            said = self._said(check.entry, report.late_output(path, check.command))
            return report.run_late(path, check.command, before, after, said)
        failure = report.failure(path, right=after.status is Status.OK)
        if after.status is Status.OK:
            if failure is not None:
                said = self._said(check.entry, report.output(path))
                return replace(before, message=f"put right, but {failure}", details=said)
            ran = "".join(f", ran {name}" for name in report.ran(path))
            return replace(before, status=Status.FIXED, message=f"{report.verb(path)} ({before.message}){ran}")
        if after.status is Status.DRIFT and failure is not None:
            return replace(after, message=f"{after.message}, not fixed: {failure}")
        return after


def _is_news(check: Check, outcome: Outcome) -> bool:
    """Whether a test found something else than the audit that its repair is based on."""
    return outcome.status is Status.DRIFT and check.audited not in (None, outcome.message)


def _refusal(check: Check, outcome: Outcome) -> Outcome:
    """The outcome of a test that was not repaired."""
    if not _is_news(check, outcome):
        return outcome
    was = f"changed since the audit: was {check.audited}, is {outcome.message}; look again before --fix"
    if check.audited == NOT_FOUND:
        was = f"not found by the audit: {outcome.message}; look again before --fix"
    return replace(outcome, message=was)


def _gives_way(entry: Entry, actual: FileState | Absent) -> bool:
    """Whether a link is to become a directory, wherever it leads."""
    if entry.tree is not Tree.OVERLAY or not isinstance(actual, FileState):
        return False
    return actual.kind is Kind.LINK and entry.expected.kind is Kind.DIRECTORY and entry.follow is False


def _name(function: CheckFunction) -> str:
    return getattr(function, "__name__", "the check")
