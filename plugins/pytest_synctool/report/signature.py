"""What is asked for of an entry, as a short digest: when it changes, the masterdir was changed."""

from __future__ import annotations

from typing import Final

from pytest_synctool.errors import RepositoryError
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.fingerprint import digest, state_values
from pytest_synctool.repository.source import Tree

UNREADABLE: Final = "unreadable"
_ABSENT: Final = "absent"


def signature(entry: Entry) -> str:
    """A digest (16 hex digits) of the state that an entry asks for: kind, content, mode, owner and group, and target.

    `absent` for what has to be gone, `unreadable` for a source that cannot be read. A file is read on first use.
    """
    if entry.tree is Tree.DELETE:
        return _ABSENT
    try:
        return digest(state_values(entry.expected))
    except RepositoryError:
        return UNREADABLE
