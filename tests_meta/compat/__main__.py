"""The command: `python -m tests_meta.compat` runs the tests of this folder and writes the table in docs/pytest.md."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from tests_meta.compat.table import OTHERS, Other

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "pytest.md"
_TABLE: Final = re.compile(r"(?<=<!-- made by make compat -->\n).*(?=<!-- end -->)", re.DOTALL)


class Failures:
    """A plugin that collects the names of the plugins whose tests have failed. A test may have none: `""`."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a failure."""
        if report.failed:
            names = [other.name for other in OTHERS if f"[{other.name}-" in report.nodeid]
            words = re.sub(r"\W|_", "", report.nodeid.partition("::test_")[2].partition("[")[0])
            names = names or [other.name for other in OTHERS if re.sub(r"\W|_", "", other.name) in words]
            self.names.update(names or [""])


def _row(other: Other, failures: Failures) -> str:
    verdict = "does not work" if other.name in failures.names else f"works, but {other.note}" if other.note else "works"
    return f"| {other.name} | {version(other.name)} | {verdict} |\n"


def main() -> int:
    """Run the tests and write the table. Return the exit status of pytest."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    failures = Failures()
    loaded = ("-p", "testinfra.plugin", "-p", "xdist.plugin")
    status = int(pytest.main([*loaded, str(Path(__file__).parent), "-rs", "-n2", *sys.argv[1:]], plugins=[failures]))
    if len(sys.argv) == 1:  # a choice of the tests makes no table
        header = f"Tried with pytest {version('pytest')} and Python {platform.python_version()}.\n\n"
        header += "| plugin | version | verdict |\n|---|---|---|\n"
        table = header + "".join(_row(other, failures) for other in OTHERS)
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(_TABLE.sub(lambda _: table, text), encoding="utf-8")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
