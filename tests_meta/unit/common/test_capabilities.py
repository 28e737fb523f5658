"""Capabilities as text: what getcap prints and people write has one form, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit import more_attributes as lines
from pytest_synctool.common.capabilities import canonical, is_settable

FORMS = {
    "cap_net_raw=ep": "cap_net_raw=ep",
    "cap_net_raw+ep": "cap_net_raw=ep",
    "CAP_NET_RAW=pe": "cap_net_raw=ep",
    "cap_net_raw,cap_chown=ep": "cap_chown,cap_net_raw=ep",
    "cap_net_raw=ep cap_chown=ep": "cap_chown,cap_net_raw=ep",
    "cap_net_raw=eip cap_net_raw-i": "cap_net_raw=ep",
    "cap_kill=p cap_net_raw=i": "cap_net_raw=i cap_kill=p",
    "cap_net_raw=": "none",
    "none": "none",
    "": "none",
    "=ep cap_net_raw-ep": canonical("all=ep cap_net_raw-ep"),
}
WORDS = st.sampled_from(["cap_net_raw", "cap_chown", "all", ",", "=", "+", "-", "e", "i", "p", " ", "none", "(", "x"])


@pytest.mark.parametrize("text", FORMS)
def test_one_form(text: str) -> None:
    assert canonical(text) == FORMS[text]


@pytest.mark.parametrize("text", ["cap_net_rw=ep", "cap_net_raw", "cap_net_raw:ep", "+ep", "cap_net_raw=x", "x" * 5000])
def test_what_is_none(text: str) -> None:
    assert canonical(text) is None


def test_effective_ones_are_all_or_none() -> None:
    assert is_settable("none")
    assert is_settable("cap_kill=ep cap_net_raw=ei")
    assert not is_settable("cap_kill=p cap_net_raw=ep")


@given(st.lists(WORDS).map("".join) | st.text())
def test_the_one_form_is_its_own(text: str) -> None:
    form = canonical(text)
    assert form is None or canonical(form) == form


@given(st.binary())
def test_any_line_of_a_node_is_read(line: bytes) -> None:
    match = lines.LINE.fullmatch(b"3:" + line)
    if match is not None:
        has, reason = lines.parse(match, "getcap", canonical)
        assert (has is None) == bool(reason)
        assert reason.isprintable()
