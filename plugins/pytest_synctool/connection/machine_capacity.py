"""Limits of this machine and this process: open files and processor time."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

_FILES_PER_NODE: Final = 4
_OTHER_FILES: Final = 64
_IDLE: Final = 0.25  # of all processor time


def limit_parallelism(wanted: int) -> int:
    """Return at most `wanted`: the number of nodes at once for which this process may have enough files open.

    Raise the process's soft limit of open files if necessary.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _OTHER_FILES + wanted * _FILES_PER_NODE
    if soft != resource.RLIM_INFINITY and soft < files:
        soft = files if hard == resource.RLIM_INFINITY else min(hard, files)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(wanted, (soft - _OTHER_FILES) // _FILES_PER_NODE))
    return wanted


class Idleness:
    """A meter of this machine's idle processor time between two measurements."""

    def __init__(self, source: Path = Path("/proc/stat")) -> None:
        self._source = source
        self._last = self._times()

    def is_idle(self) -> bool:
        """Return True if a quarter of the time since the last call was idle. Return False if that is unknown."""
        last, self._last = self._last, self._times()
        if last is None or self._last is None:
            return False
        idle, total = (now - before for now, before in zip(self._last, last, strict=True))
        return total > 0 and idle / total >= _IDLE

    def _times(self) -> tuple[int, int] | None:
        """Return the ticks since boot that were idle or waited for disks, and all ticks since boot; see proc(5)."""
        try:
            times = [int(word) for word in self._source.read_text().splitlines()[0].split()[1:9]]
        except (OSError, ValueError, IndexError):
            return None
        return times[3] + times[4], sum(times)
