"""The line for monitoring systems, as their guidelines for plugins have it."""

from __future__ import annotations

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.report.ending import NodeEnding
from pytest_synctool.report.monitoring import plugin_line


def test_the_line_has_the_counts_in_words_and_as_data() -> None:
    endings = Counter({NodeEnding.IN_SYNC: 2, NodeEnding.DRIFTED: 1})
    assert plugin_line(endings, 1) == (
        "SYNCTOOL WARNING - 3 nodes: 2 in sync, 1 drifted | nodes=3 unreachable=0 unknown=0 error=0 drifted=1 "
        "not_begun=0 waived=0 fixed=0 in_sync=2 skipped=0"
    )


@given(st.dictionaries(st.sampled_from(NodeEnding), st.integers(1, 10**6), min_size=1), st.integers(0, 255))
def test_any_line_can_be_read_by_machines(endings: dict[NodeEnding, int], status: int) -> None:
    line = plugin_line(endings, status)
    words, _, data = line.partition(" | ")
    numbers = {name: int(number) for name, number in re.findall(r"([a-z_]+)=([0-9]+)", data)}
    assert numbers.pop("nodes") == sum(numbers.values()) == sum(endings.values())
    assert words.split()[1] == {0: "OK", 1: "WARNING", 2: "CRITICAL"}.get(status, "UNKNOWN")
    assert line.count("\n") == 0
