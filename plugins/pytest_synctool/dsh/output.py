"""The output of nodes: printed line by line at once, or grouped at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, Protocol

from pytest_synctool.common.console import LineFilter, unchanged
from pytest_synctool.dsh.aggregate import Aggregate


class Output(Protocol):
    """A printer for the lines of nodes, without newlines.

    Each method may raise OSError, and AnswerTooLong for a node whose lines are too many to be kept.
    """

    def out(self, node: str, lines: Iterable[bytes]) -> None:
        """Print lines of a node's standard output."""

    def err(self, node: str, lines: Iterable[bytes]) -> None:
        """Print lines of a node's standard error, or messages about the node."""

    def finish(self) -> None:
        """Print everything that is left. No more lines follow."""


class NoOutput:
    """An output that prints nothing."""

    def out(self, node: str, lines: Iterable[bytes]) -> None:
        """Do nothing."""

    def err(self, node: str, lines: Iterable[bytes]) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class StreamedOutput:
    """Output as `node: line`, at once. Each stream has a filter for its lines.

    Without `named`, standard output has the lines alone.
    """

    def __init__(
        self,
        out: BinaryIO,
        err: BinaryIO,
        out_filter: LineFilter = unchanged,
        err_filter: LineFilter = unchanged,
        *,
        named: bool = True,
    ) -> None:
        self._out, self._err, self._named = (out, out_filter), (err, err_filter), named

    def out(self, node: str, lines: Iterable[bytes]) -> None:
        """Print lines of a node's standard output."""
        _write(*self._out, f"{node}: " if self._named else "", lines)

    def err(self, node: str, lines: Iterable[bytes]) -> None:
        """Print lines of a node's standard error, or messages about the node."""
        _write(*self._err, f"{node}: ", lines)

    def finish(self) -> None:
        """Do nothing: all lines are printed already."""


def _write(stream: BinaryIO, filtered: LineFilter, prefix: str, lines: Iterable[bytes]) -> None:
    begin = prefix.encode()
    stream.write(b"".join([begin + filtered(line) + b"\n" for line in lines]))
    stream.flush()


class GroupedOutput:
    """Output at the end, equal texts once: first standard output, then standard error on its own stream."""

    def __init__(
        self, out: BinaryIO, err: BinaryIO, out_filter: LineFilter = unchanged, err_filter: LineFilter = unchanged
    ) -> None:
        self._streams = ((out, out_filter), (err, err_filter))
        self._out, self._err = Aggregate(), Aggregate()

    def out(self, node: str, lines: Iterable[bytes]) -> None:
        """Keep lines of a node's standard output."""
        for line in lines:
            self._out.add(node, line)

    def err(self, node: str, lines: Iterable[bytes]) -> None:
        """Keep lines of a node's standard error, or messages about the node."""
        for line in lines:
            self._err.add(node, line)

    def finish(self) -> None:
        """Print the groups."""
        for aggregate, (stream, filtered) in zip((self._out, self._err), self._streams, strict=True):
            aggregate.write(stream, filtered)
            stream.flush()
