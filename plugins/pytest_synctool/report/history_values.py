"""Values of the history that reports show: the onset of drift, its causes, and the endings of past runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pytest_synctool.report.record import EntryName

# Causes of drift.
NODE: Final = "node"
MASTERDIR: Final = "masterdir"
FIRST: Final = "first"
COMMAND: Final = "command"
RESTORE: Final = "restore"
UNKNOWN: Final = "unknown"
CAUSES: Final = {
    NODE: "the node was changed",
    MASTERDIR: "the masterdir was changed",
    COMMAND: "a command, which repairs run",
    RESTORE: "--restore put back an old version",
    UNKNOWN: "cause not known",
}


@dataclass(frozen=True, slots=True)
class Onset:
    """The beginning of the drift or error that an entry has.

    `since` is the start of the first run that saw it; no run since then has seen the entry in sync. `cause` is `node`
    if the node changed, `masterdir` if the expected state did, `first` if no earlier run looked at the entry, `command`
    if the entry is a command, `restore` if a run put back an old version, else `unknown`. `known` is True if an earlier
    run saw it.
    """

    since: datetime
    cause: str
    known: bool


# By node and entry.
Onsets = Mapping[tuple[str, EntryName], Onset]


@dataclass(frozen=True, slots=True)
class Past:
    """The result of an earlier run: numbers of nodes by ending, and in `entries` the number of drifted entries.

    `mode` is `audit`, `fix`, `restore` or `erase`. `errors` counts nodes with errors, unreachable and unknown nodes
    included. `complete` is False if the run was interrupted.
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
