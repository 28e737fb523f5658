"""The outcome DRIFT, made from differences. No input or output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pytest_synctool.model import MISSING, Change, Kind, Outcome, Status, Touched
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.secrecy import without_contents

_WITHOUT_VALUES: Final = (MISSING, "must not exist", "owed")
_SHORT: Final = ("owner", "group", "mode")
_LONGEST: Final = 40  # characters


def drift(
    entry: Entry, changes: Sequence[Change], hidden: str | None = None, touched: Touched | None = None
) -> Outcome:
    """Return the outcome for differences. Its message names them; its details have both states and the source.

    `hidden` is the reason why contents must not be shown, if so. `touched` has the times of the path, if known.
    """
    shown_changes = without_contents(changes) if hidden else changes
    details = [
        f"{change.what}: expected {change.expected}, found {change.found}"
        if shown is change
        else f"{change.what}: differs, not shown since {hidden}"
        for change, shown in zip(changes, shown_changes, strict=True)
    ]
    changes = shown_changes
    if entry.source.is_directory and entry.follow is None and any(map(_is_link, changes)):
        details.append(
            "it stays if it leads to a directory; 'follow: yes' in attributes.yaml takes it as one, 'no' not"
        )
    shown = entry.source.shown
    details.append(f"source: {shown}")
    return Outcome(Status.DRIFT, finding(changes), tuple(details), tuple(changes), shown, touched=touched)


def _is_link(change: Change) -> bool:
    return change.what == "type" and change.found == Kind.LINK.value


def finding(changes: Sequence[Change]) -> str:
    """Return the differences in one line: `file size mismatch, mode 0755 -> 0644`, from what is to what should be."""
    return ", ".join(map(_in_words, changes))


def _in_words(change: Change) -> str:
    if change.what in _SHORT:
        return f"{change.what} {_cut(change.found)} -> {_cut(change.expected)}"
    return change.what if change.what in _WITHOUT_VALUES else f"{change.what} mismatch"


def _cut(text: str) -> str:
    """Shorten a name that a node has sent."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
