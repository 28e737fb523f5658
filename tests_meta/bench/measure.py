"""Measuring: one command with its wall time and peak memory, and a race of competitors in interleaved rounds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Final, Generic, TypeVar

LIMIT: Final = 600.0  # seconds that one command may take
MEGABYTE: Final = 1_000_000
# What a shell may hold and what would change the way the competitors work; unbuffered output costs a second in a run.
_FOREIGN: Final = ("PYTHON", "PYTEST_", "SYNCTOOL_", "CLUSTERSHELL_", "CLUSH_", "RSYNC_", "ANSIBLE_", "BW_", "PYINFRA_")


class BenchError(Exception):
    """A competitor did not do its work, so there is nothing to compare; the message says what went wrong."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: wall time in seconds, peak memory of its largest process in bytes, ssh logins per node.

    `nodes` and `entries` (of each node) say how much of the work it was, where that is not the same for everybody.
    """

    seconds: float
    peak: int | None = None
    logins: int | None = None
    nodes: int | None = None
    entries: int | None = None

    @property
    def cost(self) -> float:
        """What competitors are compared by: seconds, of one entry of one node where the work is not all the same."""
        return self.seconds / ((self.nodes or 1) * (self.entries or 1))


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has succeeded, and what it printed. `processor` is its processor time in seconds."""

    seconds: float
    peak: int
    output: bytes
    processor: float


def run(
    argv: Sequence[str],
    directory: Path,
    env: Mapping[str, str] | None = None,
    limit: float = LIMIT,
    statuses: Collection[int] = (0,),
) -> Finished:
    """Run a command in a directory, from its start to its end.

    Raises BenchError, with the end of what it printed, unless its exit status is one of these within `limit` seconds.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    environment |= {name: os.environ[name] for name in ("PYTHONPATH", "PYTHONHOME") if name in os.environ}
    environment |= env or {}
    with TemporaryFile() as out, TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(
            argv,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        timer = threading.Timer(limit, _kill, (process.pid,))
        timer.daemon = True
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
        except BaseException:
            _kill(process.pid)
            process.wait()
            raise
        finally:
            timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (out, err):
            stream.seek(0)
        output = out.read()
        if process.returncode not in statuses:
            last = b"\n".join((output + b"\n" + err.read()).strip().splitlines()[-10:]).decode(errors="replace")
            raise BenchError(f"{_shown(argv)} ended with {process.returncode} after {seconds:.1f} s:\n{last}")
    return Finished(seconds, usage.ru_maxrss * 1024, output, usage.ru_utime + usage.ru_stime)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _shown(argv: Sequence[str]) -> str:
    text = " ".join(argv)
    return text if len(text) < 200 else text[:200] + " ..."


Arena = TypeVar("Arena")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the benchmarks are; `rounds` is None where each is to use its own number.

    Audits are of `audit_nodes` nodes, repairs of `nodes`.
    """

    nodes: int = 8
    audit_nodes: int = 32
    entries: int = 200
    tests: int = 100_000
    rounds: int | None = None


@dataclass(frozen=True, slots=True)
class Aim:
    """What this project wants to reach: `value` of the medians, at most `limit`, or at least."""

    text: str
    limit: float
    value: Callable[[Mapping[str, Sample]], float]
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether this would do."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Benchmark(Generic[Arena]):
    """Competitors for the same work.

    `arena` prepares the work below an empty directory; `baseline` names the competitor that the others are set
    against. With `warm_up` everybody runs once more before the first round, which does not count. On a slow machine
    there are fewer than `rounds`: none begins that would probably end more than `budget` seconds after the first.
    `left_out` says which competitors cannot run in the arena, and why. With `paced` the baseline runs before everybody
    else of a round again, which is for rounds so long that the machine is busier in one part of them than in another.
    """

    name: str
    title: Callable[[Sizes], str]
    arena: Callable[[Path, Sizes], AbstractContextManager[Arena]]
    competitors: Mapping[str, Callable[[Arena], Sample]]
    baseline: str
    rounds: int
    budget: float = 330.0
    warm_up: bool = False
    paced: bool = False
    aims: tuple[Aim, ...] = ()
    notes: tuple[str, ...] = ()
    requirements: Callable[[], Sequence[str]] = list  # what keeps it from running here, a sentence each
    left_out: Callable[[Arena], Mapping[str, str]] = lambda arena: {}


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of a benchmark: all samples of every competitor, by name; why others were left out, by name."""

    name: str
    title: str
    baseline: str
    samples: Mapping[str, Sequence[Sample]]
    aims: tuple[Aim, ...]
    notes: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def medians(self) -> dict[str, Sample]:
        """The median of each number of each competitor."""
        return {name: middle(samples) for name, samples in self.samples.items()}


def middle(samples: Sequence[Sample]) -> Sample:
    """The median of each number."""
    peaks = [sample.peak for sample in samples if sample.peak is not None]
    logins = [sample.logins for sample in samples if sample.logins is not None]
    return replace(
        samples[0],
        seconds=median(sample.seconds for sample in samples),
        peak=int(median(peaks)) if peaks else None,
        logins=int(median(logins)) if logins else None,
    )


def race(benchmark: Benchmark[Arena], sizes: Sizes, directory: Path) -> Result:
    """Let all competitors run in every round, each round beginning with another one.

    So what else happens on the machine meets them all alike. Raises BenchError if one of them fails.
    """
    rounds = sizes.rounds or benchmark.rounds
    with benchmark.arena(directory, sizes) as arena:
        left_out = benchmark.left_out(arena)
        for name, reason in left_out.items():
            print(f"  {benchmark.name}: {name} is left out: {reason}", file=sys.stderr, flush=True)
        remaining = {name: work for name, work in benchmark.competitors.items() if name not in left_out}
        benchmark = replace(benchmark, competitors=remaining)
        samples: dict[str, list[Sample]] = {name: [] for name in remaining}
        if benchmark.warm_up:
            _round(benchmark, arena, 0, "warm-up")
        began = time.monotonic()
        for number in range(1, rounds + 1):
            for name, sample in _round(benchmark, arena, number, f"round {number} of {rounds}"):
                samples[name].append(sample)
            spent = time.monotonic() - began
            if sizes.rounds is None and spent + spent / number > benchmark.budget:
                break
    title = f"{benchmark.title(sizes)}, {number} round{'' if number == 1 else 's'}"
    return Result(benchmark.name, title, benchmark.baseline, samples, benchmark.aims, benchmark.notes, left_out)


def _round(benchmark: Benchmark[Arena], arena: Arena, number: int, shown: str) -> list[tuple[str, Sample]]:
    """One run of everybody; says on standard error how far it is."""
    samples = []
    for name in order(list(benchmark.competitors), number, benchmark.baseline if benchmark.paced else None):
        try:
            sample = benchmark.competitors[name](arena)
        except BenchError as error:
            raise BenchError(f"{benchmark.name}, {name}: {error}") from error
        print(f"  {benchmark.name}, {shown}: {name} {sample.seconds:.2f} s", file=sys.stderr, flush=True)
        samples.append((name, sample))
    return samples


def order(names: Sequence[str], number: int, pace: str | None = None) -> list[str]:
    """Who runs when in a round: each round begins with another one, and `pace` runs before each of the others."""
    first = number % len(names)
    turned = [*names[first:], *names[:first]]
    return turned if pace is None else [each for name in turned if name != pace for each in (pace, name)]
