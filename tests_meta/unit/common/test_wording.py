"""Texts for people."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.wording import LONGEST_NODE_TEXT, node_text, printable


@given(st.binary(max_size=50))
def test_a_short_text_of_a_node_is_printable(text: bytes) -> None:
    assert node_text(text) == printable(text)


@given(st.binary(min_size=21, max_size=60))
def test_a_long_text_of_a_node_is_cut(text: bytes) -> None:
    assert node_text(text, 20) == f"{printable(text[:20])}... ({len(text)} bytes)"


def test_a_huge_text_of_a_node() -> None:
    assert len(node_text(b"\xff" * 5_000_000)) < 5 * LONGEST_NODE_TEXT
