"""No .post script or on_update command is owed from a repair that was interrupted, or in which it failed."""

from __future__ import annotations

import pytest
from pytest_synctool.checks import Absent, Change, Entry, FileState, compare_owed


@pytest.mark.post
def check_post(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Everything that had to run after a change has run."""
    del entry
    return compare_owed(actual)
