"""No .post script or on_update command is owed from a repair that was interrupted, or in which it failed."""

from __future__ import annotations

import pytest
from pytest_synctool.audit.compare import compare_owed
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.post
def check_post(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Everything that had to run after a change has run."""
    del entry
    return compare_owed(actual)
