"""No entry of delete/ is on the node."""

from __future__ import annotations

import pytest
from pytest_synctool.audit.compare import compare_absent
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.delete
def check_delete(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Nothing is there under this name."""
    del entry  # only the name matters, never the content
    return compare_absent(actual)
