"""A pytest plugin that measures the processes of a run: each writes its use of the machine into a file.

Loaded with `-p tests_meta.bench.usage`. The files are named after the workers of xdist, or `controller`.
"""

from __future__ import annotations

import json
import os
import resource
import threading
from collections.abc import Generator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pytest

DIRECTORY: Final = "BENCH_USAGE"  # environment variable: where the files are written
SAMPLED: Final = "BENCH_SAMPLED"  # environment variable: seconds between two looks at the process; none if not set


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used: processor seconds of its own, bytes of memory at its peak, open files, bytes written.

    `programs` and `program_memory` are the number of its child processes and the bytes that these used together, at
    the peak; both and the peak of `files` are known only if the process was sampled.
    """

    processor: float
    memory: int
    files: int
    written: int
    programs: int = 0
    program_memory: int = 0


def read(directory: Path) -> dict[str, Usage]:
    """Return what the processes of a run have written, by name."""
    return {path.name: Usage(**json.loads(path.read_text())) for path in directory.iterdir()}


class _Sampler:
    """A thread that looks at this process and its children again and again, and keeps the peaks."""

    def __init__(self, interval: float) -> None:
        self.files = self.programs = self.memory = 0
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(self._interval):
            self.files = max(self.files, _open_files())
            children = _children()
            self.programs = max(self.programs, len(children))
            self.memory = max(self.memory, sum(map(_memory, children)))


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _children() -> list[str]:
    found: list[str] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found += path.read_text().split()
    return found


def _memory(pid: str) -> int:
    """Return the bytes of a process, with its part of the pages that several processes share; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


class _Meter:
    """The plugin of a process. A worker ends soon after its session, a controller reports after that."""

    def __init__(self, config: pytest.Config) -> None:
        self._name = os.environ.get("PYTEST_XDIST_WORKER", "controller")
        interval = os.environ.get(SAMPLED)
        self._sampler = _Sampler(float(interval)) if interval else None
        self._is_worker = hasattr(config, "workerinput")
        self._files = 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Count the open files, among them the pipes between controller and workers, which exist by now."""
        self._files = _open_files()
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if self._is_worker:
            self._write()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        if not self._is_worker:
            self._write()

    def _write(self) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        written = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        usage = Usage(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, self._files, int(written["wchar"]))
        values = asdict(usage)
        if self._sampler is not None:
            self._sampler.stop()
            values |= {
                "files": self._sampler.files,
                "programs": self._sampler.programs,
                "program_memory": self._sampler.memory,
            }
        (Path(os.environ[DIRECTORY]) / self._name).write_text(json.dumps(values))


def pytest_configure(config: pytest.Config) -> None:
    """Register the meter of this process."""
    config.pluginmanager.register(_Meter(config))
