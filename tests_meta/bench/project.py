"""This project as a competitor: the commands a user types, and a look at whether they did what they say."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests_meta.bench.measure import LIMIT, BenchError, Finished, run

PROJECT: Final = "pytest-synctool"
COMMAND: Final = "its synctool command"
# Of the tools for this project's own tests, hypothesis hooks into every run of pytest, and is imported at its end.
_AS_INSTALLED: Final = ("-p", "no:hypothesispytest")


_COLD: Final = "--ssh-persist=0"


def audit(
    conf: Path,
    *options: str,
    tests: int,
    failed: int = 0,
    fixed: int = 0,
    env: Mapping[str, str] | None = None,
    persist: bool = False,
    limit: float = LIMIT,
) -> Finished:
    """`pytest --pyargs synctool_checks --hosts=all -q --junitxml=...`; all tests but `failed` ones must have passed.

    Of these, `fixed` ones must be fixed, where not all are.

    Unless `persist`, no connection is taken over from an earlier run or left to a later one.
    """
    words = (*_selected(conf, persist), *options)
    return pytest(conf.parent, *words, tests=tests, failed=failed, fixed=fixed, env=env, limit=limit)


def drifted(conf: Path) -> set[tuple[str, str]]:
    """What an audit of all nodes says is not as it should be: (node, path). Raises BenchError."""
    _own_root(conf.parent)
    argv = [sys.executable, "-m", "pytest", *_selected(conf, persist=False)]
    said = run(argv, conf.parent, statuses=(0, 1)).output.decode(errors="replace")
    return set(re.findall(r"^DRIFT (\S+): (\S+) ", said, re.MULTILINE))


def _selected(conf: Path, persist: bool) -> list[str]:
    options = ["--pyargs", "synctool_checks", f"--synctool-conf={conf}", "--hosts=all", *_AS_INSTALLED]
    return options if persist else [*options, _COLD]


def command(conf: Path, *options: str, lines: int) -> Finished:
    """`synctool -q`, without connections of earlier runs.

    Raises BenchError unless it ends well and says so many lines.
    """
    program = "pytest_synctool.cli.synctool"
    argv = [sys.executable, "-m", program, _COLD, "-c", str(conf), "-q", *options]
    finished = run(argv, conf.parent)
    said = finished.output.splitlines()
    if len(said) != lines:
        raise BenchError(f"expected were {lines} lines of {shlex.join(argv)}: {said[-3:]}")
    return finished


def pytest(
    directory: Path,
    *options: str,
    tests: int,
    failed: int = 0,
    fixed: int = 0,
    env: Mapping[str, str] | None = None,
    limit: float = LIMIT,
) -> Finished:
    """Run pytest with -q and a junit report in a directory of its own.

    Raises BenchError unless it says, and reports, that so many tests have passed but for so many that have failed, and
    nothing else has happened.
    """
    _own_root(directory)
    report = directory / "junit.xml"
    report.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *options]
    finished = run(argv, directory, env, limit, statuses=(1 if failed else 0,))
    said = finished.output.decode(errors="replace").strip().rpartition("\n")[2].strip("= ")
    expected = f"{failed} failed, {tests - failed} passed in " if failed else rf"{tests} (passed|fixed) in "
    if fixed:
        expected = f"{tests - fixed} passed, {fixed} fixed in "
    if not re.match(expected, said):
        raise BenchError(f"expected were {tests - failed} passed tests of {tests}, pytest says: {said}")
    xml = report.read_bytes()
    counts = dict(re.findall(rb'(errors|failures|skipped|tests)="(\d+)"', xml[:1000]))
    numbers = [int(counts[word]) for word in (b"tests", b"failures", b"errors", b"skipped")]
    if numbers != [tests, failed, 0, 0] or xml.count(b"<testcase ") != tests:
        shown = xml[:300].decode(errors="replace")
        raise BenchError(f"the junit report does not hold {tests - failed} passed tests of {tests}: {shown}")
    return finished


def _own_root(directory: Path) -> None:
    """Make it pytest's root directory, so that no other project's settings apply."""
    (directory / "pytest.ini").write_text("[pytest]\n")
