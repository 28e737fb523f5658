"""A plan carried out on a node, and what became of each part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_synctool.common.wording import printable
from pytest_synctool.connection.transport import Transport
from pytest_synctool.errors import TransportError
from pytest_synctool.model import OK, Outcome, Status
from pytest_synctool.repair.plan import Plan
from pytest_synctool.repair.script import Context, Result, parse, parts, remarks, script
from pytest_synctool.repository.commands import Command


@dataclass
class Applied:
    """A plan and the results by number; `broken` says why the node did not come to its end, as far as is known.

    `told` are the lines of a log for each number, empty where nothing is to be told.
    """

    todo: Plan
    told: Sequence[str]
    results: dict[int, Result] = field(default_factory=dict)
    broken: str | None = None
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._actions = {action.path: number for number, action in enumerate(self.todo.actions)}
        self._commands: dict[tuple[bytes, Command], int] = {}
        self._fired: dict[bytes, list[int]] = {}
        for number, trigger in enumerate(self.todo.triggers, len(self.todo.actions)):
            self._commands[trigger.path, trigger.command] = number
            for cause in trigger.causes:
                self._fired.setdefault(cause, []).append(number)

    def done(self) -> list[str]:
        """The lines of the actions that succeeded and of the triggers that were run."""
        first = len(self.todo.actions)
        return [
            text
            for number, text in enumerate(self.told)
            if text and (result := self.results.get(number)) and (number >= first or result.failure is None)
        ]

    def verb(self, path: bytes) -> str:
        """What was done to a path."""
        number = self._actions.get(path)
        return "fixed" if number is None else self.todo.actions[number].verb

    def failure(self, path: bytes, *, right: bool) -> str | None:
        """Why a path cannot be called fixed: its action failed, or a trigger that it fired, or what became of them.

        Where the path is seen to be `right`, only of its triggers something is not known.
        """
        action = self.results.get(self._actions.get(path, -1))
        if action is not None and action.failure:
            return action.failure
        for command, result in self._ran(path):
            if result.failure:
                return f"{command.shown} failed: {result.failure}"
        settled = right and all(number in self.results for number in self._fired.get(path, ()))
        return None if settled else self.broken

    def ran(self, path: bytes) -> list[str]:
        """The triggers that a path has fired."""
        return [command.shown for command, _ in self._ran(path)]

    def output(self, path: bytes) -> tuple[str, ...]:
        """What the triggers of a path printed."""
        return tuple(line for _, result in self._ran(path) for line in result.output)

    def _ran(self, path: bytes) -> list[tuple[Command, Result]]:
        first = len(self.todo.actions)
        fired = ((self.todo.triggers[n - first].command, self.results.get(n)) for n in self._fired.get(path, ()))
        return [(command, result) for command, result in fired if result is not None]

    def task(self, path: bytes, command: Command) -> Outcome:
        """The outcome of a task."""
        result = self.results.get(self._commands.get((path, command), -1))
        if result is None:
            return Outcome(Status.ERROR, f"not run: {self.broken or 'the repair did not get to it'}")
        if result.failure is not None:
            return Outcome(Status.DRIFT, f"{command.shown} failed: {result.failure}", result.output)
        if command.kind == "always":  # nothing was wrong before
            return OK
        return Outcome(Status.FIXED, f"ran {command.shown}", result.output)

    def late_output(self, path: bytes, command: Command) -> tuple[str, ...]:
        """What a command printed that was owed from an earlier run."""
        result = self.results.get(self._commands.get((path, command), -1))
        return () if result is None else result.output

    def run_late(
        self, path: bytes, command: Command, before: Outcome, after: Outcome, output: tuple[str, ...]
    ) -> Outcome:
        """The outcome of a command that was owed from an earlier run, of what is seen before and after.

        `output` is what may be told of its late_output().
        """
        result = self.results.get(self._commands.get((path, command), -1))
        if after.status is Status.OK:
            return Outcome(Status.FIXED, f"ran {command.shown} ({before.message})", before.details)
        if after.status is not Status.DRIFT:
            return after
        reason = self.broken if result is None else result.failure
        return Outcome(Status.DRIFT, f"{after.message}, not run: {reason}", (*after.details, *output))


def told(todo: Plan, findings: Mapping[bytes, str]) -> list[str]:
    """The lines of a log for each number of a plan: `/etc/motd created (missing)`.

    Empty for a path without a finding: a directory that was needed, and was there already.
    """
    actions = [
        f"{printable(action.path)} {action.verb} ({findings[action.path]})" if action.path in findings else ""
        for action in todo.actions
    ]
    return actions + [f"running {trigger.command.announced}" for trigger in todo.triggers]


def apply(applied: Applied, transport: Transport, context: Context, deadline: float) -> None:
    """Carry out a plan. Whatever the connection does is told in the result: some of the plan may have been done."""
    todo = applied.todo
    for part in parts(todo, context, applied.told, transport.script_limit):
        done = [number for number, result in applied.results.items() if result.failure is None]
        try:
            answer = transport.run(script(todo, context, applied.told, part, done), deadline)
        except TransportError as error:
            applied.broken = str(error)
            return
        results, complete = parse(todo, answer.stdout)
        applied.results.update({number: result for number, result in results.items() if number in part})
        applied.remarks += (remark for remark in remarks(answer.stdout) if remark not in applied.remarks)
        if not complete:
            applied.broken = "the repair did not come to its end"
            return
