"""Exclusive directories must have nothing in them that is not in the masterdir."""

from __future__ import annotations

import pytest
from pytest_synctool.audit.compare import compare_absent
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.exclusive
def check_exclusive(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Check that a name which is in no entry does not exist. It is called for each such name."""
    del entry
    return compare_absent(actual)
