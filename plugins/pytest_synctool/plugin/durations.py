"""--durations: the list shows nodes beside ordinary tests.

The tests of a node run together, so each has only an equal share of the node's time. The list leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from heapq import nlargest
from typing import Any, Literal, cast

import pytest

from pytest_synctool.plugin.node_reports import is_entry
from pytest_synctool.plugin.ordinary_reports import is_ordinary


def _node_report(node: str, seconds: float) -> pytest.TestReport:
    """Return a report that pytest lists as `12.31s node     node7`. It is complete: other plugins may read it too."""
    when = cast(Literal["call"], "node")  # pytest prints any word
    return pytest.TestReport(node, (node, None, node), {}, "passed", None, when, duration=seconds)


@contextmanager
def durations_of_nodes(stats: dict[str, list[Any]], durations: Mapping[str, float], most: int | None) -> Iterator[None]:
    """Replace the reports of entries by reports of nodes in `stats`, while pytest makes its list of durations.

    `durations` are in seconds, by node. `most` is the length of the list: 0 for all, None if pytest makes no list.
    """
    if most is None:
        yield
        return
    shares = [
        (report, report.duration)
        for reports in stats.values()
        for report in reports
        if is_entry(report) or is_ordinary(report)
    ]
    for report, _ in shares:
        del report.duration
    slowest = nlargest(most or len(durations), durations.items(), key=lambda item: item[1])
    unnamed = stats.get("")  # pytest's category for reports that it does not count
    stats[""] = [*(unnamed or ()), *(_node_report(node, seconds) for node, seconds in slowest)]
    try:
        yield
    finally:
        for report, seconds in shares:
            report.duration = seconds
        if unnamed is None:
            del stats[""]
        else:
            stats[""] = unnamed
