"""What reports tell of the runs before: since when something has been so, and how those runs ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pytest_synctool.report.record import EntryName

# What something came from.
NODE: Final = "node"
MASTERDIR: Final = "masterdir"
FIRST: Final = "first"
CAUSES: Final = {NODE: "the node was changed", MASTERDIR: "the masterdir was changed"}


@dataclass(frozen=True, slots=True)
class Onset:
    """How long something has been as it was found.

    `since` is when it was first seen so, uninterrupted. `cause` is `node` if the node has changed, `masterdir` if what
    is asked for has, `first` if it was never seen before. `known` tells whether it was there in the run before already.
    """

    since: datetime
    cause: str
    known: bool


# By node and entry: of what was found there.
Onsets = Mapping[tuple[str, EntryName], Onset]


@dataclass(frozen=True, slots=True)
class Past:
    """How a run ended: numbers of nodes, and in `entries` of drifted entries.

    `mode` is `audit`, `fix` or `restore`. `errors` counts nodes with errors, unreachable ones included.
    `complete` tells whether the run came to its end.
    """

    id: str
    started: datetime
    mode: str
    in_sync: int
    drifted: int
    fixed: int
    errors: int
    entries: int
    complete: bool
