"""Rules for secret contents: no report, log, terminal or history shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pytest_synctool.model import Absent, Actual, Change, FileState, Kind
from pytest_synctool.repository.entry import Entry

HIDDEN: Final = "not shown"

_READ_BY_ALL: Final = 0o004
_ENTERED_BY_ALL: Final = 0o001
# Changes that reveal contents: from the digest of a short content, the content can be guessed.
_DIGESTS: Final = ("MD5", "link target")
CONTENTS: Final = ("MD5", "file size")


def secret(
    entry: Entry, expected: FileState, actual: FileState | Absent, above: Sequence[FileState] = ()
) -> str | None:
    """Return the reason why the contents of a file must not be shown, or None if they may be shown.

    `above` are the states of the directories above it, as far as they are known.
    """
    if entry.sensitive:
        return f"attributes.yaml says '{'sensitive' if entry.decrypt is None else 'decrypt'}'"
    return not_public(((expected, "the source"), (actual, "the node's file")), above)


def not_public(states: Iterable[tuple[Actual, str]], above: Iterable[Actual]) -> str | None:
    """Return the reason why not everybody may see the contents of files, or None if everybody may.

    Each state has words for its file. `above` are the states of the directories above.
    """
    for state, where in states:
        # A symbolic link has no permissions.
        if isinstance(state, FileState) and state.kind is not Kind.LINK and not state.mode & _READ_BY_ALL:
            return f"not everybody may read {where} (mode {state.mode:04o})"
    for state in above:
        if not (isinstance(state, FileState) and state.mode & _ENTERED_BY_ALL):
            return "not everybody may enter the directory that it is in"
    return None


def tells_of_contents(changes: Sequence[Change]) -> bool:
    """Return True if the contents of the file differ."""
    return any(change.what in CONTENTS for change in changes)


def reveals_contents(changes: Sequence[Change]) -> bool:
    """Return True if a value in the changes reveals contents."""
    return any(change.what in _DIGESTS for change in changes)


def without_contents(changes: Sequence[Change]) -> list[Change]:
    """Return the changes with values hidden that reveal contents."""
    return [Change(c.what, HIDDEN, HIDDEN) if c.what in _DIGESTS else c for c in changes]
