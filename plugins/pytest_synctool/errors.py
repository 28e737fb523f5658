"""What can go wrong, told apart. Every error a user can cause carries a message that says what to do."""

from __future__ import annotations


class SynctoolError(Exception):
    """Root of all errors that this project raises on purpose."""


class ConfigError(SynctoolError):
    """The configuration cannot be used. The message holds one `file:line: problem` per line."""


class RepositoryError(SynctoolError):
    """The masterdir cannot be used as it stands."""


class SelectionError(SynctoolError):
    """A node selection names something that is not there, or matches nothing."""


class LockError(SynctoolError):
    """Another run is at work on the same thing."""


class TransportError(SynctoolError):
    """A node could not be reached, or did not answer in time: nothing is known about its files."""


class RemoteError(SynctoolError):
    """A node answered, but not in a way that tells the state of its files."""


class HistoryError(SynctoolError):
    """The history of runs cannot be read, or what is asked of it is not there."""
