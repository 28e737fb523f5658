"""The executables in tasks/, with --tasks: run by --fix, skipped by a dry run."""

from __future__ import annotations

import pytest
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.task
def check_tasks(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """A task is run, and its exit status tells; there is nothing to compare, so this is never called."""
    raise AssertionError(f"{entry.source.shown} was to be compared with {actual}")
