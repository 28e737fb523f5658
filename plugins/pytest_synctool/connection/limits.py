"""What this machine and this process can bear."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

_FILES_PER_NODE: Final = 4
_OTHER_FILES: Final = 64
_IDLE: Final = 0.25  # of all processor time


def limit_parallelism(width: int) -> int:
    """So many nodes at once, or as many as this process may have files open for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OTHER_FILES + width * _FILES_PER_NODE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(width, (soft - _OTHER_FILES) // _FILES_PER_NODE))
    return width


class Idleness:
    """Whether this machine has processor time to spare, from one look at it to the next."""

    def __init__(self, source: Path = Path("/proc/stat")) -> None:
        self._source = source
        self._last = self._times()

    def is_idle(self) -> bool:
        """Whether a quarter of the time since the last look was spent idle. False where that cannot be known."""
        last, self._last = self._last, self._times()
        if last is None or self._last is None:
            return False
        idle, total = (now - before for now, before in zip(self._last, last, strict=True))
        return total > 0 and idle / total >= _IDLE

    def _times(self) -> tuple[int, int] | None:
        """Ticks spent idle or waiting for disks, and all ticks, since the machine has started; see proc(5)."""
        try:
            times = [int(word) for word in self._source.read_text().splitlines()[0].split()[1:9]]
        except (OSError, ValueError, IndexError):
            return None
        return times[3] + times[4], sum(times)
