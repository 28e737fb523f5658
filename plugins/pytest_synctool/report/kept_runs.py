"""The reports of single runs: each run has a directory of its own, `runs/ID`, below that of the reports.

The reports directory itself shows the last run of the whole cluster.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import check_directory, open_regular
from pytest_synctool.errors import TrustError
from pytest_synctool.report import files
from pytest_synctool.report.record import RunRecord

RUNS: Final = "runs"
DOCUMENT: Final = "drift.json"

_ID: Final = re.compile(r"([0-9]{8}T[0-9]{6})-[0-9a-f]{6}")
_RUN: Final = '"run": '
_HEAD: Final = 16 << 10  # bytes of drift.json that have the fields of its run
_MODE: Final = 0o755  # as far as the umask allows; its files are as secret as the masterdir


@dataclass(frozen=True, slots=True)
class Keeping:
    """The runs to keep: the last `number` of the whole cluster, and as many others.

    Runs older than `days` are deleted; 0 sets no age. The last run of the whole cluster always stays.
    """

    number: int
    days: int


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run whose reports are kept."""

    path: Path
    began: datetime
    is_whole: bool


def is_whole(directory: Path, trust: Trust) -> bool:
    """Return True if the reports in a directory are those of a run of the whole cluster."""
    with suppress(OSError, ValueError, AttributeError):
        return _head(directory / DOCUMENT, trust).get("whole") is True
    return False


def _head(path: Path, trust: Trust) -> Any:
    """Return the fields of the run in a drift.json, which come before all results. Raises OSError and ValueError."""
    descriptor = open_regular(path, os.O_RDONLY, trust)
    try:
        text = os.read(descriptor, _HEAD).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
    return json.JSONDecoder().raw_decode(text, text.index(_RUN) + len(_RUN))[0]


def new_directory(reports: Path, run: str, trust: Trust) -> Path:
    """Create the directory of a run. Raises OSError, also if others could put files into it."""
    runs = reports / RUNS
    runs.mkdir(_MODE, exist_ok=True)
    try:
        check_directory(runs, trust)
    except TrustError as error:
        raise PermissionError(errno.EPERM, str(error), str(runs)) from error
    directory = runs / run
    directory.mkdir(_MODE, exist_ok=True)
    return directory


def kept_ids(reports: Path) -> list[str]:
    """Return the ids of the runs whose reports are kept, the latest first. Other names there are not looked at."""
    ids: list[str] = []
    with suppress(OSError):
        entries = os.scandir(reports / RUNS)
        ids += (e.name for e in entries if _began(e.name) is not None and e.is_dir(follow_symlinks=False))
    return sorted(ids, reverse=True)


def kept_runs(reports: Path, trust: Trust) -> list[KeptRun]:
    """Return the runs whose reports are kept, the latest first. Each drift.json is opened."""
    runs = []
    for name in kept_ids(reports):
        path, began = reports / RUNS / name, _began(name)
        assert began is not None
        runs.append(KeptRun(path, began, is_whole(path, trust)))
    return runs


def _began(name: str) -> datetime | None:
    match = _ID.fullmatch(name)
    if match is None:
        return None
    with suppress(ValueError):
        return datetime.fromisoformat(match[1]).astimezone()
    return None


def superfluous(runs: Sequence[KeptRun], keeping: Keeping, now: datetime) -> Iterator[KeptRun]:
    """Yield the runs (latest first) that need not be kept any more."""
    oldest = now - timedelta(days=keeping.days) if keeping.days else None
    numbers = {True: 0, False: 0}
    for run in runs:
        numbers[run.is_whole] += 1
        is_last_whole = run.is_whole and numbers[True] == 1
        is_old = oldest is not None and run.began < oldest
        if not is_last_whole and (is_old or numbers[run.is_whole] > keeping.number):
            yield run


def prune(reports: Path, keeping: Keeping, now: datetime, trust: Trust) -> None:
    """Delete the reports of runs that need not be kept any more. A run that cannot be deleted stays."""
    for run in superfluous(kept_runs(reports, trust), keeping, now):
        shutil.rmtree(run.path, ignore_errors=True)


@dataclass
class ReportPlaces:
    """The places of the reports of one run: its own directory, and `reports` if it replaces the reports there.

    Ask only when `run.is_whole` is known. With a number of 0 to keep, a run has no directory of its own.
    """

    reports: Path
    run: RunRecord
    keeping: Keeping
    trust: Trust
    mode: int

    @cached_property
    def replaces(self) -> bool:
        """True if the run replaces the reports in `reports`: a part of the cluster does not replace the whole."""
        return bool(self.run.is_whole) or not self.keeping.number or not is_whole(self.reports, self.trust)

    @cached_property
    def own(self) -> Path:
        """The directory to write to, which exists. Raises OSError."""
        return new_directory(self.reports, self.run.id, self.trust) if self.keeping.number else self.reports

    @property
    def shown(self) -> Path:
        """The directory in which people find the reports of this run."""
        return self.reports if self.replaces else self.own

    def put(self, name: str, chunks: Iterable[str]) -> None:
        """Write a report. Raises OSError."""
        with self.writing(name) as path:
            files.write(path, chunks, self.mode, self.like(name))

    def like(self, name: str) -> Path | None:
        """Return the report whose mode and group a new one takes over, if the two have different places."""
        return self.reports / name if self.replaces else None

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield the path of a report to write, and show it in `reports` afterwards if that is its place."""
        path = self.own / name
        yield path
        if self.own != self.shown:
            files.publish(path, self.shown / name)

    def prune(self) -> None:
        """Delete what need not be kept any more."""
        if self.keeping.number:
            prune(self.reports, self.keeping, self.run.ended, self.trust)
