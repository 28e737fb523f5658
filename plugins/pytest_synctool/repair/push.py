"""The end of a push to the mirror of a node: what the node's script has printed, and the reason of a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pytest_synctool.common.wording import node_text
from pytest_synctool.connection import rsync
from pytest_synctool.connection.processes import Answer
from pytest_synctool.connection.ssh import SSH_FAILED, failure_reason

_ENDED: Final = (b"connection unexpectedly closed", b"Broken pipe", b"Connection reset by peer")
# Exit statuses of rsync for an option, a protocol and an action that it does not know.
_UNFIT: Final = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Push:
    """The end of a push by rsync or tar. The node's script has begun each of its lines with `token`."""

    tool: str
    token: str
    answer: Answer

    @property
    def signals(self) -> list[str]:
        """Return the words that the node's script printed."""
        start = f"{self.token}: "
        return [line.removeprefix(start) for line in self._lines() if line.startswith(start)]

    @property
    def is_final(self) -> bool:
        """Return True if another tool could not do better.

        All is in its place, or the node's script says why not, or the connection has ended.
        """
        status, signals = self.answer.status, self.signals
        has_arrived = status == 0 and signals == ["begun", "done"]
        return has_arrived or status == SSH_FAILED or any(word.startswith("failed ") for word in signals)

    @property
    def unfit(self) -> str | None:
        """Return the sentence that says which rsync does not know what a push needs, None if it is not that.

        Its own exit statuses tell: an option, the protocol or an action that it does not know.
        """
        if version := next((word.removeprefix("unfit ") for word in self.signals if word.startswith("unfit ")), None):
            return f"rsync there does not do what a push needs ({version})"
        if self.tool == "rsync" and not self.signals and self.answer.status in _UNFIT:
            return f"rsync here does not do what a push needs ({self.reason})"
        if self.tool == "rsync" and self.signals == ["begun"] and self.answer.status in _UNFIT[1:]:
            return f"rsync there does not do what a push needs ({self.reason})"
        return None

    @property
    def reason(self) -> str:
        """Return the line of standard error that most likely is the reason for a failure."""
        _, begun, after = self.answer.stderr.partition(f"{self.token}: begun\n".encode())
        if not begun:  # the login printed this, or ssh
            return failure_reason(b"\n".join(line for line in self._raw_lines() if not rsync.NOISE.match(line)))
        lines = [line for line in after.splitlines() if not line.startswith(self.token.encode())]
        # Every failure at the other end also ends the connection; the reason may stand on a later line.
        lines.sort(key=lambda line: any(words in line for words in _ENDED))
        return next((node_text(line) for line in lines if line.strip()), "")

    def _raw_lines(self) -> list[bytes]:
        return self.answer.stderr.splitlines()

    def _lines(self) -> list[str]:
        return [node_text(line) for line in self._raw_lines()]
