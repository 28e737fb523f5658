"""What restorecon -n prints is a label, or the path is unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.more_attributes import LABEL_LINE, parse_label
from pytest_synctool.model import NO_SELINUX, RIGHT_LABEL, SELinuxLabel


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"7-", (NO_SELINUX, "")),
        (b"7!", (None, "the node has no program restorecon, which attributes.yaml needs for it")),
        (b"7:0:", (RIGHT_LABEL, "")),
        (b"7:0: from u:r:tmp_t:s0 to u:r:etc_t:s0", (SELinuxLabel("u:r:tmp_t:s0", "u:r:etc_t:s0"), "")),
        (b"7:0: von u:r:a:s0-s0:c0.c9 nach u:r:b:s0", (SELinuxLabel("u:r:a:s0-s0:c0.c9", "u:r:b:s0"), "")),
        (b"7:0: context u:r:a:s0-s0:c0->u:r:b:s0", (SELinuxLabel("u:r:a:s0-s0:c0", "u:r:b:s0"), "")),
        (b"7:0: context u:r:a->u:r:b", (SELinuxLabel("u:r:a", "u:r:b"), "")),
        (b"7:0:Warning no default label for /x", (None, "restorecon -n says: Warning no default label for /x")),
        (b"7:1:", (None, "restorecon -n says: exit status 1")),
        (b"7:255: from u:r:a to u:r:b", (None, "restorecon -n says: from u:r:a to u:r:b")),
        (b"7:0: from u:r:a to u:r:a", (None, "restorecon -n says: from u:r:a to u:r:a")),
    ],
)  # fmt: skip
def test_what_restorecon_says(line: bytes, expected: tuple[SELinuxLabel | None, str]) -> None:
    match = LABEL_LINE.fullmatch(line)
    assert match is not None
    assert parse_label(match) == expected


@given(st.binary())
def test_whatever_it_says(text: bytes) -> None:
    match = LABEL_LINE.fullmatch(b"7:0:" + text.replace(b"\n", b""))
    assert match is not None
    label, reason = parse_label(match)
    assert (label is None) == bool(reason)
    assert reason.isprintable()
    assert label is None or "".join(label).isprintable()
