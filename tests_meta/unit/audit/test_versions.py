"""The versions of a path over many nodes: who has the same, in which order, and in which words."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.compare import compare
from pytest_synctool.audit.versions import differ_in_contents, in_words, versions
from pytest_synctool.model import ABSENT, Absent, FileState, Kind, Unknown

from tests_meta.unit.audit.test_compare import states
from tests_meta.unit.helpers import state

OTHER = state(md5="1" * 32)


def lines(*found: FileState | Absent | Unknown, hides_targets: bool = False) -> list[str]:
    """The lines about nodes n1, n2, ... with these states."""
    of_nodes = [(f"n{number}", each) for number, each in enumerate(found, 1)]
    return in_words(versions(of_nodes), hides_targets=hides_targets)


def test_most_nodes_first_and_unknown_last() -> None:
    down = Unknown("unreachable: Connection refused")
    assert lines(down, OTHER, state(), ABSENT, state(), down, down, ABSENT) == [
        "n[3,5]: file, owner root, group root, mode 0644, 3 bytes, contents 1 (2 nodes)",
        "n[4,8]: missing (2 nodes)",
        "n2: file, owner root, group root, mode 0644, 3 bytes, contents 2",
        "n[1,6-7]: unknown: unreachable: Connection refused (3 nodes)",
    ]


def test_words_of_other_types() -> None:
    link = state(Kind.LINK, target=b"a\nb", owner=None)
    assert lines(link, state(Kind.DIRECTORY), state(Kind.OTHER, mode=0o4711), state(size=1)) == [
        "n1: symbolic link, owner 0, group root, target a\\nb",
        "n2: directory, owner root, group root, mode 0644",
        "n3: special file, owner root, group root, mode 4711",
        "n4: file, owner root, group root, mode 0644, 1 byte",
    ]
    assert lines(link, hides_targets=True) == ["n1: symbolic link, owner 0, group root, the target is not shown"]


def test_owner_and_mode_make_a_version_and_times_do_not() -> None:
    assert len(lines(state(), state(mode=0o600), state(uid=1, owner="daemon"))) == 3
    assert len(lines(state(Kind.DIRECTORY, size=1), state(Kind.DIRECTORY, size=4096))) == 1


def test_different_contents() -> None:
    first, second = versions([("a", state()), ("b", OTHER)])
    assert differ_in_contents(first, second)
    for other in (state(mode=0o600), state(Kind.LINK), ABSENT):
        assert not differ_in_contents(*versions([("a", state()), ("b", other)]))


@given(
    st.lists(
        states() | st.just(ABSENT) | st.builds(Unknown, st.sampled_from(["down", "Permission denied"])), max_size=12
    )
)
def test_every_node_is_in_one_version(found: list[FileState | Absent | Unknown]) -> None:
    names = [f"n{number}" for number in range(len(found))]
    grouped = versions(zip(names, found, strict=True))
    assert sorted(name for version in grouped for name in version.nodes) == sorted(names)
    sizes = [len(version.nodes) for version in grouped if not isinstance(version.state, Unknown)]
    assert sizes == sorted(sizes, reverse=True)
    for version in grouped:
        for name in version.nodes:
            actual, expected = found[int(name[1:])], version.state
            if isinstance(expected, FileState) and isinstance(actual, FileState):
                named = replace(expected, uid=actual.uid, gid=actual.gid)  # a name counts for more than its number
                assert compare(named, actual) == []
            else:
                assert actual == expected
    assert len(in_words(grouped, hides_targets=False)) == len(grouped)
    assert all(line.isprintable() for line in in_words(grouped, hides_targets=False))
