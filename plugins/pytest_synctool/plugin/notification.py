"""`--notify`: a command that gets drift.json when a run has news."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import open_regular, read_limited
from pytest_synctool.common.wording import node_text
from pytest_synctool.report import files
from pytest_synctool.report.news import Known, News, dump, parse

NAME: Final = ".notified.json"

_MOST: Final = 64 << 20  # bytes of the file
_PATIENCE: Final = 60.0  # seconds for the command
_LAST: Final = 4096  # bytes of its output that have the reason of a failure


def read_known(directory: Path, trust: Trust) -> Known:
    """Return the trouble that was notified of. A file that cannot be read knows of none: the command runs once more."""
    with suppress(OSError, OverflowError):
        descriptor = open_regular(directory / NAME, os.O_RDONLY, trust)
        try:
            return parse(read_limited(descriptor, _MOST).decode("utf-8", "surrogateescape"))
        finally:
            os.close(descriptor)
    return frozenset()


def write_known(directory: Path, known: Known) -> None:
    """Keep the trouble that was notified of. Raises OSError."""
    files.write(directory / NAME, [dump(known)])


def run_command(command: str, news: News, document: Path, reports: Path) -> str | None:
    """Run a command line of the shell with a document on standard input; return the reason if that fails.

    It has the news in $SYNCTOOL_NEWS, and the directory with the reports of the run in $SYNCTOOL_REPORTS.
    """
    environment = {**os.environ, "SYNCTOOL_NEWS": news.text, "SYNCTOOL_REPORTS": str(reports)}
    with document.open("rb") as stdin, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            env=environment,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that all that it starts can be ended
        )
        try:
            status = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"it did not end within {_PATIENCE:.0f} seconds"
        if status == 0:
            return None
        output.seek(max(output.seek(0, os.SEEK_END) - _LAST, 0))
        lines = [line for line in output.read().splitlines() if line.strip()]
        return f"exit status {status}" + (f": {node_text(lines[-1])}" if lines else "")
