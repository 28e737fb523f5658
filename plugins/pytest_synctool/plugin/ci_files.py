"""The reports that CI systems read, of an audit or of lint: a code-quality report, a summary, commands for GitHub."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import open_named
from pytest_synctool.report import files


@dataclass(frozen=True)
class CiFiles:
    """The files for CI of one run. New ones get `mode`. `unwritten` takes each that cannot be written."""

    config: pytest.Config
    trust: Trust
    mode: int
    unwritten: Callable[[str, OSError], None]

    @property
    def workspace(self) -> str:
        """The checkout: CI systems show a finding at its file if that is below it."""
        return os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR") or str(Path.cwd())

    @property
    def wants_commands(self) -> bool:
        """True if the run is a step of GitHub Actions."""
        return os.environ.get("GITHUB_ACTIONS") == "true"

    @property
    def is_wanted(self) -> bool:
        """True if somebody has asked for anything of it."""
        option = self.config.option
        return bool(option.synctool_codequality or option.synctool_summary or self.wants_commands)

    def write(self, code_quality: Callable[[str], str], markdown: Callable[[str], Iterable[str]]) -> None:
        """Write the files that the options name. The functions make their contents from the workspace."""
        option = self.config.option
        if option.synctool_codequality:
            try:
                content = code_quality(self.workspace)
                files.write_named(option.synctool_codequality, [content], self.trust, self.mode)
            except OSError as error:
                self.unwritten(option.synctool_codequality, error)
        if option.synctool_summary:
            self._append(option.synctool_summary, markdown(self.workspace))

    def _append(self, path: str, chunks: Iterable[str]) -> None:
        """Append a text to a file: earlier steps of a CI job have written their summaries into the same file."""
        try:
            descriptor = open_named(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, self.trust, self.mode)
            with open(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(chunks)
        except OSError as error:
            self.unwritten(path, error)


def unwritten_in_words(path: str, error: OSError) -> str:
    """Return the line about a report that could not be written."""
    return f"ERROR the report {path} could not be written: {error.strerror}"
