"""pytest's terminal writer made safe for CI logs: everything that pytest or a plugin writes passes it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from pytest_synctool.common.console import disarm, is_blank

_LONGEST: Final = 200  # characters


class DisarmedWriter:
    """A filter in front of the `write` of a terminal writer. Workflow commands of our own go past it by command()."""

    def __init__(self, writer: Any) -> None:  # pytest's TerminalWriter
        self._write = writer.write
        self._line = ""  # the beginning of the line that is being written
        writer.write = self._disarm_and_write

    def _disarm_and_write(self, msg: str, **options: Any) -> None:
        text = disarm(msg, at_start=is_blank(self._line))
        _, newline, rest = text.rpartition("\n")
        self._line = (rest if newline else self._line + rest)[:_LONGEST]
        self._write(text, **options)

    def command(self, line: str) -> None:
        """Write a workflow command on a line of its own."""
        self._write(f"{line}\n" if not self._line else f"\n{line}\n")
        self._line = ""


WRITER = pytest.StashKey[DisarmedWriter]()


def disarm_terminal(config: pytest.Config) -> None:
    """Filter all that pytest writes in this process."""
    if config.pluginmanager.hasplugin("terminalreporter") and WRITER not in config.stash:
        config.stash[WRITER] = DisarmedWriter(config.get_terminal_writer())
