"""Outcomes for differences, in words. No input or output."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_synctool.model import MISSING, Change, Kind, Outcome, Status
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.secrecy import HIDDEN, without_contents


def drift(entry: Entry, changes: Sequence[Change], hidden: str | None = None) -> Outcome:
    """Return the outcome for differences. Its message names them; its details have both states and the source.

    `hidden` is the reason why contents must not be shown, if so.
    """
    changes = without_contents(changes) if hidden else changes
    details = [
        f"{change.what}: differs, not shown since {hidden}"
        if change.expected == HIDDEN
        else f"{change.what}: expected {change.expected}, found {change.found}"
        for change in changes
    ]
    is_link = any((change.what, change.found) == ("type", Kind.LINK.value) for change in changes)
    if is_link and entry.source.is_directory and entry.follow is None:
        details.append(
            "it stays if it leads to a directory; 'follow: yes' in attributes.yaml takes it as one, 'no' not"
        )
    shown = entry.source.shown
    return Outcome(Status.DRIFT, finding(changes), (*details, f"source: {shown}"), tuple(changes), shown)


def finding(changes: Sequence[Change]) -> str:
    """Return the differences in one line: `file size mismatch, mode mismatch`."""
    plain = (MISSING, "must not exist", "owed")
    return ", ".join(c.what if c.what in plain else f"{c.what} mismatch" for c in changes)
