"""Limits of node sets: ranges and their products never take all memory, wherever a person or a file names nodes."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.cli.selection import group_names
from pytest_synctool.common.nodenames import fold, range_problem, unfold
from pytest_synctool.config import Config, load
from pytest_synctool.config.ranges import RangeError, expand, spread
from pytest_synctool.config.selection import select
from pytest_synctool.dsh.aggregate import Aggregate
from pytest_synctool.errors import ConfigError, SelectionError
from pytest_synctool.repository import waivers

HUGE = (
    "n[1-99999]m[1-99999]",
    "n[1-400]m[1-400]",
    "n[1-99]m[1-99]o[1-99]",
    "n[1-999999999]",
    "n[1-999999999999999999/2]",
    "n[" + ",".join(f"{i}-{i + 99998}" for i in range(0, 10_000_000, 99_999)) + "]",
    "n[1-2," + "1-99999," * 50 + "3]",
)
ALGEBRA = (
    "node1,n[1-99999]m[1-99999]",
    "node1!n[1-99999]m[1-99999]",
    "n[1-99999]m[1-99999]&node1",
    "node1^n[1-99999]m[1-99999]",
    "n[1-60000]!n[1-60000]",
    "@g[1-99999][1-99999]",
    "group:g[1-99999]h[1-99999]",
    "!n[1-400]m[1-400]",
)
ODD = (
    "n[-9999999-3]",
    "n[1-9999999-3]",
    "n[1_0-9999_999]",
    "n[+1-3]",
    "n[\uff10-\uff19\uff19\uff19\uff19\uff19\uff19]",
    "n[]",
    "n" + "9" * 5000,
)
LIMIT = "100,000|is not a range|goes backwards|255 digits|expected"


@pytest.fixture
def cluster(tmp_path: Path) -> Config:
    (tmp_path / "masterdir").mkdir()
    (tmp_path / "synctool.conf").write_text("masterdir masterdir\nnode node[1-3] batch\n")
    return load(tmp_path / "synctool.conf")


def refused_cheaply(act: Callable[[], object], error: type[Exception]) -> None:
    """Assert that an error names the limit, and that nothing was expanded before."""
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            act()
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
    assert re.search(LIMIT, str(caught.value)), caught.value
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", [*HUGE, *ALGEBRA, *ODD])
def test_selections(cluster: Config, text: str) -> None:
    """--hosts, -n, -g, -x and -X, and synctool-history."""
    refused_cheaply(lambda: select(cluster, text), SelectionError)
    if not re.search(r"@|group:|^!", text):
        refused_cheaply(lambda: unfold(text, origin="-n"), SelectionError)
    assert range_problem(text) is not None


@pytest.mark.parametrize("text", HUGE)
def test_configurations(tmp_path: Path, text: str) -> None:
    refused_cheaply(lambda: expand(text), RangeError)
    refused_cheaply(lambda: spread(text, 3), RangeError)
    refused_cheaply(lambda: group_names([text], "-g"), SelectionError)
    path = tmp_path / "synctool.conf"
    for line in (f"node {text} batch", f"node n[1-3] batch ipaddress:{text}", f"group g {text}", f"ignore_node {text}"):
        path.write_text(f"masterdir .\nnode node1 batch\n{line}\n")
        with pytest.raises(ConfigError):
            load(path)


def test_default_nodeset(tmp_path: Path) -> None:
    path = tmp_path / "synctool.conf"
    path.write_text("masterdir .\nnode node1 batch\ndefault_nodeset n[1-99999]m[1-99999]\n")
    with pytest.raises((ConfigError, SelectionError), match="100,000"):
        select(load(path), None)


@pytest.mark.parametrize("text", [HUGE[0], "n[1-99999]"])
def test_waivers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(f"- path: /a\n  nodes: {text}\n  reason: b\n  expires: 2030-01-01\n")
    with pytest.raises(ConfigError) as caught:
        waivers.load(path, frozenset({"node1"}), frozenset())
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", [*HUGE, *ODD, "9" * 5000])
def test_the_filter(text: str) -> None:
    """A line with such a name is a line without a name, or one with this very name."""
    aggregate = Aggregate()
    if aggregate.feed(f"{text}: a".encode()):
        assert len(list(aggregate.groups())) == 1


_RANGES = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from(["", "/1", "/2", "/7"])), min_size=1, max_size=3
).map(lambda parts: "[" + ",".join(f"{a}-{a + b}{step}" for a, b, step in parts) + "]")


@given(st.lists(_RANGES, min_size=1, max_size=3))
def test_what_is_allowed_is_no_larger_than_counted(ranges: list[str]) -> None:
    text = "n" + "x".join(ranges)
    if range_problem(text) is None:
        assert len(NodeSet(text, resolver=RESOLVER_NOGROUP)) <= 100_000


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,30}", fullmatch=True))
def test_one_name_is_its_own_node_set(name: str) -> None:
    assert fold([name]) == str(NodeSet.fromlist([name])) == name
