"""The commands of `always_run`: run by every --fix on every node."""

from __future__ import annotations

import pytest
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.always
def check_always(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """A command is run, and its exit status tells; there is nothing to compare, so this is never called."""
    raise AssertionError(f"{entry.source.shown} was to be compared with {actual}")
