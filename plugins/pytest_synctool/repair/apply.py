"""A plan carried out on one node, and the result of each action and trigger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from pytest_synctool.audit.probe import Request
from pytest_synctool.common.wording import printable
from pytest_synctool.connection.exchange import SHORT_ANSWER
from pytest_synctool.connection.ssh import last_line
from pytest_synctool.connection.transport import Transport
from pytest_synctool.errors import TransportError
from pytest_synctool.model import OK, Actual, Outcome, Status, UnixOutput
from pytest_synctool.repair.carried_script import run_script
from pytest_synctool.repair.kept_report import KeptReport
from pytest_synctool.repair.plain_commands import plain_commands
from pytest_synctool.repair.plan import Plan
from pytest_synctool.repair.script import MOST_OUTPUT, Context, Result, heard, is_refused, parse, remarks, script
from pytest_synctool.repository.entry_commands import Command


class MirrorOfNode(Protocol):
    """The mirror of one node, as a repair needs it."""

    @property
    def mark(self) -> Request | None:
        """The file on the node that shows whether the mirror is up to date; None where there is no mirror."""

    def prepare(self) -> None:
        """Determine the node's files, while the node is busy."""

    def note_mark(self, actual: Actual) -> None:
        """Take note of `actual`, the state of the mark before a push."""

    def push(self, todo: Plan) -> Sequence[str]:
        """Bring the node the files that a plan needs; return notes for people. Raises TransportError."""

    def removal(self) -> bytes:
        """Return the shell text that removes from the node what only a repair that has ended needed."""

    def refresh(self, actual: Actual) -> Sequence[str]:
        """Push if `actual`, the state of the mark, shows an outdated mirror; return notes for people."""


