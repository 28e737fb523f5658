"""The output of a command on the controller, within limits of time and size.

The command runs as words, not through a shell, with the environment of the run and without input. Its messages go
nowhere: a reader of the run's output may not be allowed to see them.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

LARGEST: Final = 16 << 20  # bytes
LONGEST: Final = 60.0  # seconds
_PIECE: Final = 1 << 16


class CommandOutput(NamedTuple):
    """The output of a command, or the `problem` because of which that must not be used."""

    content: bytes
    problem: str = ""


def command_output(words: Sequence[str], directory: Path) -> CommandOutput:
    """Run a command in a directory, and return its output. Raises OSError and ValueError if it cannot be run."""
    process = subprocess.Popen(
        words, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    try:
        content, problem = _read(process)
        if not problem:
            process.wait(LONGEST)
    except subprocess.TimeoutExpired:
        content, problem = b"", f"has not ended within {LONGEST:g} s"
    finally:
        # Not its children: they may be an agent. Their output goes nowhere from now on.
        process.kill()
        assert process.stdout is not None
        process.stdout.close()
        status = process.wait()
    if not problem and status:
        problem = f"ended with status {status}" if status > 0 else f"was killed by signal {-status}"
    return CommandOutput(content, problem)


def _read(process: subprocess.Popen[bytes]) -> CommandOutput:
    """Return what a command prints, or which limit it has exceeded."""
    assert process.stdout is not None
    content, end = bytearray(), time.monotonic() + LONGEST
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    while True:
        left = end - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return CommandOutput(b"", f"has not ended within {LONGEST:g} s")
        piece = os.read(process.stdout.fileno(), _PIECE)
        if not piece:
            return CommandOutput(bytes(content))
        content += piece
        if len(content) > LARGEST:
            return CommandOutput(b"", f"prints more than {LARGEST:,} bytes")
