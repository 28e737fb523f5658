"""A line that tells how far a long run is, below pytest's own progress; on a terminal only."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, Final

import pytest

from pytest_synctool.model import NodeResult
from pytest_synctool.plugin.cluster import is_worker
from pytest_synctool.report.progress import Progress

_AFTER: Final = 1.0  # seconds: a shorter run is over before anybody has read it
_REST: Final = 0.25  # seconds between two texts

# Names of the environment by which pytest too knows that nobody is watching.
_UNATTENDED: Final = ("CI", "BUILD_NUMBER")


def is_watched(reporter: Any, environment: Mapping[str, str]) -> bool:
    """Whether somebody looks at the terminal of the run, and it can move its cursor."""
    if reporter is None or reporter.verbosity < 0:
        return False
    is_terminal = reporter.isatty  # a method in newer versions of pytest
    if not (is_terminal() if callable(is_terminal) else is_terminal):
        return False
    return environment.get("TERM", "dumb") != "dumb" and not any(environment.get(name) for name in _UNATTENDED)


def live_line(config: pytest.Config) -> LiveLine | None:
    """The line of a run, or None if nobody would see it."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if is_worker(config) or not is_watched(reporter, os.environ):
        return None
    return LiveLine(config.get_terminal_writer())


class LiveLine:
    """Stands below the line in which pytest writes, and is gone before anything else is written there."""

    def __init__(self, writer: Any) -> None:  # pytest's TerminalWriter
        self.progress = Progress()
        self._writer = writer
        self._write = writer.write
        self._began = time.monotonic()
        self._text, self._written = "", 0.0
        self._column: int | None = None  # of pytest's own line, while this one is shown
        writer.write = self._write_pytests

    def told(self, result: NodeResult, total: int) -> None:
        """Take up the result of one of so many nodes, and show it, where other processes do the work."""
        self.progress.take(result)
        self.progress.total = total
        self._began = self._written = 0.0  # nobody comes by again before the next result, however long that takes
        if self.progress.done < total:
            self.show()

    def show(self) -> None:
        """Put the line there, or a new text into it if the last one is old enough."""
        now = time.monotonic()
        if now - self._began < _AFTER:
            return
        if now - self._written >= _REST:
            self._text, self._written = self.progress.line(now, self._writer.fullwidth - 1), now
        elif self._column is not None:
            return
        column = self._writer.width_of_current_line
        if self._column is None and column % self._writer.fullwidth == 0 < column:
            return  # the cursor of a terminal is in a place of its own there
        below = "" if self._column is not None or not column else "\n"
        self._column = column
        self._put(f"{below}\r{self._text}\x1b[K")

    def erase(self) -> None:
        """Leave the terminal as pytest believes it to be."""
        if self._column is None:
            return
        column, self._column = self._column % self._writer.fullwidth, None
        self._put("\r\x1b[K" + (f"\x1b[A\x1b[{column}C" if column else ""))

    def close(self) -> None:
        """Erase it, for good."""
        self.erase()
        self._writer.write = self._write

    def _put(self, text: str) -> None:
        file = self._writer._file  # its own write() would count the columns
        file.write(text)
        file.flush()

    def _write_pytests(self, msg: str, **options: Any) -> None:
        self.erase()
        self._write(msg, **options)
