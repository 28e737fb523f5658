"""The output of nodes on a terminal, above a line that shows how far the run is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from pytest_synctool.cli import command
from pytest_synctool.cli.status_line import StatusLine
from pytest_synctool.dsh.calls import Call, CallEnding
from pytest_synctool.dsh.output import Output

_WORDS: Final = {
    CallEnding.DONE: "failed",  # with an exit status other than 0
    CallEnding.TIMED_OUT: "timed out",
    CallEnding.CUT_OFF: "cut off",
    CallEnding.UNREACHABLE: "unreachable",
}


class AttendedOutput:
    """An output that erases the line before anything is printed. As a watcher of a run it shows the line again.

    The line is None if nobody would see it.
    """

    def __init__(self, output: Output, line: StatusLine | None) -> None:
        self._output, self._line = output, line

    @property
    def is_attended(self) -> bool:
        """Return True if somebody may see the line."""
        return self._line is not None

    def out(self, node: str, lines: Iterable[bytes]) -> None:
        """Print lines of a node's standard output."""
        self.erase()
        self._output.out(node, lines)

    def err(self, node: str, lines: Iterable[bytes]) -> None:
        """Print lines of a node's standard error, or messages about the node."""
        self.erase()
        self._output.err(node, lines)

    def finish(self) -> None:
        """Print everything that is left."""
        self.erase()
        self._output.finish()

    def look(self, calls: Collection[Call], begun: Mapping[str, float]) -> None:
        """Show how many calls have ended, how, and which nodes work for long."""
        if self._line is None:
            return
        progress = self._line.progress
        endings = Counter(call.outcome.ending for call in calls if call.outcome is not None and _is_bad(call))
        progress.total = len(calls)
        progress.done = sum(call.outcome is not None for call in calls)
        progress.counts = Counter({word: endings[ending] for ending, word in _WORDS.items()})
        progress.out = {call.node: begun[call.node] for call in calls if call.outcome is None and call.node in begun}
        self._line.show()

    def erase(self) -> None:
        """Erase the line."""
        if self._line is not None:
            self._line.erase()

    def message(self, text: str) -> None:
        """Print a line of the command itself on standard error."""
        self.erase()
        command.print_stderr([text])


def _is_bad(call: Call) -> bool:
    return call.outcome is not None and (call.outcome.ending is not CallEnding.DONE or call.outcome.status != 0)
