"""--durations: nodes beside ordinary tests, in the place of the equal shares that a node's tests have of its time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from heapq import nlargest
from typing import Any, Literal, cast

import pytest

from pytest_synctool.plugin.node_reports import is_entry


def _node_report(node: str, seconds: float) -> pytest.TestReport:
    """What pytest's list shows as `12.31s node     node7`; other plugins may look at it as well."""
    when = cast(Literal["call"], "node")  # pytest shows whatever it is
    return pytest.TestReport(node, (node, None, node), {}, "passed", None, when, duration=seconds)


@contextmanager
def durations_of_nodes(stats: dict[str, list[Any]], durations: Mapping[str, float], most: int | None) -> Iterator[None]:
    """While pytest makes its list of the `most` slowest (0: of all), let it find nodes in the place of their tests.

    `durations` are in seconds, by node. None of it happens where `most` is None: there is no such list.
    """
    if most is None:
        yield
        return
    shares = [(report, report.duration) for reports in stats.values() for report in reports if is_entry(report)]
    for report, _ in shares:
        del report.duration
    slowest = nlargest(most or len(durations), durations.items(), key=lambda item: item[1])
    unnamed = stats.get("")  # where pytest has what it does not count
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
