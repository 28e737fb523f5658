"""Settings of a run that every node's session shares."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from pytest_synctool.audit.inspection import Explain
from pytest_synctool.model import OldVersions, UnixOutput
from pytest_synctool.repository.waivers.rules import NOTHING_WAIVED, InForce


class Mode(Enum):
    """The work of a session on its node."""

    AUDIT = "compare"
    REHEARSE = "compare, and plan the repair without doing it"
    FIX = "compare and repair"
    RECALL = "list the old versions that could be put back"
    RESTORE = "put back the old versions that the last repair kept"
    LIST_SAVED = "list the old versions that could be erased"
    ERASE_SAVED = "erase the old versions that repairs kept"

    @property
    def changes_nodes(self) -> bool:
        """True if the session writes on the node."""
        return self in (Mode.FIX, Mode.RESTORE, Mode.ERASE_SAVED)

    @property
    def is_audit(self) -> bool:
        """True if the session compares and changes nothing."""
        return self in (Mode.AUDIT, Mode.REHEARSE)

    @property
    def recorded(self) -> str:
        """The mode of the run's record in reports and in the history."""
        return _RECORDED.get(self, "audit")

    @property
    def is_about_old_versions(self) -> bool:
        """True if the session compares nothing, and is about what earlier repairs kept."""
        return self in (Mode.RECALL, Mode.RESTORE, Mode.LIST_SAVED, Mode.ERASE_SAVED)

    @property
    def is_about_erasing(self) -> bool:
        """True if these old versions are to go away, or would be."""
        return self in (Mode.LIST_SAVED, Mode.ERASE_SAVED)


_RECORDED: Final = {
    Mode.FIX: "fix",
    **dict.fromkeys((Mode.RECALL, Mode.RESTORE), "restore"),
    **dict.fromkeys((Mode.LIST_SAVED, Mode.ERASE_SAVED), "erase"),
}


def old_versions(directory: bytes, *, are_kept: bool) -> bytes | OldVersions:
    """Return the place for replaced files: a directory if one is named; else beside the new ones if they are kept."""
    return directory or (OldVersions.BESIDE if are_kept else OldVersions.NOWHERE)


@dataclass(frozen=True)
class Settings:
    """Settings of the sessions of a run.

    `deadline` bounds each command on a node, `trigger_timeout` each trigger, in seconds. `explain` returns the lines
    that say why a node has an entry. With `diff` outcomes show differences in contents. `who` names the caller
    in locks.
    With `earlier`, old versions are those of all repairs, not only of the last one.
    `waivers` are the drift that is accepted. `saved`, `log` and `syslog` are those of repair.script.Context.
    `only` are the paths whose old versions are to be erased; all if it is empty.
    `trust_ctime` is the number of days for which an audit trusts remembered digests of large files; None: it reads all.
    Without `post` no trigger runs, as in Context. `unix` is the shell text that results have. Unmanaged files below the
    directory `unmanaged` are looked for, if it is not empty, after an audit or a repair.
    """

    masterdir: Path
    mode: Mode = Mode.AUDIT
    deadline: float = 120.0
    diff: bool = False
    explain: Explain | None = None
    trigger_timeout: int = 60
    who: str = "somebody"
    waivers: InForce = NOTHING_WAIVED
    saved: bytes | OldVersions = OldVersions.BESIDE
    log: bytes = b""
    syslog: bool = False
    unix: UnixOutput = UnixOutput.NONE
    post: bool = True
    earlier: bool = False
    only: frozenset[bytes] = frozenset()
    trust_ctime: int | None = None
    unmanaged: bytes = b""
