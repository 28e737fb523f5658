"""Entries of overlay/ must be on the node in their expected state."""

from __future__ import annotations

import pytest
from pytest_synctool.audit.compare import compare
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.overlay
def check_overlay(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Compare type, content, link target, owner, group and mode with the expected state."""
    return compare(entry.expected, actual)
