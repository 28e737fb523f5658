"""Contents that the controller makes, on their way to a node that gets no mirror: it shares the masterdir, or is local.

They travel as to a mirror by tar, on standard input, and never in a command line or a file of the controller. On the
node they are in a directory of root's, beside the journal, until the repair has ended.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_synctool.common.shell import words
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Actual
from pytest_synctool.repair.mirror import Mirror
from pytest_synctool.repair.mirror_contents import Extract
from pytest_synctool.repair.plan import NewVersion, Plan
from pytest_synctool.repository.entry import Entry

_WHY_TAR: Final = "no mirror there"


@dataclass
class MadeFiles:
    """The substitute for the mirror of one node, in `directory`. `deadline` bounds the push, in seconds."""

    directory: bytes
    transport: HostTransport
    entries: Sequence[Entry]
    deadline: float
    mark: None = None
    _pushed: bool = False

    def prepare(self) -> None:
        """Make nothing yet: a repair may need none of it."""

    def note_mark(self, _actual: Actual) -> None:
        """Do nothing: there is no mark."""

    def push(self, todo: Plan) -> Sequence[str]:
        """Bring the contents that a plan needs. Raises TransportError."""
        made = dict(self._needed(todo))
        if not made:
            return ()
        self._pushed = True
        place = Mirror(Path(os.fsdecode(self.directory)), (), self.deadline)
        try:
            return place.bring_made(self.transport, Extract((), made), _WHY_TAR)
        except TransportError:
            self.transport.disconnect()  # a hung connection must not block the next script
            raise

    def _needed(self, todo: Plan) -> Iterator[tuple[bytes, bytes]]:
        """Yield the name and the contents of each made file that the plan puts somewhere."""
        sources = {action.work.source for action in todo.actions if isinstance(action.work, NewVersion)}
        for entry in self.entries:
            source = entry.source
            if source.made is not None and os.path.join(self.directory, source.mirrored) in sources:
                yield source.mirrored, source.made.content

    def removal(self) -> bytes:
        """Return the shell text that removes the made files; nothing if none were pushed."""
        return words(b"rm", b"-rf", b"--", self.directory) + b"\n" if self._pushed else b""

    def refresh(self, _actual: Actual) -> Sequence[str]:
        """Do nothing: no copy stays there."""
        return ()
