"""Lines: a stream, cut at its newlines."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.dsh.clients import Lines


@given(st.lists(st.binary(max_size=5) | st.just(b"\n") | st.just(b"\r"), max_size=20))
def test_lines(pieces: Sequence[bytes]) -> None:
    """The lines do not depend on the pieces in which a stream arrives, and only newlines end them."""
    lines = Lines()
    complete = [line for piece in pieces for line in lines.feed(piece)]
    assert b"\n".join([*complete, lines.rest()]) == b"".join(pieces)
    assert not any(b"\n" in line for line in complete)
