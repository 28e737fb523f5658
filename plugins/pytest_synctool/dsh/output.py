"""What nodes say, shown as it comes or told once at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, Protocol

from pytest_synctool.dsh.aggregate import Aggregate


class Output(Protocol):
    """Takes the lines of the nodes, without newlines. All may raise OSError."""

    def out(self, node: str, lines: Iterable[bytes]) -> None:
        """Lines of standard output."""

    def err(self, node: str, lines: Iterable[bytes]) -> None:
        """Lines of standard error, and what there is to say of the node."""

    def finish(self) -> None:
        """Nothing more will be said."""


class StreamedOutput:
    """`node: line`, at once."""

    def __init__(self, out: BinaryIO, err: BinaryIO) -> None:
        self._out, self._err = out, err

    def out(self, node: str, lines: Iterable[bytes]) -> None:
        """Lines of standard output."""
        _write(self._out, node, lines)

    def err(self, node: str, lines: Iterable[bytes]) -> None:
        """Lines of standard error, and what there is to say of the node."""
        _write(self._err, node, lines)

    def finish(self) -> None:
        """Nothing more will be said."""


def _write(stream: BinaryIO, node: str, lines: Iterable[bytes]) -> None:
    prefix = node.encode() + b": "
    stream.write(b"".join([prefix + line + b"\n" for line in lines]))
    stream.flush()


class GroupedOutput:
    """Equal texts once, at the end: standard output first, then standard error on its own stream."""

    def __init__(self, out: BinaryIO, err: BinaryIO) -> None:
        self._streams = (out, err)
        self._said = (Aggregate(), Aggregate())

    def out(self, node: str, lines: Iterable[bytes]) -> None:
        """Lines of standard output."""
        for line in lines:
            self._said[0].add(node, line)

    def err(self, node: str, lines: Iterable[bytes]) -> None:
        """Lines of standard error, and what there is to say of the node."""
        for line in lines:
            self._said[1].add(node, line)

    def finish(self) -> None:
        """Write the groups."""
        for said, stream in zip(self._said, self._streams, strict=True):
            said.write(stream)
            stream.flush()
