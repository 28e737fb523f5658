"""Signatures: short digests of expected states. If one changes, the masterdir was changed."""

from __future__ import annotations

from typing import Final

from pytest_synctool.errors import RepositoryError
from pytest_synctool.repository.entry import Entry, ExclusiveContents
from pytest_synctool.repository.fingerprint import digest, state_values
from pytest_synctool.repository.source import Tree

UNREADABLE: Final = "unreadable"
_ABSENT: Final = "absent"


def signature(entry: Entry) -> str:
    """Return a digest (16 hex digits) of an entry's expected state: kind, content, mode, owner, group and link target.

    Return `absent` for an entry of delete/, a digest of the names for the contents of an exclusive directory, and
    `unreadable` if the source cannot be read. Reads a source on first use.
    """
    if entry.tree is Tree.DELETE:
        return _ABSENT
    if isinstance(entry, ExclusiveContents):
        allowed = () if entry.attributes is None else entry.attributes.allow
        return digest([sorted((path, sorted(names)) for path, names in entry.known.items()), allowed])
    try:
        return digest(state_values(entry.expected))
    except RepositoryError:
        return UNREADABLE
