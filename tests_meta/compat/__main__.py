"""The command: `python -m tests_meta.compat` runs the tests of this folder and writes the tables in docs/pytest.md."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from tests_meta.compat.options import OPTIONS, Option
from tests_meta.compat.table import BROKEN, OTHERS, Other

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "pytest.md"
_TABLES: Final = re.compile(r"(?<=<!-- made by make compat -->\n).*(?=<!-- end -->)", re.DOTALL)
_DOES_NOT_WORK: Final = "does not work"


class Failures:
    """A plugin that collects the tests that have failed."""

    def __init__(self) -> None:
        self.tests: list[str] = []
        self.is_complete = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a failure, and of a test that was skipped."""
        self.is_complete = self.is_complete and not report.skipped
        if report.failed:
            self.tests.append(report.nodeid)

    def of(self, other: Other) -> bool:
        """Return True if a test of a plugin has failed: its name is in the id or in the name of the test."""
        name = _letters(other.name)
        return any(
            f"[{other.name}-" in test or name in _letters(test.partition("::test_")[2].partition("[")[0])
            for test in self.tests
        )

    def of_option(self, option: Option) -> bool:
        """Return True if a test of an option has failed."""
        return any(f"[{option.key}-" in test for test in self.tests)


def _letters(name: str) -> str:
    return re.sub(r"\W|_", "", name)


def _row(other: Other, failures: Failures) -> str:
    verdict = _DOES_NOT_WORK if failures.of(other) else f"works, but {other.note}" if other.note else "works"
    return f"| {other.name} | {version(other.name)} | {verdict} |\n"


def _broken_row(other: Other) -> str:
    return f"| {other.name} | {version(other.name)} | does not start, also without pytest-synctool |\n"


def _option_row(option: Option, failures: Failures) -> str:
    return f"| {option.text} | {_DOES_NOT_WORK if failures.of_option(option) else option.verdict} |\n"


def _tables(failures: Failures) -> str:
    rows = [_row(other, failures) for other in OTHERS] + [_broken_row(other) for other in BROKEN]
    return "".join(
        (
            f"Tried with pytest {version('pytest')} and Python {platform.python_version()}.\n\n",
            "| plugin | version | verdict |\n|---|---|---|\n",
            *sorted(rows),
            "\n| option | verdict |\n|---|---|\n",
            *(_option_row(option, failures) for option in OPTIONS),
        )
    )


def main() -> int:
    """Run the tests and write the table. Return the exit status of pytest."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    failures = Failures()
    loaded = ("-p", "testinfra.plugin", "-p", "xdist.plugin")
    status = int(pytest.main([*loaded, str(Path(__file__).parent), "-rs", "-n2", *sys.argv[1:]], plugins=[failures]))
    if len(sys.argv) == 1 and failures.is_complete:  # a choice of the tests makes no table
        text, tables = DOCUMENT.read_text(encoding="utf-8"), _tables(failures)
        DOCUMENT.write_text(_TABLES.sub(lambda _: tables, text), encoding="utf-8")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
