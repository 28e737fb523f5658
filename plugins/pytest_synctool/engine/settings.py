"""How the sessions of a run are run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_synctool.model import Node
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.waivers.rules import NOTHING_WAIVED, InForce

Explain = Callable[[Entry, Node], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Settings:
    """How sessions are run.

    With `fix` what differs is put right. With `restore` nothing is compared: what the last repair has kept comes back.
    With `rehearse` it is told what `fix` would do, and nothing is done.
    `deadline` bounds each command on a node and `trigger_timeout` each trigger, in seconds; `explain` tells of an entry
    why the node has to have it. With `diff` it is told what differs in contents. `who` tells others who is at work.
    `waivers` say which drift is accepted, and left alone.
    `saved`, `log` and `syslog` are those of a Context.
    """

    masterdir: Path
    fix: bool = False
    restore: bool = False
    rehearse: bool = False
    deadline: float = 120.0
    diff: bool = False
    explain: Explain | None = None
    trigger_timeout: int = 60
    who: str = "somebody"
    waivers: InForce = NOTHING_WAIVED
    saved: bytes = b""
    log: bytes = b""
    syslog: bool = False
