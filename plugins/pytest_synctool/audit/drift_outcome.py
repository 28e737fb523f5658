"""The outcome DRIFT, made from differences. No input or output."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_synctool.model import MISSING, Change, Kind, Outcome, Status
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.secrecy import without_contents


def drift(entry: Entry, changes: Sequence[Change], hidden: str | None = None) -> Outcome:
    """Return the outcome for differences. Its message names them; its details have both states and the source.

    `hidden` is the reason why contents must not be shown, if so.
    """
    shown_changes = without_contents(changes) if hidden else list(changes)
    details = [
        f"{change.what}: expected {change.expected}, found {change.found}"
        if shown is change
        else f"{change.what}: differs, not shown since {hidden}"
        for change, shown in zip(changes, shown_changes, strict=True)
    ]
    changes = shown_changes
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
