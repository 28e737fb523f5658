"""Selection of nodes, compared with a model in plain sets."""

from __future__ import annotations

from collections.abc import Callable
from operator import and_, sub, xor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.nodenames import fold
from pytest_synctool.config import Config
from pytest_synctool.config.selection import select
from pytest_synctool.errors import SelectionError

from tests_meta.unit.helpers import config, names

CLUSTER = (
    "node node1 batch rack1",
    "node node2 batch rack2",
    "node node10 batch rack1",
    "node node3 sched rack2",
    "node web1 sched",
    "node web2 old",
    "node login-0.site rack1",
    "ignore_node node2",
    "ignore_group old",
    "group compute batch",
)
ALL = ["node1", "node2", "node10", "node3", "web1", "web2", "login-0.site"]
IGNORED = {"node2", "web2"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return config(tmp_path_factory.mktemp("cluster"), *CLUSTER)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (None, "node1 node10 node3 web1 login-0.site"),
        ("node1", "node1"),
        ("login-0.site", "login-0.site"),
        ("node[1-3]", "node1 node2 node3"),
        ("node[1,10]", "node1 node10"),
        ("web[1-2],node[1,3]", "node1 node3 web1 web2"),
        ("group:batch", "node1 node10"),
        ("@batch", "node1 node10"),
        ("batch", "node1 node10"),
        ("group:node1", "node1"),
        ("@node1", "node1"),
        ("all", "node1 node10 node3 web1 login-0.site"),
        ("@all", "node1 node10 node3 web1 login-0.site"),
        ("group:all", "node1 node10 node3 web1 login-0.site"),
        ("*", "node1 node10 node3 web1 login-0.site"),
        ("node*", "node1 node10 node3"),
        ("web?", "web1"),
        ("node?", "node1 node3"),
        ("batch,sched", "node1 node10 node3 web1"),
        ("sched,node1", "node1 node3 web1"),
        (" node1 , web1 ", "node1 web1"),
        ("node1,node1,batch", "node1 node10"),
        ("batch!node1", "node10"),
        ("all!group:batch", "node3 web1 login-0.site"),
        ("!node3", "node1 node10 web1 login-0.site"),
        ("!batch", "node3 web1 login-0.site"),
        ("!node[1-3]", "node10 web1 login-0.site"),
        ("batch&rack1", "node1 node10"),
        ("group:batch&group:rack1", "node1 node10"),
        ("batch&node[1-2]", "node1"),
        ("batch^rack1", "login-0.site"),
        ("rack1!batch,web1", "web1 login-0.site"),
        # An ignored node is selected only by its own name.
        ("node2", "node2"),
        ("web2", "web2"),
        ("batch,node2", "node1 node2 node10"),
        ("node2,web*", "node2 web1"),
        ("rack2", "node3"),
    ],
)
def test_expressions(cluster: Config, expression: str | None, expected: str) -> None:
    """Documentation: "synctool can be run on a subset of nodes, a group, or even on individual nodes"."""
    assert names(select(cluster, expression)) == expected.split()


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("nod1", "'nod1'"),
        ("node[9-11]", "'node[9-11]'"),
        ("node1,nod2", "'nod2'"),
        ("batch,bach", "'bach'"),
        ("group:bach", "'bach'"),
        ("@bach", "'bach'"),
        ("none", "'none'"),
        ("group:none", "'none'"),
        # A typing error behind `!` must not select the nodes that were to be excluded.
        ("all!nod3", "'all!nod3'"),
        ("!nod3", "'!nod3'"),
        ("all!group:bach", "'bach'"),
        ("batch!bach", "'batch!bach'"),
        ("batch&bach", "no such node or group"),
        ("all!node[3-4]", "'all!node[3-4]'"),
        ("", "empty term"),
        ("node1,,web1", "empty term"),
        ("node1,", "empty term"),
        ("node[1-", "'node[1-'"),
        ("node[b]", "'node[b]'"),
        ("node1&", "'node1&'"),
        ("&", "'&'"),
        ("@", "''"),
        # terms that match no node
        ("x*", "'x*' matches no node"),
        ("batch&sched", "'batch&sched' matches no node"),
        ("batch!batch", "'batch!batch' matches no node"),
        ("web1,x*", "'x*' matches no node"),
        ("*2", "'*2' matches only ignored nodes"),
    ],
)
def test_errors_name_the_unknown_term(cluster: Config, expression: str, word: str) -> None:
    with pytest.raises(SelectionError) as caught:
        select(cluster, expression)
    assert word in str(caught.value)


@pytest.mark.parametrize("expression", ["bach", "group:bach", "@bach", "web1,bach", "all!bach"])
def test_the_nearest_name_is_suggested(cluster: Config, expression: str) -> None:
    with pytest.raises(SelectionError, match=r"\(did you mean 'batch'\?\)"):
        select(cluster, expression)


