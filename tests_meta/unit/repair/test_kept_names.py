"""Names of old versions."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from pytest_synctool.repair.kept_names import LONGEST_NAME, kept_name, naming

names = st.binary(min_size=1, max_size=LONGEST_NAME) | st.text(max_size=90).map(str.encode)


def is_utf8(name: bytes) -> bool:
    """Whether a name is UTF-8."""
    return name.decode(errors="ignore").encode() == name


@given(names, names)
@example(b"x" * 249, b"x" * 250)
@example(b"x" * 254, b"x" * 255)
@example("日".encode() * 85, b"\xff" * 255)
def test_names_of_old_versions(one: bytes, other: bytes) -> None:
    """Each has room, is the same every time, and belongs to one name alone; a character stays whole."""
    for name in (one, other):
        kept = kept_name(name)
        assert len(kept) <= LONGEST_NAME
        assert kept.endswith(b".saved")
        assert kept == name + b".saved" or len(name) > LONGEST_NAME - 6
        assert list(naming([name])) == [] or len(name) > LONGEST_NAME - 6
        assert is_utf8(kept) or not is_utf8(name)
    assert (kept_name(one) == kept_name(other)) is (one == other)
