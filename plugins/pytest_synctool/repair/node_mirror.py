"""The mirror of one node in a run: whether it is up to date, and the push that makes it so."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Final

from pytest_synctool.audit.probe import Request
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.errors import TransportError
from pytest_synctool.model import ABSENT, Actual, FileState, Kind
from pytest_synctool.repair.mirror import Mirror
from pytest_synctool.repair.mirror_script import MARK, SAYS
from pytest_synctool.repair.plan import Plan
from pytest_synctool.repository.entry import EntryList

_FINGERPRINT: Final = 32  # digits


@dataclass
class NodeMirror:
    """The mirror of one node in a run; `waived` is the text of the node's waivers.yaml."""

    mirror: Mirror
    transport: HostTransport
    entries: EntryList
    waived: str = ""
    _pushed: bool = False
    _is_first: bool = False

    @property
    def mark(self) -> Request | None:
        """The file to probe to know whether the mirror is up to date; None where there can be no mirror."""
        if self.mirror.problem is not None:
            return None
        path = os.path.join(os.fsencode(self.mirror.masterdir), MARK.encode())
        return Request(path, len(_marked("0" * _FINGERPRINT)))

    @property
    def _content(self) -> bytes:
        _, fingerprint = self.mirror.extract(self.entries, self.waived)
        return _marked(fingerprint)

    def prepare(self) -> None:
        """Determine what is for the node, for push()."""
        if self.mark is not None:
            self.mirror.extract(self.entries, self.waived)

    def note_mark(self, actual: Actual) -> None:
        """Take note of the state of the mark before a push: without it, the node has nothing."""
        self._is_first = actual is ABSENT

    def push(self, _todo: Plan | None = None) -> tuple[str, ...]:
        """Bring all that is for the node, as Mirror.bring() does. Raises TransportError."""
        self._pushed = True
        what, fingerprint = self.mirror.extract(self.entries, self.waived)
        try:
            return self.mirror.bring(self.transport, what, fingerprint, is_first=self._is_first)
        except TransportError:
            self.transport.disconnect()  # a hung connection must not block the next script
            raise

    def removal(self) -> bytes:
        """Return nothing: a mirror stays."""
        return b""

    def refresh(self, actual: Actual) -> tuple[str, ...]:
        """Push if the mark shows that the node has an outdated mirror; return notes for people.

        The repair did not need the mirror, but the node may audit itself later and must not use an old one.
        """
        if self._pushed or not isinstance(actual, FileState) or actual.kind is not Kind.FILE:
            return ()
        if actual.md5 == hashlib.md5(self._content, usedforsecurity=False).hexdigest():
            return ()
        try:
            return self.push()
        except TransportError as error:
            return (f"its copy of the masterdir is not up to date: {error}",)


def _marked(fingerprint: str) -> bytes:
    return f"{SAYS}: {fingerprint}\n".encode()
