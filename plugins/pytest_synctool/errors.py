"""The exceptions of the package. An error that a user can cause has a message with the remedy."""

from __future__ import annotations


class SynctoolError(Exception):
    """Base class of all errors that this project raises on purpose."""


class ConfigError(SynctoolError):
    """The configuration cannot be used. The message has one `file:line: problem` per line."""


class TrustError(ConfigError):
    """A file that decides what the run does can be changed by an account that is not trusted."""


class RepositoryError(SynctoolError):
    """The masterdir cannot be used in its current state."""


class SelectionError(SynctoolError):
    """A selection names an unknown node or group, or matches no node."""


class LockError(SynctoolError):
    """Another run holds a lock that this run needs."""


class TransportError(SynctoolError):
    """A node is unreachable or did not answer in time, so the state of its files is unknown.

    `stdout` is what it printed before.
    """

    def __init__(self, reason: str, stdout: bytes = b"") -> None:
        super().__init__(reason)
        self.stdout = stdout


class AnswerTooLong(TransportError):
    """A node printed more than its command may print, and was cut off."""


class RemoteError(SynctoolError):
    """A node answered, but the answer does not have the state of its files."""


class HistoryError(SynctoolError):
    """The history of runs cannot be read, or lacks the requested run or entry."""
