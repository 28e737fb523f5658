"""The live line: its text, when it appears, and how it makes room for pytest's own output."""

from __future__ import annotations

import io

import pytest
from _pytest._io import TerminalWriter
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.model import OK, NodeResult
from pytest_synctool.plugin import live_line
from pytest_synctool.plugin.live_line import LiveLine, is_watched
from pytest_synctool.report.progress import Progress

from tests_meta.unit.helpers import unreachable
from tests_meta.unit.plugin.test_node_reports import DRIFT, ERROR, FIXED


def progress(*results: NodeResult, **out: float) -> Progress:
    """Return the progress of a run over 1,200 nodes. `out` has the time at which work on a node began."""
    counted = Progress(1200, out=dict(out))
    for result in results:
        counted.take(result)
    return counted


@pytest.mark.parametrize(
    ("counted", "line"),
    [
        (progress(), "synctool: 0 of 1,200 nodes"),
        (progress(NodeResult((DRIFT, DRIFT))), "synctool: 1 of 1,200 nodes, 1 drifted"),
        (
            progress(
                *(NodeResult(outcomes) for outcomes in ((DRIFT, ERROR), (FIXED, DRIFT), (FIXED,), (OK,))),
                NodeResult((), unreachable("x")),
            ),
            "synctool: 5 of 1,200 nodes, 1 drifted, 1 with errors, 1 fixed, 1 unreachable",
        ),
        (progress(node7=90, node8=10, node9=30), "synctool: 0 of 1,200 nodes; out for 90 s: node[7-9]"),
        (progress(node7=100, node8=98.5), "synctool: 0 of 1,200 nodes"),
    ],
)
def test_the_line_of_progress(counted: Progress, line: str) -> None:
    assert counted.line(100, 80) == line


@given(st.integers(0, 100))
def test_the_line_of_progress_keeps_to_the_width(width: int) -> None:
    counted = progress(**{f"n{number * number}": 0.0 for number in range(60)})
    assert len(counted.line(50, width)) <= max(width, 3)


def test_only_the_slowest_are_named() -> None:
    counted = progress(**{f"n{number}": float(number) for number in range(50)})
    assert counted.line(100, 80).endswith("; out for 100 s: n[0-4]")


class Reporter:
    """The part of pytest's terminal reporter that is_watched() reads."""

    def __init__(self, verbosity: int = 0, tty: bool = True) -> None:
        self.verbosity = verbosity
        self.isatty = lambda: tty


@pytest.mark.parametrize(
    ("reporter", "environment", "watched"),
    [
        (Reporter(), {"TERM": "xterm"}, True),
        (Reporter(1), {"TERM": "xterm", "CI": ""}, True),
        (Reporter(-1), {"TERM": "xterm"}, False),
        (Reporter(tty=False), {"TERM": "xterm"}, False),
        (Reporter(), {"TERM": "dumb"}, False),
        (Reporter(), {}, False),
        (Reporter(), {"TERM": "xterm", "CI": "1"}, False),
        (Reporter(), {"TERM": "xterm", "BUILD_NUMBER": "7"}, False),
        (None, {"TERM": "xterm"}, False),
    ],
)
def test_who_is_watching(reporter: Reporter | None, environment: dict[str, str], watched: bool) -> None:
    assert is_watched(reporter, environment) is watched


def test_the_line_gives_way_to_what_pytest_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line stands below pytest's line and is erased before pytest writes again. The second text comes too early."""
    monkeypatch.setattr(live_line, "_DELAY", 0.0)
    file = io.StringIO()
    writer = TerminalWriter(file)
    live = LiveLine(writer)
    live.progress.total = 3
    writer.write("..")
    live.show()
    live.progress.done = 1
    live.show()
    writer.write(".")
    live.close()
    writer.write("\n")
    assert file.getvalue() == "..\n\rsynctool: 0 of 3 nodes\x1b[K\r\x1b[K\x1b[A\x1b[2C.\n"


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(0, 8))
def test_the_only_name_is_never_cut(done: int, length: int, others: int) -> None:
    """At 80 columns: the counts make way for the name of the node that all wait for."""
    slowest = "n" * length
    counted = Progress(10**6, done, {slowest: 0.0, **{f"other{number}-{'x' * 20}": 1.0 for number in range(others)}})
    for word in counted.counts:
        counted.counts[word] = done
    line = counted.line(50_000.0, 79)
    assert len(line) <= 79
    assert slowest in line
