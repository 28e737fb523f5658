"""Equal output told once: nothing is lost, nothing is mixed up, and equal texts are held once."""

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
    """The groups of some lines, and the lines that have no node in front."""
    told = Aggregate()
    strays = [line for line in lines if not told.feed(line)]
    return [(nodes, list(texts)) for nodes, texts in told.groups()], strays


def written(lines: Iterable[bytes]) -> bytes:
    """What is printed of some lines."""
    told, out = Aggregate(), io.BytesIO()
    for line in lines:
        assert told.feed(line)
    told.write(out)
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
def test_what_stands_in_front(line: bytes, nodes: Sequence[str], text: bytes) -> None:
    assert grouped([line]) == ([(nodes, [text])], [])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b":",
        b": text",
        b" node1: text",
        b"node1 : text",
        b"node1:text",
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
        # pdsh and clush: lines of the nodes mixed, as they come
        ([b"n1: a", b"n2: a", b"n1: b", b"n2: b"], [(["n1", "n2"], [b"a", b"b"])]),
        # clush -bL: a node set in front
        ([b"n[1-2]: a", b"n3: a", b"n[1-3]: b"], [(["n1", "n2", "n3"], [b"a", b"b"])]),
        # what one has told of equal lines of different nodes
        ([b"n1: a", b"n1: b", b"n2: b", b"n2: a"], [(["n1"], [b"a", b"b"]), (["n2"], [b"b", b"a"])]),
        ([b"n1: a", b"n2: a", b"n2: a"], [(["n1"], [b"a"]), (["n2"], [b"a", b"a"])]),
        ([b"n1:", b"n2: a"], [(["n1"], [b""]), (["n2"], [b"a"])]),
    ],
)
def test_output_of_others(lines: Sequence[bytes], groups: object) -> None:
    assert grouped(lines) == (groups, [])


texts = st.lists(st.sampled_from([b"a", b"b", b"", b"\xff\0"]), min_size=1, max_size=4)


@given(st.dictionaries(st.integers(1, 20).map("node{}".format), texts, min_size=1), st.randoms())
def test_nothing_is_lost_or_mixed_up(said: Mapping[str, Sequence[bytes]], dice: Random) -> None:
    """However the lines of the nodes are mixed, every node is in the group of just its own text."""
    order = [node for node, lines in said.items() for _ in lines]
    dice.shuffle(order)
    waiting = {node: iter(lines) for node, lines in said.items()}
    groups, strays = grouped(b"%b: %b" % (node.encode(), next(waiting[node])) for node in order)
    assert strays == []
    assert {node: tuple(lines) for nodes, lines in groups for node in nodes} == {n: tuple(s) for n, s in said.items()}
    assert len({tuple(lines) for _, lines in groups}) == len(groups)
    assert [len(nodes) for nodes, _ in groups] == sorted((len(nodes) for nodes, _ in groups), reverse=True)


@given(st.dictionaries(st.integers(1, 20).map("node{}".format), texts, min_size=1))
def test_what_is_printed_can_be_read_again(said: Mapping[str, Sequence[bytes]]) -> None:
    printed = written(b"%b: %b" % (node.encode(), line) for node, lines in said.items() for line in lines)
    found: dict[str, list[bytes]] = {}
    nodes: list[str] = []
    for line in printed.split(b"\n")[:-1]:
        if line and not line.startswith(b" "):
            nodes = unfold(line.removesuffix(b":").decode(), origin="test")
        else:
            for node in nodes:
                found.setdefault(node, []).append(line.removeprefix(b"    "))
    assert found == {node: list(lines) for node, lines in said.items()}


def test_equal_texts_are_held_once() -> None:
    """A hundred times as many nodes with the same text take nothing like a hundred times as much."""
    peaks = []
    for count in (10, 1000):
        tracemalloc.start()
        told = Aggregate()
        for number in range(100):
            for node in range(count):
                told.feed(b"node%d: %d %b" % (node, number, b"x" * 1000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(told.groups()) == 1
    assert peaks[1] - peaks[0] < 1_000_000  # for 990 nodes, each of which has said 100,000 bytes
