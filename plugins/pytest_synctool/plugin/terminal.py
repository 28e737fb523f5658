"""What the terminal shows: a header, a word per test, and the summary at the end."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_synctool.nodeset import fold
from pytest_synctool.plugin.cluster import CLUSTER, TALLY
from pytest_synctool.report.expand import is_entry, is_fixed
from pytest_synctool.report.summary import nodes_in_words, summary


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Which cluster, how many nodes, and whether anything will be changed."""
    cluster = config.stash.get(CLUSTER, None)
    if cluster is None:
        return []
    mode = "fixing" if config.option.synctool_fix else "dry run, nothing is changed on any node"
    lines = [
        f"synctool: {cluster.config.path}, {nodes_in_words(len(cluster.nodes))} of {len(cluster.config.nodes)}, {mode}"
    ]
    if cluster.left_out:
        lines.append(f"synctool: left out as ignored: {fold(cluster.left_out)}")
    return lines


def pytest_report_teststatus(
    report: pytest.TestReport,
) -> tuple[str | None, str, str | tuple[str, dict[str, bool]]] | None:
    """The words for entries. Their teardown counts as nothing at all: pytest looks through it once per failure."""
    if not is_entry(report):
        return None
    if report.when == "teardown":
        return None, "", ""
    if is_fixed(report):
        return "fixed", "+", ("FIXED", {"green": True})
    return None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was left out of the masterdir, then findings grouped by what they say, then the count of nodes."""
    tally = config.stash.get(TALLY, None)
    cluster = config.stash.get(CLUSTER, None)
    if tally is None or cluster is None or not (tally.nodes or cluster.warnings):
        return
    terminalreporter.section("synctool")
    for text, colour in summary(tally, cluster.warnings, fixing=config.option.synctool_fix):
        terminalreporter.write_line(text, **{colour: True} if colour else {})
