"""pytest's terminal writer made safe for CI logs: everything that pytest or a plugin writes passes it."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from pytest_synctool.common.console import disarm, is_blank
from pytest_synctool.plugin.terminal_reporter import terminal_reporter

_LONGEST: Final = 200  # characters; no command is longer before the part that can be broken
_LINE_END: Final = re.compile(r"[\r\n]")  # for GitHub, either ends a line


class DisarmedWriter:
    """A filter in front of the `write` of a terminal writer. Workflow commands of our own go past it by command().

    With `terse` it drops empty lines before the first text.
    """

    def __init__(self, writer: Any, *, terse: bool = False) -> None:  # pytest's TerminalWriter
        self._terse = terse
        self._write = writer.write
        self._line = ""  # the beginning of the line that is being written
        writer.write = self._disarm_and_write

    def _disarm_and_write(self, msg: str, **options: Any) -> None:
        if self._terse and not msg.strip():
            return
        self._terse = False
        text = disarm(self._line + msg)
        # A command that has begun in an earlier piece can only be broken here.
        text = text[len(self._line) :] if text.startswith(self._line) else "\\" + disarm(msg, at_start=False)
        *before, rest = _LINE_END.split(text)
        self._line = _shortened(rest if before else self._line + rest)
        self._write(text, **options)

    def command(self, line: str) -> None:
        """Write a workflow command on a line of its own."""
        self._write(f"{line}\n" if not self._line else f"\n{line}\n")
        self._line = ""


def _shortened(line: str) -> str:
    """Return the part of an unfinished line that decides what later pieces of it mean."""
    if len(line) <= _LONGEST:
        return line
    return " " if is_blank(line) else f"-{line[-_LONGEST:]}"


WRITER = pytest.StashKey[DisarmedWriter]()


def disarm_terminal(config: pytest.Config) -> None:
    """Filter all that pytest writes in this process."""
    if terminal_reporter(config) is not None and WRITER not in config.stash:
        config.stash[WRITER] = DisarmedWriter(config.get_terminal_writer(), terse=config.get_verbosity() < -1)
