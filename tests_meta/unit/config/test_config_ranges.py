"""Node ranges, included files and the default node set, which later versions of synctool added."""

from __future__ import annotations

from pathlib import Path

import pytest
from ClusterShell.NodeSet import NodeSet
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.config import Config, load, parse
from pytest_synctool.config.ranges import RangeError, expand, spread
from pytest_synctool.config.selection import select
from pytest_synctool.errors import ConfigError, SelectionError

from tests_meta.unit.helpers import config, names


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("n1", ["n1"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[001-003]", ["n001", "n002", "n003"]),
        ("n[8-11]x", ["n8x", "n9x", "n10x", "n11x"]),
        ("n[1-2,7]", ["n1", "n2", "n7"]),
        ("n[0-6/3]", ["n0", "n3", "n6"]),
        ("r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]),
        ("n[5]", ["n5"]),
    ],
)
def test_expand(word: str, expected: list[str]) -> None:
    assert expand(word) == expected


@given(first=st.integers(0, 300), count=st.integers(1, 40), width=st.integers(1, 5), step=st.integers(1, 9))
def test_ranges_are_those_of_clustershell(first: int, count: int, width: int, step: int) -> None:
    word = f"n[{first:0{width}}-{first + count:0{width}}/{step}]"
    assert expand(word) == list(NodeSet(word))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("n[]", "'' is not a range, expected one like [001-100] or [1-3,7]"),
        ("n[a-b]", "'a-b' is not a range"),
        ("n[1-", "expected ranges in brackets, like n[001-100]"),
        ("n1]", "expected ranges in brackets"),
        ("n[[1-2]]", "expected ranges in brackets"),
        ("n[3-1]", "'3-1' goes backwards"),
        ("n[1-999999999]", "'1-999999999' has more than 100,000 numbers"),
        ("n[1-1000]m[1-1000]", "stands for more than 100,000 names"),
        ("n[1-9/0]", "n[1-9/0]"),
        ("n[1-99999999999999999999]", "is not a range"),
    ],
)
def test_invalid_ranges(word: str, message: str) -> None:
    with pytest.raises(RangeError) as caught:
        expand(word)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "count", "expected"),
    [
        ("192.168.1.[20]", 3, ["192.168.1.20", "192.168.1.21", "192.168.1.22"]),
        ("ib[001]-x", 2, ["ib001-x", "ib002-x"]),
        ("ib[098]", 3, ["ib098", "ib099", "ib100"]),
        ("ib[1-3]", 3, ["ib1", "ib2", "ib3"]),
        ("r[1-2]b[1-2]", 4, ["r1b1", "r1b2", "r2b1", "r2b2"]),
        ("2001:db8::[1]", 2, ["2001:db8::1", "2001:db8::2"]),
        ("docker://web[1-2]", 2, ["docker://web1", "docker://web2"]),
        ("ib1", 1, ["ib1"]),
        ("ib[7]", 1, ["ib7"]),
    ],
)
def test_spread(value: str, count: int, expected: list[str]) -> None:
    assert spread(value, count) == expected


@pytest.mark.parametrize(
    ("value", "count", "message"),
    [
        ("192.168.1.[250]", 10, "counts up to '192.168.1.256', which is no address"),
        ("192.168.1.5", 2, "would be the same for 2 nodes: expected a range, like 192.168.1.[20]"),
        ("ib[1-3]", 4, "stands for 3, expected one for each of 4 nodes"),
        ("ib[1", 2, "expected ranges in brackets"),
    ],
)
def test_the_numbers_of_values_and_nodes_must_agree(value: str, count: int, message: str) -> None:
    with pytest.raises(RangeError) as caught:
        spread(value, count)
    assert message in str(caught.value)


def test_a_node_line_with_ranges(tmp_path: Path) -> None:
    cluster = config(tmp_path, "node n[001-100] wn ipaddress:192.168.1.[20] hostname:h[001-100] rsync:no")
    assert len(cluster.nodes) == 100
    last = cluster.nodes["n100"]
    assert (last.groups, last.address, last.hostname, last.rsync) == (
        ("n100", "wn", "all"),
        "192.168.1.119",
        "h100",
        False,
    )
    assert cluster.groups["wn"] == tuple(cluster.nodes)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("node n[1-3] ipaddress:10.0.0.1", "'ipaddress:' '10.0.0.1' would be the same for 3 nodes"),
        ("node n[1-300] ipaddress:10.0.0.[1]", "'ipaddress:' '10.0.0.[1]' counts up to '10.0.0.256'"),
        ("node n[3-1] a", "'n[3-1]': '3-1' goes backwards"),
        ("node node[1-2]", "node 'node1' is defined twice, first on line 2"),
        ("default_nodeset node2", "'default_nodeset': no such node or group 'node2' (did you mean 'node1'?)"),
        ("default_nodeset bacth", "'default_nodeset': no such node or group 'bacth' (did you mean 'batch'?)"),
        ("default_nodeset none node1", "'default_nodeset none' does not go with other nodes"),
        ("include nowhere.conf", "'include': {}/nowhere.conf: cannot be read: No such file or directory"),
        ("include synctool.conf", "{}/synctool.conf is included already: remove it here"),
        ("on_update /etc/x", "'on_update' needs a path and a command"),
        ("on_update etc/x cmd", "'on_update' expects an absolute path, not 'etc/x'"),
        ("on_update /etc/../x cmd", "'on_update' expects an absolute path, not '/etc/../x'"),
        ("symlink_mode 0999", "'symlink_mode' expects an octal number like 0755, not '0999'"),
        ("logfile synctool.log", "'logfile' expects an absolute path, not 'synctool.log'"),
        ("require_extension maybe", "'require_extension' expects yes or no, not 'maybe'"),
        ("diff_cmd 'x", "'diff_cmd' is not a command line: No closing quotation"),
    ],
)  # fmt: skip
def test_problems(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, "node node1 batch", line)
    assert f"{tmp_path}/synctool.conf:3: {message.format(tmp_path)}" in str(caught.value)


