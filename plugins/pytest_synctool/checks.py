"""The public API for check functions in a suite of your own.

A check is a plain function `check_NAME(entry, actual) -> list[Change]` in a test file. It gets one test for every node
and overlay entry, or for every node and delete entry if it has the mark `@pytest.mark.delete`. `actual` is the state on
the node, or ABSENT. The test passes if the list is empty.

A check with the mark `@pytest.mark.post` gets one test for every node and command that runs after a change. `actual` is
then the state of the note on the node that the command is owed, or ABSENT.
"""

from __future__ import annotations

from pytest_synctool.audit.compare import compare, compare_absent, compare_owed
from pytest_synctool.model import ABSENT, Absent, Change, FileState, Kind
from pytest_synctool.repository.entry import Entry

__all__ = ["ABSENT", "Absent", "Change", "Entry", "FileState", "Kind", "compare", "compare_absent", "compare_owed"]
