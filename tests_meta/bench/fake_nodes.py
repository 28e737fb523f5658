"""A pytest plugin for the benchmark at scale: nodes answer from files, at once, instead of over ssh.

Loaded with `-p tests_meta.bench.fake_nodes`. The answers are what the probe would print, so all that happens between
the answer of a node and the reports happens here as well.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ANSWERS: Final = "BENCH_ANSWERS"  # environment variable: the directory with a file for every node


@dataclass(frozen=True, slots=True)
class FakeTransport:
    """A pytest_synctool.transport.Transport that reads a file."""

    answer: Path

    @property
    def script_limit(self) -> int | None:
        """No bound."""
        return None

    @property
    def is_local(self) -> bool:
        """Another machine."""
        return False

    def close(self) -> None:
        """There is nothing to close."""

    def run(self, script: bytes, deadline: float) -> object:
        """The node's answer, whatever the script."""
        from pytest_synctool.transport import Answer

        del script, deadline
        return Answer(0, self.answer.read_bytes(), b"")


def pytest_configure() -> None:
    """Take the place of the plugin's way to connect to a node."""
    from pytest_synctool.connections import Connections
    from pytest_synctool.model import Node

    directory = Path(os.environ[ANSWERS])

    def connect(_: Connections, node: Node) -> FakeTransport:
        return FakeTransport(directory / node.name)

    pytest.MonkeyPatch().setattr(Connections, "to", connect)
