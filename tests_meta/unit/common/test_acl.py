"""ACLs as text: what getfacl prints and people write has one form, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.acl import canonical, of_mode, of_node, whole

WORDS = st.sampled_from(
    [
        "user",
        "u",
        "group",
        "g",
        "mask",
        "other",
        "default:",
        "d:",
        "::",
        ":",
        ",",
        "anna",
        "r",
        "w-",
        "rwx",
        "---",
        " ",
        "none",
    ]
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
        ("group::r,u:a:rw", "group::r--,user:a:rw-"),
        ("other::r", None),
        (
            "d:user:a:r,default:g::x,d:m::,d:o::r",
            "default:group::--x,default:mask::---,default:other::r--,default:user:a:r--",
        ),
        ("default:user:a:r,u:a:r", "user:a:r--,default:user:a:r--"),
        ("default:user:a:r,d:u:a:r", None),
        ("d:d:user:a:r", None),
        ("mask:a:r", None),
        ("u:a:wr", None),
    ],
)
def test_one_form(text: str, form: str | None) -> None:
    assert canonical(text) == form


def test_what_a_node_prints() -> None:
    assert of_node("user::rw-,user:anna:rw-,group::r--,mask::r--,other::---,") == "user:anna:rw-"
    assert of_node("user::rw-,group::r--,other::---,") == "none"
    assert of_node("user::rw-,group::r--,mask::rw-,other::---,") == "group::r--"
    assert of_node("user::rw-,group::rw-,mask::r--,other::---,") == "group::rw-"
    assert of_node("user::rwx,group::r-x,other::---,default:user::rwx,default:group::---,default:other::---") == (
        "default:group::---,default:other::---,default:user::rwx"
    )
    assert of_node("user::rw-,group::r--,") is None
    assert of_node("") is None
    assert of_node("getfacl: /f: No such file or directory,") is None


def test_all_entries_of_a_mode() -> None:
    assert whole("user:anna:rw-", 0o4640) == "user::rw-,group::r--,mask::r--,other::---,user:anna:rw-"
    assert whole("none", 0o755) == "user::rwx,group::r-x,other::r-x"
    assert whole("group::r--", 0o660) == "user::rw-,group::r--,mask::rw-,other::---"
    assert whole("default:group::---,default:user::rwx", 0o750) == (
        "user::rwx,group::r-x,other::---,default:group::---,default:user::rwx"
    )


@pytest.mark.parametrize(
    ("text", "mode", "form"),
    [
        ("group::r--,user:a:rw-", 0o640, "user:a:rw-"),  # as the mode says
        ("group::r--,user:a:rw-", 0o660, "group::r--,user:a:rw-"),
        ("group::r--", 0o644, "none"),
        ("default:user:a:rwx", 0o750, "default:group::r-x,default:mask::rwx,default:other::---,default:user::rwx,"
         "default:user:a:rwx"),
        ("group::---,default:other::r-x", 0o750, "group::---,default:group::---,default:other::r-x,default:user::rwx"),
        ("default:group:a:r--,default:mask::---", 0o700, "default:group::---,default:group:a:r--,default:mask::---,"
         "default:other::---,default:user::rwx"),
    ],
)  # fmt: skip
def test_what_a_mode_makes_of_a_rule(text: str, mode: int, form: str) -> None:
    """A file has no default entries; those of a directory are as setfacl would complete them."""
    assert of_mode(text, mode, is_directory=True) == form
    own = ",".join(word for word in form.split(",") if not word.startswith("default:"))
    assert of_mode(text, mode, is_directory=False) == (own or "none")


@given(st.lists(WORDS).map("".join) | st.text())
def test_the_one_form_is_its_own(text: str) -> None:
    form = canonical(text)
    assert form is None or canonical(form) == form
    assert of_node(text) is None or canonical(str(of_node(text))) == of_node(text)
