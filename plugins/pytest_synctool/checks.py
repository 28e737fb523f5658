"""What a check function needs: import from here in a suite of your own.

A check is a plain function `check_NAME(entry, actual) -> list[Change]` in a test file. It gets one test for every
(node, overlay entry), or (node, delete entry) if it is marked `@pytest.mark.delete`; `actual` is the state found on
the node, or ABSENT. An empty list is a pass. One marked `@pytest.mark.post` gets a test for every (node, command to run
after a change), and `actual` is the note on the node that it is owed.
"""

from __future__ import annotations

from pytest_synctool.audit.compare import compare, compare_absent, compare_owed
from pytest_synctool.model import ABSENT, Absent, Change, FileState, Kind
from pytest_synctool.repository.entry import Entry

__all__ = ["ABSENT", "Absent", "Change", "Entry", "FileState", "Kind", "compare", "compare_absent", "compare_owed"]
