"""Equal output of nodes is printed once, without loss or confusion, and equal texts are kept once."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterable, Mapping, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.nodenames import unfold
from pytest_synctool.dsh.aggregate import Aggregate


def grouped(lines: Iterable[bytes]) -> tuple[list[tuple[list[str], list[bytes]]], list[bytes]]:
    """Return the groups of some lines, and the lines that do not begin with a node."""
    aggregate = Aggregate()
    strays = [line for line in lines if not aggregate.feed(line)]
    return [(nodes, list(texts)) for nodes, texts in aggregate.groups()], strays


def written(lines: Iterable[bytes]) -> bytes:
    """Return the text that is printed for some lines."""
    aggregate, out = Aggregate(), io.BytesIO()
    for line in lines:
        assert aggregate.feed(line)
    aggregate.write(out)
    return out.getvalue()


def test_largest_group_first_then_natural_order() -> None:
    lines = [b"node10: b", b"node2: b", b"node1: a", b"node3: a", b"node7: a", b"x: c", b"node9: c", b"node11: d"]
    assert written(lines) == (
        b"node[1,3,7]:\n    a\n"  # more nodes
        b"node[2,10]:\n    b\n"  # node2 comes before node9
        b"node9,x:\n    c\n"
        b"node11:\n    d\n"
    )


@pytest.mark.parametrize(
    ("line", "nodes", "text"),
    [
        (b"node1: text", ["node1"], b"text"),
        (b"node1:  two blanks: kept", ["node1"], b" two blanks: kept"),
        (b"node2:x", ["node2"], b"x"),
        (b"node2:x: y", ["node2"], b"x: y"),
        (b"node2:\t x ", ["node2"], b"\t x "),
        (b"node[1-2],a:x", ["a", "node1", "node2"], b"x"),
        (b"node1:", ["node1"], b""),
        (b"node1: ", ["node1"], b""),
        (b"node1: \xff\xfe\0\r", ["node1"], b"\xff\xfe\0\r"),
        (b"node-1.example_x.org: text", ["node-1.example_x.org"], b"text"),
        (b"192.168.1.20: text", ["192.168.1.20"], b"text"),
        (b"fe80::1: text", ["fe80::1"], b"text"),
        (b"node[1-3,7]: text", ["node1", "node2", "node3", "node7"], b"text"),
        (b"a[08-10],b: text", ["a08", "a09", "a10", "b"], b"text"),
        (b"node1: error: no such file", ["node1"], b"error: no such file"),
    ],
)
def test_lines_with_a_node(line: bytes, nodes: Sequence[str], text: bytes) -> None:
    assert grouped([line]) == ([(nodes, [text])], [])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b":",
        b": text",
        b" node1: text",
        b"node1 : text",
        b"12:00:00 up",
        b"fe80::1:text",
        b"fe80::",
        b"http://node1:80/",
        b"node1",
        b"node[1-3:text",
        b"node 1: text",
        b"http://node1/",
        b"no node at all",
        b"DRY RUN, not doing any updates",
        b"pdsh@master: node1: ssh exited with exit code 1",
        b"[1] 12:00:00 [SUCCESS] node1",
        b"---------------",
        b"@group: text",
        b"-n: text",
        b"node[1-3: text",
        b"node[3-1]: text",
        b"node[1-99999999]: text",
        b"a,,b: text",
        b"no\xffde: text",
        b"n\xc3\xb6de: text",
    ],
)
def test_lines_without_a_node(line: bytes) -> None:
    assert grouped([line]) == ([], [line])


@pytest.mark.parametrize(
    ("lines", "groups"),
    [
        # pdsh and clush: mixed lines of the nodes
        ([b"n1: a", b"n2: a", b"n1: b", b"n2: b"], [(["n1", "n2"], [b"a", b"b"])]),
        # clush -bL: lines that begin with a node set
        ([b"n[1-2]: a", b"n3: a", b"n[1-3]: b"], [(["n1", "n2", "n3"], [b"a", b"b"])]),
        # equal lines in another order
        ([b"n1: a", b"n1: b", b"n2: b", b"n2: a"], [(["n1"], [b"a", b"b"]), (["n2"], [b"b", b"a"])]),
        ([b"n1: a", b"n2: a", b"n2: a"], [(["n1"], [b"a"]), (["n2"], [b"a", b"a"])]),
        ([b"n1:a", b"n2: a", b"n1:  b", b"n2:  b"], [(["n1", "n2"], [b"a", b" b"])]),
        ([b"n1:", b"n2: a"], [(["n1"], [b""]), (["n2"], [b"a"])]),
    ],
)
def test_output_of_other_programs(lines: Sequence[bytes], groups: object) -> None:
    assert grouped(lines) == (groups, [])


texts = st.lists(st.sampled_from([b"a", b"b", b"", b"\xff\0"]), min_size=1, max_size=4)


@given(st.dictionaries(st.integers(1, 20).map("node{}".format), texts, min_size=1), st.randoms())
def test_nothing_is_lost_or_mixed_up(texts_of: Mapping[str, Sequence[bytes]], dice: Random) -> None:
    """Every node is in the group of its own text, in whatever order the lines of the nodes arrive."""
    order = [node for node, lines in texts_of.items() for _ in lines]
    dice.shuffle(order)
    waiting = {node: iter(lines) for node, lines in texts_of.items()}
    groups, strays = grouped(b"%b: %b" % (node.encode(), next(waiting[node])) for node in order)
    assert strays == []
    regrouped = {node: list(lines) for nodes, lines in groups for node in nodes}
    assert regrouped == {node: list(lines) for node, lines in texts_of.items()}
    assert len({tuple(lines) for _, lines in groups}) == len(groups)
    assert [len(nodes) for nodes, _ in groups] == sorted((len(nodes) for nodes, _ in groups), reverse=True)


def test_a_count_in_the_head() -> None:
    """On request; a group of one node has none."""
    aggregate, out = Aggregate(), io.BytesIO()
    for line in (b"node1: a", b"node2: a", b"node3: b"):
        aggregate.feed(line)
    aggregate.write(out, is_counted=True)
    assert out.getvalue() == b"node[1-2] (2):\n    a\nnode3:\n    b\n"


@given(st.dictionaries(st.integers(1, 20).map("node{}".format), texts, min_size=1))
def test_printed_groups_can_be_read_again(texts_of: Mapping[str, Sequence[bytes]]) -> None:
    printed = written(b"%b: %b" % (node.encode(), line) for node, lines in texts_of.items() for line in lines)
    read: dict[str, list[bytes]] = {}
    nodes: list[str] = []
    for line in printed.split(b"\n")[:-1]:
        if line and not line.startswith(b" "):
            nodes = unfold(line.removesuffix(b":").decode(), origin="test")
        else:
            for node in nodes:
                read.setdefault(node, []).append(line.removeprefix(b"    "))
    assert read == {node: list(lines) for node, lines in texts_of.items()}


def test_equal_texts_are_kept_once() -> None:
    """A hundred times as many nodes with the same text need little more memory."""
    peaks = []
    for count in (10, 1000):
        tracemalloc.start()
        aggregate = Aggregate()
        for number in range(100):
            for node in range(count):
                aggregate.feed(b"node%d: %d %b" % (node, number, b"x" * 1000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(aggregate.groups()) == 1
    assert peaks[1] - peaks[0] < 1_000_000  # for 990 nodes more, each with 100,000 bytes of output
