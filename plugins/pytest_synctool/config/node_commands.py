"""The commands of include_nodes, each run once for a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_synctool.config.command_output import command_output
from pytest_synctool.errors import ConfigError


def run(_text: str, words: tuple[str, ...], directory: Path) -> bytes:
    """Return what a command prints. Raises ConfigError."""
    try:
        content, problem = command_output(words, directory)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be run: {getattr(error, 'strerror', None) or error}") from error
    if problem:
        raise ConfigError(problem)
    return content


class Kept:
    """What commands have printed already, in this run or in the process that started this one. No command runs."""

    def __init__(self, outputs: Mapping[str, bytes]) -> None:
        self._outputs = outputs

    def __call__(self, text: str, words: tuple[str, ...], directory: Path) -> bytes:
        """Return what a command has printed. Raises ConfigError if it has not run."""
        del words, directory
        if text not in self._outputs:
            raise ConfigError("has not been run: the present configuration of the controller has no such line")
        return self._outputs[text]
