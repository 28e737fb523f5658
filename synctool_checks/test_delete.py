"""Entries of delete/ must not exist on the node."""

from __future__ import annotations

import pytest
from pytest_synctool.audit.compare import compare_absent
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.delete
def check_delete(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Check that the path does not exist."""
    del entry  # only its path matters, never its content
    return compare_absent(actual)
