"""Destinations as parts of node ids: a round trip, and fit for pytest, JSON and XML."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from _pytest.junitxml import mangle_test_address
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_synctool.common.wording import printable
from pytest_synctool.report.node_test_ids import shown_destination
from pytest_synctool.report.nodeids import decode, encode

from tests_meta.unit.helpers import ODD_NAMES

_pieces = st.sampled_from([b":", b"::", b"%", b"%3A", b"[", b"]", b"/", b" ", b"\\", "ü".encode(), b"\xff", b"\x00"])
destinations = (st.lists(_pieces | st.binary(max_size=4), max_size=12).map(b"".join) | st.binary(max_size=60)).map(
    lambda tail: b"/" + tail
)


@given(path=destinations)
@example(path=b"/a:::b::::c:")
@example(path=b"/%5B[%%")
@example(path="/\u2028\u00a0\u00ad\ufeff\u0085".encode())
def test_round_trip(path: bytes) -> None:
    part = encode(path)
    assert decode(part) == path
    assert part.encode("utf-8").decode("utf-8") == part
    assert part.isprintable()
    assert "::" not in part
    assert "[" not in part
    assert shown_destination(f"suite/test_x.py::node1::{part}") == printable(path)


@given(one=destinations, other=destinations)
def test_different_destinations_have_different_ids(one: bytes, other: bytes) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@given(path=destinations)
def test_ids_pass_through_pytest_json_and_xml(path: bytes) -> None:
    """The cache of --lf is JSON; the junit writer splits an id into class name and name."""
    nodeid = f"suite/test_x.py::node1::{encode(path)}"
    assert json.loads(json.dumps(nodeid)) == nodeid
    assert mangle_test_address(nodeid) == ["suite.test_x", "node1", encode(path)]
    element = ElementTree.Element("testcase", name=encode(path))
    assert ElementTree.fromstring(ElementTree.tostring(element)).get("name") == encode(path)


@pytest.mark.parametrize("path", [b"/etc/ntp.conf", b"/a b/c:d", "/grüße".encode(), b'/it\'s-"$HOME"\\x'])
def test_ordinary_names_stay_readable(path: bytes) -> None:
    assert encode(path) == path.decode()


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (b"/a[1]", "/a%5B1]"),
        (b"/a::b", "/a%3A%3Ab"),
        (b"/100%", "/100%25"),
        (b"/tab\t", "/tab%09"),
        (b"/\xff", "/%FF"),
        ("/ü\x00".encode(), "/ü%00"),
    ],
)
def test_special_characters_are_percent_encoded(path: bytes, part: str) -> None:
    assert encode(path) == part


@pytest.mark.parametrize("name", ODD_NAMES, ids=printable)
def test_odd_names(name: bytes) -> None:
    assert decode(encode(b"/" + name)) == b"/" + name
