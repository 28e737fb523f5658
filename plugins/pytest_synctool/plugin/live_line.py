"""A line below pytest's own progress that shows how far a long run is. It appears only on a terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, Final

import pytest

from pytest_synctool.model import NodeResult
from pytest_synctool.plugin.invocation import is_worker
from pytest_synctool.plugin.terminal_reporter import terminal_reporter
from pytest_synctool.report.progress import Progress, is_attended

_DELAY: Final = 1.0  # seconds; a shorter run ends before anybody could read the line
_INTERVAL: Final = 0.25  # seconds between two texts


def is_watched(reporter: Any, environment: Mapping[str, str]) -> bool:
    """Return True if a person may watch the run, on a terminal that can move its cursor."""
    if reporter is None or reporter.verbosity < 0:
        return False
    is_terminal = reporter.isatty  # a method in newer versions of pytest
    if not (is_terminal() if callable(is_terminal) else is_terminal):
        return False
    return is_attended(environment)


def live_line(config: pytest.Config) -> LiveLine | None:
    """Return the line of a run, or None if nobody would see it."""
    if is_worker(config) or not is_watched(terminal_reporter(config), os.environ):
        return None
    return LiveLine(config.get_terminal_writer())


class LiveLine:
    """A line below the line in which pytest writes. It is erased before pytest writes anything else."""

    def __init__(self, writer: Any) -> None:  # pytest's TerminalWriter
        self.progress = Progress()
        self._writer = writer
        self._write = writer.write
        self._began = time.monotonic()
        self._text, self._written = "", 0.0
        self._column: int | None = None  # the cursor's column in pytest's line, while this line is shown
        writer.write = self._erase_and_write

    def take(self, result: NodeResult, total: int) -> None:
        """Count the result of a node that another process has worked on, and show the line.

        `total` is the number of nodes of the run.
        """
        self.progress.take(result)
        self.progress.total = total
        self._began = self._written = 0.0  # show the text now: nothing calls show() again before the next result
        if self.progress.done < total:
            self.show()

    def show(self) -> None:
        """Show the line, or renew its text if that is old enough."""
        now = time.monotonic()
        if now - self._began < _DELAY:
            return
        if now - self._written >= _INTERVAL:
            self._text, self._written = self.progress.line(now, self._writer.fullwidth - 1), now
        elif self._column is not None:
            return
        column = self._writer.width_of_current_line
        if self._column is None and column % self._writer.fullwidth == 0 < column:
            return  # terminals differ in where the cursor is after a full line
        below = "" if self._column is not None or not column else "\n"
        self._column = column
        self._put(f"{below}\r{self._text}\x1b[K")

    def erase(self) -> None:
        """Erase the line and move the cursor back to where pytest expects it."""
        if self._column is None:
            return
        column, self._column = self._column % self._writer.fullwidth, None
        self._put("\r\x1b[K" + (f"\x1b[A\x1b[{column}C" if column else ""))

    def close(self) -> None:
        """Erase the line and never show it again."""
        self.erase()
        self._writer.write = self._write

    def _put(self, text: str) -> None:
        file = self._writer._file  # not write(), which would count the columns
        file.write(text)
        file.flush()

    def _erase_and_write(self, msg: str, **options: Any) -> None:
        self.erase()
        self._write(msg, **options)
