"""Expected against actual state: every difference is told, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.compare import compare, compare_absent
from pytest_synctool.model import ABSENT, Change, FileState, Kind

from tests_meta.unit.helpers import state

_ids = st.integers(0, 3)
_user_names = st.sampled_from([None, "root", "alice", "bob"])
_modes = st.integers(0, 0o7777)


def states(kinds: st.SearchStrategy[Kind] | None = None) -> st.SearchStrategy[FileState]:
    """States as a probe or a walk makes them: a digest for files, a target for links."""

    def of_kind(kind: Kind) -> st.SearchStrategy[FileState]:
        return st.builds(
            FileState,
            kind=st.just(kind),
            mode=_modes,
            size=st.integers(0, 3),
            uid=_ids,
            gid=_ids,
            owner=_user_names,
            group=_user_names,
            md5=st.sampled_from(["0" * 32, "f" * 32]) if kind is Kind.FILE else st.none(),
            target=st.sampled_from([b"a", b"b"]) if kind is Kind.LINK else st.none(),
        )

    return (kinds or st.sampled_from(Kind)).flatmap(of_kind)


@given(found=states())
def test_equal_states_have_no_difference(found: FileState) -> None:
    assert compare(found, found) == []


@given(expected=states())
def test_nothing_there_is_one_difference(expected: FileState) -> None:
    assert compare(expected, ABSENT) == [Change("missing", expected.kind.value, "nothing")]


@given(expected=states(), actual=states())
def test_nothing_else_is_compared_where_the_type_differs(expected: FileState, actual: FileState) -> None:
    changes = compare(expected, actual)
    if expected.kind is not actual.kind:
        assert changes == [Change("type", expected.kind.value, actual.kind.value)]
    else:
        assert "type" not in [change.what for change in changes]


@given(expected=states(), actual=states())
def test_what_differs_is_what_is_told(expected: FileState, actual: FileState) -> None:
    """Against the rules written down once more, one condition for each difference."""
    if expected.kind is not actual.kind:
        return
    kind = expected.kind
    by_number = {
        "owner": None in (expected.owner, actual.owner),
        "group": None in (expected.group, actual.group),
    }
    differs = {
        "link target": kind is Kind.LINK and expected.target != actual.target,
        "file size": kind is Kind.FILE and expected.size != actual.size,
        "MD5": kind is Kind.FILE and expected.size == actual.size and expected.md5 != actual.md5,
        "owner": expected.uid != actual.uid if by_number["owner"] else expected.owner != actual.owner,
        "group": expected.gid != actual.gid if by_number["group"] else expected.group != actual.group,
        "mode": kind is not Kind.LINK and expected.mode != actual.mode,
    }
    assert [change.what for change in compare(expected, actual)] == [what for what, yes in differs.items() if yes]


@pytest.mark.parametrize(
    ("expected", "fields", "change"),
    [
        (state(), {"size": 4}, Change("file size", "3 bytes", "4 bytes")),
        (state(), {"size": 4, "md5": None}, Change("file size", "3 bytes", "4 bytes")),
        (state(), {"md5": "f" * 32}, Change("MD5", "0" * 32, "f" * 32)),
        (state(Kind.LINK), {"target": b"\xff\x1b"}, Change("link target", "target", "\\xff\\x1b")),
        (state(), {"owner": "alice"}, Change("owner", "root", "alice")),
        (state(), {"group": "adm"}, Change("group", "root", "adm")),
        (state(Kind.LINK), {"owner": "alice"}, Change("owner", "root", "alice")),
        (state(), {"mode": 0o4644}, Change("mode", "0644", "4644")),
        (state(), {"mode": 0}, Change("mode", "0644", "0000")),
        (state(Kind.DIRECTORY, mode=0o755), {"mode": 0o2755}, Change("mode", "0755", "2755")),
        (state(), {"kind": Kind.LINK, "target": b"x"}, Change("type", "file", "symbolic link")),
        (state(Kind.DIRECTORY), {"kind": Kind.OTHER}, Change("type", "directory", "special file")),
    ],
)
def test_one_field_that_differs_is_one_change(expected: FileState, fields: dict[str, object], change: Change) -> None:
    """Documentation: "updated (file size mismatch)"; MD5 "should the file size be the same"."""
    assert compare(expected, replace(expected, **fields)) == [change]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Kind.DIRECTORY, {"size": 4096}),
        (Kind.LINK, {"size": 99}),
        (Kind.LINK, {"mode": 0o755}),
        (Kind.FILE, {"uid": 7}),
        (Kind.FILE, {"gid": 7}),
        (Kind.FILE, {"owner": None}),
        (Kind.FILE, {"group": None}),
    ],
)
def test_what_does_not_matter(kind: Kind, fields: dict[str, object]) -> None:
    """The size of directories, the mode of links, the number behind a name that both sides know."""
    assert compare(state(kind), replace(state(kind), **fields)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected_name", "actual_name", "actual_uid", "change"),
    [
        ("alice", None, 5, None),
        ("alice", None, 6, Change("owner", "alice", "6")),
        (None, "bob", 5, None),
        (None, "bob", 6, Change("owner", "5", "bob")),
        (None, None, 6, Change("owner", "5", "6")),
        ("alice", "alice", 6, None),
        ("alice", "bob", 5, Change("owner", "alice", "bob")),
    ],
)
def test_owners_by_name_or_by_number_where_a_name_is_unknown(
    expected_name: str | None, actual_name: str | None, actual_uid: int, change: Change | None
) -> None:
    expected = state(uid=5, owner=expected_name)
    actual = state(uid=actual_uid, owner=actual_name)
    assert compare(expected, actual) == ([] if change is None else [change])
    group_change = None if change is None else replace(change, what="group")
    expected = state(gid=5, group=expected_name)
    actual = state(gid=actual_uid, group=actual_name)
    assert compare(expected, actual) == ([] if group_change is None else [group_change])


def test_changes_are_text_whatever_names_the_node_has() -> None:
    """They travel between processes and end in XML, which hold no lone surrogates and no control characters."""
    for name in ("\udcff", "\x1b[1m"):
        for changes in (
            compare(state(owner=name, group=name), state()),
            compare(state(), state(owner=name, group=name)),
        ):
            assert [change.what for change in changes] == ["owner", "group"]
            assert all((change.expected + change.found).isprintable() for change in changes)


def test_several_differences_are_told_together_content_first() -> None:
    found = compare(state(), state(size=9, owner="alice", group="adm", mode=0o600))
    assert [change.what for change in found] == ["file size", "owner", "group", "mode"]


def test_what_must_not_exist() -> None:
    """Documentation: "files that always have to be deleted", whatever they are."""
    assert compare_absent(ABSENT) == []
    assert compare_absent(state()) == [Change("must not exist", "nothing", "file")]
    assert compare_absent(state(Kind.LINK)) == [Change("must not exist", "nothing", "symbolic link")]
    assert compare_absent(state(Kind.OTHER)) == [Change("must not exist", "nothing", "special file")]
    (change,) = compare_absent(state(Kind.DIRECTORY))
    assert (change.what, change.found) == ("must not exist", "directory (directories are never deleted)")
