"""The .post scripts and on_update commands. None may be owed after an interrupted repair or a failed command."""

from __future__ import annotations

import pytest
from pytest_synctool.audit.compare import compare_owed
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.post
def check_post(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Check that the command is not owed."""
    del entry
    return compare_owed(actual)
