"""The executables in tasks/, for runs with --tasks. --fix runs them, a dry run skips them."""

from __future__ import annotations

import pytest
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.task
def check_tasks(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Raise AssertionError: the exit status of the task decides, so the suite never calls this check."""
    raise AssertionError(f"{entry.source.shown} must not be compared with {actual}")