@dataclass
class Applied:
    """A plan and its results by number; `broken` is the reason why the script did not reach its end, if known.

    `was_sent` is True if the node may have begun. With the numbers in `refused` it would not begin. `lines` are the
    lines of a log for each number, empty where the log gets none.
    """

    todo: Plan
    lines: Sequence[str]
    results: dict[int, Result] = field(default_factory=dict)
    broken: str | None = None
    remarks: dict[str, None] = field(default_factory=dict)
    was_sent: bool = False
    refused: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._actions = {action.path: number for number, action in enumerate(self.todo.actions)}
        self._commands: dict[tuple[bytes, Command], int] = {}
        self._fired: dict[bytes, list[int]] = {}
        for number, trigger in enumerate(self.todo.triggers, len(self.todo.actions)):
            self._commands[trigger.path, trigger.command] = number
            for cause in trigger.causes:
                self._fired.setdefault(cause, []).append(number)

    def done(self) -> list[str]:
        """Return the lines of the actions that succeeded and of the triggers that ran."""
        succeeded = self.successes()
        return [text for number, text in enumerate(self.lines) if text and number in succeeded]

    def printed(self, hidden: Callable[[bytes], str | None]) -> dict[str, tuple[str, ...]]:
        """Return the lines that each command printed, by its own line. `hidden` is as in NodeChanges.carry_out()."""
        printed = {}
        first = len(self.todo.actions)
        for number, trigger in enumerate(self.todo.triggers, first):
            result = self.results.get(number)
            if result is None or not result.output:
                continue
            reason = next((reason for path in sorted(trigger.causes) if (reason := hidden(path))), None)
            printed[self.lines[number]] = unless_hidden(result.output, reason)
        return printed

    def successes(self) -> set[int]:
        """Return the numbers of the actions that succeeded and of the triggers that ran."""
        first = len(self.todo.actions)
        return {number for number, result in self.results.items() if number >= first or result.failure is None}

    def take_over(self, report: KeptReport) -> None:
        """Add the results of a report that the node has kept, of which not all was heard."""
        results, _ = parse(self.todo, report.text)
        self.results = results | self.results
        if report.is_whole and all(number in self.results for number in range(len(self.todo.actions))):
            self.broken = None

    def has_done(self, path: bytes) -> bool:
        """Return True if the action on a path succeeded."""
        result = self.results.get(self._actions.get(path, -1))
        return result is not None and result.failure is None

    def verb(self, path: bytes) -> str:
        """Return the log's word for the action on a path."""
        number = self._actions.get(path)
        return "fixed" if number is None else self.todo.actions[number].verb

    def failure(self, path: bytes, *, right: bool) -> str | None:
        """Return the reason why a path is not fixed: its action or a trigger of it failed, or has no known result.

        With `right` a probe saw the path in its expected state, so only its triggers can lack a result.
        """
        number = self._actions.get(path, -1)
        if right and number in self.refused:  # somebody else has put it right meanwhile
            return None
        action = self.results.get(number)
        if action is not None and action.failure:
            return action.failure
        for command, result in self._ran(path):
            if result.failure:
                return f"{command.shown} failed: {result.failure}"
        settled = right and all(number in self.results for number in self._fired.get(path, ()))
        return None if settled else self.broken

    def succeeded(self, path: bytes) -> bool:
        """Return True if the action on a path is known to have succeeded, whatever became of its triggers."""
        action = self.results.get(self._actions.get(path, -1))
        return action is not None and not action.failure

    def ran(self, path: bytes) -> str:
        """Return the triggers that a path has fired, as the end of a sentence: `, ran overlay/etc/motd.post`."""
        return "".join([f", ran {command.shown}" for command, _ in self._ran(path)])

    def output(self, path: bytes) -> tuple[str, ...]:
        """Return the lines that the triggers of a path printed."""
        return tuple([line for _, result in self._ran(path) for line in result.output])

    def _ran(self, path: bytes) -> list[tuple[Command, Result]]:
        if path not in self._fired:
            return []
        first = len(self.todo.actions)
        fired = ((self.todo.triggers[n - first].command, self.results.get(n)) for n in self._fired[path])
        return [(command, result) for command, result in fired if result is not None]

    def task(self, path: bytes, command: Command) -> Outcome:
        """Return the outcome of a task."""
        result = self.results.get(self._commands.get((path, command), -1))
        if result is None:
            return Outcome(Status.ERROR, f"not run: {self.broken or 'the repair did not get to it'}")
        if result.failure is not None:
            return Outcome(Status.DRIFT, f"{command.shown} failed: {result.failure}", result.output)
        if command.kind == "always":  # nothing was wrong before
            return OK
        return Outcome(Status.FIXED, f"ran {command.shown}", result.output)

    def late_output(self, path: bytes, command: Command) -> tuple[str, ...]:
        """Return the lines that a command printed which was owed from an earlier run."""
        result = self.results.get(self._commands.get((path, command), -1))
        return () if result is None else result.output

    def run_late(
        self, path: bytes, command: Command, before: Outcome, after: Outcome, output: tuple[str, ...]
    ) -> Outcome:
        """Return the outcome of a command that was owed from an earlier run.

        `before` and `after` are the outcomes of its check around the repair, `output` its late_output() as far as that
        may be shown.
        """
        number = self._commands.get((path, command), -1)
        result = self.results.get(number)
        if after.status is Status.OK and number in self.refused:  # somebody else has run it
            return after
        if after.status is Status.OK:
            return Outcome(Status.FIXED, f"ran {command.shown} ({before.message})", (*before.details, *output))
        if after.status is not Status.DRIFT:
            return after
        reason = self.broken if result is None else result.failure
        return Outcome(Status.DRIFT, f"{after.message}, not run: {reason}", (*after.details, *output))


def unless_hidden(output: tuple[str, ...], reason: str | None) -> tuple[str, ...]:
    """Return what a command printed, or in its place the reason why that is not shown."""
    return (f"what it printed is not shown, since {reason}",) if output and reason is not None else output


