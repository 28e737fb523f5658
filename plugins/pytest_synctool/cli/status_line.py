"""The last line of a terminal that shows how far a command is, while people wait for nodes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from typing import Final, TextIO

from pytest_synctool.report.progress import Progress, is_attended

INTERVAL: Final = 0.25  # seconds between two texts
_DELAY: Final = 1.0  # seconds; a shorter run ends before anybody could read the line


class StatusLine:
    """A line that is erased before anything else is printed. `progress` has the counts that it shows."""

    def __init__(self, stream: TextIO, progress: Progress) -> None:
        self.progress = progress
        self._stream = stream
        self._began = time.monotonic()
        self._text = ""  # empty while the line is not shown

    @classmethod
    def on(cls, stream: TextIO, environment: Mapping[str, str], progress: Progress) -> StatusLine | None:
        """Return the line of a run, or None if nobody would see it."""
        return cls(stream, progress) if stream.isatty() and is_attended(environment) else None

    def show(self) -> None:
        """Show the line, or renew its text."""
        now = time.monotonic()
        if now - self._began < _DELAY or self.progress.done >= self.progress.total:
            return
        text = self.progress.line(now, shutil.get_terminal_size().columns - 1)
        if text != self._text:
            self._text = text
            self._put(f"\r{text}\x1b[K")

    def erase(self) -> None:
        """Erase the line."""
        if self._text:
            self._text = ""
            self._put("\r\x1b[K")

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