class TestIncluded:
    """The statement `include FILE`, in either spelling. FILE is relative to the file that includes it."""

    def plant(self, top: Path, **files: str) -> Path:
        (top / "master").mkdir()
        (top / "d").mkdir()
        for name, text in files.items():
            (top / name.replace("_", "/").replace("DOT", ".")).write_text(text)
        return top / "synctool.conf"

    def test_statements_come_from_everywhere(self, tmp_path: Path) -> None:
        conf = self.plant(
            tmp_path,
            synctoolDOTconf="include d/nodes.yaml d/more.conf\nnode first a\n",
            d_nodesDOTyaml="masterdir: ../master\nnodes: {second: [b]}\ninclude: third.conf\n",
            d_thirdDOTconf="node third c\n",
            d_moreDOTconf="node fourth d\nignore_node second\n",
        )
        cluster = load(conf)
        assert list(cluster.nodes) == ["first", "second", "third", "fourth"]
        assert cluster.masterdir == tmp_path / "master"
        assert cluster.nodes["second"].ignored

    def test_problems_name_their_own_file_in_the_order_of_reading(self, tmp_path: Path) -> None:
        conf = self.plant(
            tmp_path,
            synctoolDOTconf="include d/a.conf\nmasterdir master\nnod x\nnode x\n",
            d_aDOTconf="nod y\nnode x\ninclude a.conf\n",
        )
        with pytest.raises(ConfigError) as caught:
            load(conf)
        assert str(caught.value).split("\n") == [
            f"{conf}:3: unknown keyword 'nod' (did you mean 'node'?)",
            f"{tmp_path}/d/a.conf:1: unknown keyword 'nod' (did you mean 'node'?)",
            f"{tmp_path}/d/a.conf:2: node 'x' is defined twice, first in {conf}:4: remove one",
            f"{tmp_path}/d/a.conf:3: {tmp_path}/d/a.conf is included already: remove it here",
        ]

    def test_an_unreadable_file_is_a_problem_of_the_line_that_includes_it(self, tmp_path: Path) -> None:
        conf = self.plant(tmp_path, synctoolDOTconf="masterdir master\nnode x\ninclude d\n")
        with pytest.raises(ConfigError, match=r"synctool.conf:3: 'include': .*/d: cannot be read: Is a directory"):
            load(conf)


def of(tmp_path: Path, *lines: str) -> Config:
    return config(tmp_path, "node a x", "node b y", "node c y", "ignore_node c", *lines)


@pytest.mark.parametrize(
    ("line", "selected"),
    [
        ("", ["a", "b"]),
        ("default_nodeset a", ["a"]),
        ("default_nodeset y", ["b"]),
        ("default_nodeset x c", ["a", "c"]),
        ("default_nodeset all!x", ["b"]),
        ("default_nodeset [a-b]", None),
    ],
)
def test_the_default_node_set(tmp_path: Path, line: str, selected: list[str] | None) -> None:
    if selected is None:
        with pytest.raises(ConfigError, match="'default_nodeset'"):
            of(tmp_path, line)
        return
    cluster = of(tmp_path, line)
    assert names(select(cluster, None)) == selected
    assert names(select(cluster, "b")) == ["b"]
    assert names(select(cluster, "all")) == ["a", "b"]


def test_default_nodeset_none_requires_a_selection(tmp_path: Path) -> None:
    cluster = of(tmp_path, "default_nodeset none")
    with pytest.raises(SelectionError, match="says 'default_nodeset none': name some with --hosts"):
        select(cluster, None)
    assert names(select(cluster, "a")) == ["a"]


def test_both_spellings_in_one_directory_are_an_error(tmp_path: Path) -> None:
    from pytest_synctool.config import find

    (tmp_path / "synctool.yaml").touch()
    assert find(None, None, {}, tmp_path) == tmp_path / "synctool.yaml"
    (tmp_path / "synctool.conf").touch()
    with pytest.raises(ConfigError, match=r"synctool.conf and synctool.yaml both exist: remove one"):
        find(None, None, {}, tmp_path)


def test_ten_thousand_nodes(tmp_path: Path) -> None:
    cluster = config(tmp_path, "node n[00001-10000] batch", "default_nodeset n[00001-00500]")
    assert len(cluster.nodes) == 10_000
    assert len(select(cluster, None)) == 500
    assert parse("masterdir master\nnode n\n", tmp_path / "synctool.conf").default_nodeset is None
