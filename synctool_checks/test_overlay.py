"""Every entry of overlay/ is on the node as the masterdir has it."""

from __future__ import annotations

import pytest
from pytest_synctool.audit.compare import compare
from pytest_synctool.model import Absent, Change, FileState
from pytest_synctool.repository.entry import Entry


@pytest.mark.overlay
def check_overlay(entry: Entry, actual: FileState | Absent) -> list[Change]:
    """Type, content, link target, owner, group and mode are the expected ones."""
    return compare(entry.expected, actual)
