"""The commands of include_nodes, each run once for a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pytest_synctool.config.command_output import command_output
from pytest_synctool.errors import ConfigError


def run(_text: str, words: tuple[str, ...], directory: Path) -> bytes:
    """Return what a command prints. Raises ConfigError."""
    try:
        content, problem = command_output(words, directory)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot be run: {reason}{_next_step(directory / words[0], error)}") from error
    if problem:
        raise ConfigError(problem)
    return content


def _next_step(program: Path, error: OSError | ValueError) -> str:
    """Return what to do about a program that cannot be run, if it is plain."""
    if program.is_file():
        if isinstance(error, PermissionError) and not os.access(program, os.X_OK):
            return ": chmod +x"
        return ": the program in its '#!' line is missing" if isinstance(error, FileNotFoundError) else ""
    return ": install the program, or correct its name" if isinstance(error, FileNotFoundError) else ""


class Kept:
    """The outputs that commands have had already, in this run or in the process that started it. No command runs."""

    def __init__(self, outputs: Mapping[str, bytes]) -> None:
        self._outputs = outputs

    def __call__(self, text: str, words: tuple[str, ...], directory: Path) -> bytes:
        """Return what a command has printed. Raises ConfigError if it has not run."""
        del words, directory
        if text not in self._outputs:
            raise ConfigError("has not been run: the present configuration of the controller has no such line")
        return self._outputs[text]
