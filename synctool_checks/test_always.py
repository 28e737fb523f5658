"""The commands of `always_run`, which every --fix runs on every node."""

from __future__ import annotations

import pytest
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.always
def check_always(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Raise AssertionError: the exit status of the command decides, so the suite never calls this check."""
    raise AssertionError(f"{entry.source.shown} must not be compared with {actual}")