def test_a_cluster_of_ignored_nodes(tmp_path: Path) -> None:
    ignored = config(tmp_path, "node a x", "node b x", "ignore_group x")
    with pytest.raises(SelectionError, match="every node is ignored"):
        select(ignored, None)
    with pytest.raises(SelectionError):
        select(ignored, "all")
    assert names(select(ignored, "b,a")) == ["a", "b"]


def sets_of(cluster: Config) -> dict[str, set[str]]:
    """Return the nodes of each group and pattern, without ignored nodes."""
    active = set(ALL) - IGNORED
    groups = {f"{prefix}{name}": set(nodes) & active for name, nodes in cluster.groups.items() for prefix in PREFIXES}
    return {**groups, "node*": {n for n in active if n.startswith("node")}, "*1": {"node1", "web1"}}


PREFIXES = ("", "@", "group:")
BY_NAME = {**{name: {name} for name in ALL}, "node[1-3]": {"node1", "node2", "node3"}, "web[1,2]": {"web1", "web2"}}
OPERATORS: dict[str, Callable[[set[str], set[str]], set[str]]] = {"!": sub, "&": and_, "^": xor}


@given(data=st.data())
def test_any_expression_selects_the_nodes_that_the_model_has(cluster: Config, data: st.DataObject) -> None:
    """Operators bind from left to right, commas last. Every term has to match a node."""
    by_group = sets_of(cluster)
    active_names = {text: nodes for text, nodes in BY_NAME.items() if not nodes & IGNORED}
    terms, expected, empty = [], set(), False
    for _ in range(data.draw(st.integers(1, 4))):
        table = data.draw(st.sampled_from([BY_NAME, {**by_group, **active_names}]))
        first = data.draw(st.sampled_from(sorted(table)))
        text, chosen = first, table[first]
        if table is not BY_NAME and data.draw(st.booleans()):
            text, chosen = "!" + first, set(ALL) - IGNORED - table[first]
        for operator in data.draw(st.lists(st.sampled_from(sorted(OPERATORS)), max_size=3)):
            operand = data.draw(st.sampled_from(sorted(table)))
            text, chosen = text + operator + operand, OPERATORS[operator](chosen, table[operand])
        terms.append(text)
        expected |= chosen
        empty = empty or not chosen
    expression = ",".join(terms)
    if empty:
        with pytest.raises(SelectionError, match="matches"):
            select(cluster, expression)
    else:
        assert names(select(cluster, expression)) == [name for name in ALL if name in expected]


_pieces = st.sampled_from(
    ["node", "1", "[", "]", "-", ",", "!", "&", "^", "@", "group:", "*", "?", "batch", " ", "%", "/"]
)


@given(expression=st.lists(_pieces | st.text(max_size=2), max_size=9).map("".join))
def test_any_text_selects_or_is_refused(cluster: Config, expression: str) -> None:
    try:
        selected = names(select(cluster, expression))
    except SelectionError:
        return
    assert selected
    assert selected == [name for name in ALL if name in selected]


_names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("all", "none")
)
_numbered = st.builds(
    lambda a, b, c: f"{a}{b}{c}",
    st.sampled_from(["n", "a-", "x.", ""]),
    st.integers(0, 12),
    st.sampled_from(["", "-ib", ".1", "-0"]),
)
_padded = st.sampled_from(["n1", "n01", "n001", "n10", "n010", "1", "01", "10.0.0.1", "10.0.0.2", "10.0.0.02"])


@given(
    nodes=st.lists(_names | _numbered | _padded, min_size=1, max_size=6, unique=True),
    groups=st.lists(_names | _numbered, max_size=3, unique=True),
)
def test_every_name_selects_its_nodes(
    nodes: list[str], groups: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Digits, dots, dashes and leading zeros have no special meaning."""
    groups = [group for group in groups if group not in nodes]
    cluster = config(tmp_path_factory.getbasetemp(), *(" ".join(("node", name, *groups)) for name in nodes))
    for name in nodes:
        assert names(select(cluster, name)) == names(select(cluster, f"@{name}")) == [name]
    for group in groups:
        assert names(select(cluster, group)) == names(select(cluster, f"group:{group}")) == nodes
    assert names(select(cluster, fold(nodes))) == names(select(cluster, "all")) == nodes


@pytest.mark.parametrize(
    ("nodes", "short"),
    [
        (["node1", "node2", "node3"], "node[1-3]"),
        (["web1", "node3", "node1"], "node[1,3],web1"),
        (["node1"], "node1"),
        (["node01", "node02"], "node[01-02]"),
        ([], ""),
    ],
)
def test_fold(nodes: list[str], short: str) -> None:
    assert fold(nodes) == short


def test_blanks_around_operators_do_not_matter(cluster: Config) -> None:
    assert select(cluster, " batch ! node1 , web1 ") == select(cluster, "batch!node1,web1")


def test_a_range_too_large_for_memory_is_refused(cluster: Config) -> None:
    with pytest.raises(SelectionError, match="stands for more than 100,000 names"):
        select(cluster, "node[1-999999999]")
