"""A command of this project run as somebody at a shell would, with or without a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SCRIPTS = Path(sys.executable).parent


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: bytes
    err: bytes

    def lines(self) -> list[str]:
        """Standard output, sorted: nodes speak in any order."""
        return sorted(self.out.decode(errors="surrogateescape").splitlines())

    def errors(self) -> list[str]:
        """Standard error, sorted."""
        return sorted(self.err.decode(errors="surrogateescape").splitlines())


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: this one, without what would speak to this project."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCTOOL_", "PYTEST_"))}
    return {**kept, **more, "PATH": f"{SCRIPTS}:{more.get('PATH', os.environ['PATH'])}"}


def run(
    directory: Path,
    *command: str | bytes,
    data: bytes = b"",
    timeout: float = 60,
    more: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command in a directory, with `data` on standard input."""
    done = subprocess.run(
        command, cwd=directory, env=environment(**(more or {})), input=data, capture_output=True, timeout=timeout
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return Ended(done.returncode, done.stdout, done.stderr)


# A program that runs the command behind the name of a file, and writes the largest memory of its processes to the file,
# in MB. Its own memory is small: that of a parent counts for a child that has not begun yet.
MEASURE = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024))
sys.exit(status)
"""


@dataclass
class Terminal:
    """A command in a terminal of its own. `shown` is all that has been seen on it."""

    pid: int
    descriptor: int
    shown: bytes = b""
    _status: int | None = field(default=None)

    def until(self, text: bytes) -> None:
        """Read until this text has come."""
        while text not in self.shown:
            assert self.more(), f"it ended before it said {text!r}: {self.shown!r}"

    def type(self, keys: bytes) -> None:
        """Press some keys."""
        os.write(self.descriptor, keys)

    def end(self) -> int:
        """Read to the end; returns the exit status, below 0 for a signal."""
        while self.more():
            pass
        self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def more(self) -> bool:
        """Read what comes next; return False at the end."""
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # how Linux says that nobody is at the other end any more
            return False
        self.shown += data
        return bool(data)


@contextmanager
def terminal(directory: Path, *command: str, **more: str) -> Iterator[Terminal]:
    """Run a command in a terminal. It is killed at the end, if it is still there."""
    variables = environment(**more)
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(directory)
        os.execvpe(command[0], command, variables)
    started = Terminal(pid, descriptor)
    try:
        yield started
    finally:
        if started._status is None:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        os.close(descriptor)
