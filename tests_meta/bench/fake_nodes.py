"""A pytest plugin for the benchmarks at scale: nodes answer from files, at once or after a delay, instead of over ssh.

Loaded with `-p tests_meta.bench.fake_nodes`. The answers are what the probe would print, so all that happens between
the answer of a node and the reports happens here as well.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ANSWERS: Final = "BENCH_ANSWERS"  # environment variable: the directory with a file for every node
DELAY: Final = "BENCH_DELAY"  # environment variable: seconds that every answer takes; none if it is not set


@dataclass(frozen=True, slots=True)
class FakeTransport:
    """A pytest_synctool.connection.transport.Transport that reads a file."""

    answer: Path
    delay: float

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

    def run(self, script: bytes, deadline: float, *limits: object) -> object:
        """The node's answer, whatever the script."""
        from pytest_synctool.connection.processes import Answer

        del script, deadline, limits
        time.sleep(self.delay)
        return Answer(0, self.answer.read_bytes(), b"")


def pytest_configure() -> None:
    """Take the place of the plugin's way to connect to a node."""
    from pytest_synctool.connection.connections import Connections
    from pytest_synctool.model import Node

    directory, delay = Path(os.environ[ANSWERS]), float(os.environ.get(DELAY, "0"))

    def connect(_: Connections, node: Node) -> FakeTransport:
        return FakeTransport(directory / node.name, delay)

    pytest.MonkeyPatch().setattr(Connections, "to", connect)