@dataclass
class NodeChanges:
    """The means to change one node. `deadline` bounds each script, in seconds. `mirror` is None for a node without one.

    `made_in` is the directory of the node to which contents come that the controller makes, None if they cannot come.

    `taken` names the repairs whose kept reports were taken over. `done` collects the log's lines of what was done, in
    order, `printed` what the commands among them printed; `notes` collects remarks for people, and
    `lines` the shell text that `unix` names.
    """

    transport: Transport
    context: Context
    deadline: float
    mirror: MirrorOfNode | None = None
    made_in: bytes | None = None
    taken: tuple[str, ...] = ()
    unix: UnixOutput = UnixOutput.NONE
    lines: list[bytes] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    printed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def carry_out(self, applied: Applied, hidden: Callable[[bytes], str | None]) -> None:
        """Carry out a plan, after a push to the mirror if it needs files. Failures of the connection become results.

        `hidden` returns the reason why what the commands of a path print is not shown, or None.
        """
        context, text = replace(self.context, taken=self.taken), None
        if applied.todo.needs_mirror and self.mirror is not None:
            with ThreadPoolExecutor(1) as pool:
                push = pool.submit(self.mirror.push, applied.todo)
                # It is ready when the files have arrived.
                text = script(applied.todo, context, applied.lines, applied.todo.numbers(post=context.post))
                try:
                    self.notes += push.result()
                except TransportError as error:
                    applied.broken = str(error)
                    return
        apply(applied, self.transport, context, self.deadline, text)
        self.notes += applied.remarks
        self.done += applied.done()  # before the second probe, which may fail
        self.printed |= applied.printed(hidden)

    def add_commands(
        self, todo: Plan, log_lines: Sequence[str], absent: Collection[bytes], numbers: Collection[int]
    ) -> None:
        """Add the commands that do what these steps of a plan do, as plain_commands() says, if they are wanted."""
        if self.unix is UnixOutput.COMMANDS:
            self.lines += plain_commands(todo, self.context, log_lines, absent, numbers)

    def forget(self, *whose: str) -> None:
        """Delete the kept reports of these repairs on the node. After a failure the next run reports them again."""
        with suppress(TransportError):
            self.transport.run(heard(self.context, whose), self.deadline)


def log_lines(todo: Plan, reasons: Mapping[bytes, str]) -> list[str]:
    """Return the line of a log for each number of a plan: `/etc/motd created (missing)`.

    The line is empty for a path without a reason: a directory that is needed and was there already.
    """
    actions = [
        f"{printable(action.path)} {action.verb} ({reasons[action.path]})" if action.path in reasons else ""
        for action in todo.actions
    ]
    return actions + [trigger.announced for trigger in todo.triggers]


def apply(applied: Applied, transport: Transport, context: Context, deadline: float, text: bytes | None = None) -> None:
    """Run the script of a plan and add its results, all that came before a connection broke included.

    `text` is that script if it is ready.
    """
    todo, numbers = applied.todo, applied.todo.numbers(post=context.post)
    text = text or script(todo, context, applied.lines, numbers)
    _run(applied, transport, context, deadline, text, numbers)
    rest = [n for n in numbers if n not in applied.results]
    if applied.broken is None and rest and rest[0] < len(todo.actions):
        # Somebody has made a new directory meanwhile, or it could not be made with all that belongs below it.
        done = [number for number, result in applied.results.items() if result.failure is None]
        text = script(todo, context, applied.lines, rest, done, with_trees=False)
        _run(applied, transport, context, deadline, text, rest)


def _run(
    applied: Applied, transport: Transport, context: Context, deadline: float, text: bytes, numbers: Collection[int]
) -> None:
    """Run a script with these numbers of a plan and add its results."""
    todo = applied.todo
    ceiling = SHORT_ANSWER + len(text) + MOST_OUTPUT * len(todo.triggers)
    applied.was_sent = True
    try:
        answer = run_script(transport, text, context.state, deadline, ceiling)
        stdout, words = answer.stdout, last_line(answer.stderr)
    except TransportError as error:
        stdout, words, applied.broken = error.stdout, "", str(error)
    results, complete = parse(todo, stdout)
    if is_refused(stdout):
        applied.refused |= {*numbers}
    applied.results.update({number: results[number] for number in numbers if number in results})
    applied.remarks |= dict.fromkeys(remarks(stdout))
    if not complete and applied.broken is None:
        applied.broken = "the repair did not come to its end" + (f": {words}" if words else "")
