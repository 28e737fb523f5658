"""ACLs as text: what getfacl prints and people write has one form, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.acl import canonical, of_node, whole

WORDS = st.sampled_from(
    ["user", "u", "group", "g", "mask", "other", ":", ",", "anna", "r", "w-", "rwx", "---", " ", "none"]
)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("u:anna:rw", "user:anna:rw-"),
        (" user:b:x, g:adm:r-- ", "group:adm:r--,user:b:--x"),
        ("none", "none"),
        ("", "none"),
        ("user::rw", None),
        ("u:a:r,user:a:w", None),
        ("mask::r", None),
        ("default:user:a:r", None),
        ("u:a:wr", None),
    ],
)
def test_one_form(text: str, form: str | None) -> None:
    assert canonical(text) == form


def test_what_a_node_prints() -> None:
    assert of_node("user::rw-,user:anna:rw-,group::r--,mask::r--,other::---,") == "user:anna:rw-"
    assert of_node("user::rw-,group::r--,other::---,") == "none"
    assert of_node("") is None
    assert of_node("getfacl: /f: No such file or directory,") is None


def test_all_entries_of_a_mode() -> None:
    assert whole("user:anna:rw-", 0o4640) == "user::rw-,group::r--,mask::r--,other::---,user:anna:rw-"
    assert whole("none", 0o755) == "user::rwx,group::r-x,other::r-x"


@given(st.lists(WORDS).map("".join) | st.text())
def test_the_one_form_is_its_own(text: str) -> None:
    form = canonical(text)
    assert form is None or canonical(form) == form
    assert of_node(text) is None or canonical(str(of_node(text))) == of_node(text)
