"""A judge of everything that is read in a masterdir: nobody but trusted accounts may be able to change it.

Owner and mode of a source in overlay/ are those for the nodes. So a source may belong to another account, or be
writable by others, if they cannot reach it: the masterdir, overlay/ or a directory in between is closed to them.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from pytest_synctool.common.trust import OTHERS, Trust
from pytest_synctool.common.trusted_files import fault, is_closed, resolve
from pytest_synctool.common.wording import printable
from pytest_synctool.errors import TrustError

_OVERLAY: Final = "overlay"
_SCRIPTS: Final = "scripts"
_MOST_NAMED: Final = 5


class Inspector:
    """A judge of one masterdir. finish() reports what it has refused."""

    def __init__(self, masterdir: Path, trust: Trust) -> None:
        self._masterdir = masterdir
        self._trust = trust
        self._uids = trust.uids
        self._faults: list[str] = []
        self._is_advice_needed = False

    def top(self, name: str) -> bool:
        """Judge the masterdir and a directory in it. Return True if it is closed. Raises TrustError and OSError."""
        above = self.is_closed(*resolve(self._masterdir, self._trust))
        if above and name == _OVERLAY and not (self._masterdir / name).is_symlink():
            return True
        return self.is_closed(*resolve(self._masterdir / name, self._trust)) or above

    def is_closed(self, path: str | bytes, status: os.stat_result) -> bool:
        """Return True if only trusted accounts can enter a directory."""
        return is_closed(path, status, self._trust)

    def accepts(self, path: bytes, status: os.stat_result, *, closed: bool) -> bool:
        """Return True if a path with this lstat() result may be used; otherwise keep the reason for finish().

        This is called for every name, so the usual case comes first.
        """
        if status.st_uid in self._uids and not status.st_mode & OTHERS:
            return True
        is_directory = stat.S_ISDIR(status.st_mode)
        if closed and (is_directory or status.st_nlink == 1):  # another name of the file may be in an open directory
            return True
        reason = fault(path, status, self._trust)
        if reason is None:
            return True
        self._faults.append(f"{printable(path)} is not trusted: {reason}")
        self._is_advice_needed = self._is_advice_needed or b"/overlay/" in path
        return False

    def scripts(self) -> None:
        """Judge scripts/, which is copied to the nodes and has commands for them. Raises TrustError."""
        top = self._masterdir / _SCRIPTS
        if self._trust.everybody or not os.path.lexists(top):
            return
        with suppress(OSError):
            resolve(top, self._trust)
        waiting = [] if top.is_symlink() else [os.fsencode(top)]
        while waiting:
            with suppress(OSError), os.scandir(waiting.pop()) as listing:
                for child in listing:
                    status = child.stat(follow_symlinks=False)
                    if self.accepts(child.path, status, closed=False) and stat.S_ISDIR(status.st_mode):
                        waiting.append(child.path)

    def finish(self) -> None:
        """Raise TrustError if something was refused, with a line for each of the first names."""
        if not self._faults:
            return
        lines = self._faults[:_MOST_NAMED]
        if more := len(self._faults) - len(lines):
            lines.append(f"and {more} more in {self._masterdir}")
        if self._is_advice_needed:
            lines.append(
                "sources in overlay/ may have other owners and modes, for the nodes, if nobody else can enter the "
                f"masterdir: chmod 700 {self._masterdir}"
            )
        raise TrustError("\n".join(lines))
