"""attributes.yaml written from a masterdir: its text, and its agreement with the sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.attributes import parse, rules, writer
from pytest_synctool.repository.attributes.writer import scan
from pytest_synctool.repository.candidates import split_extension
from pytest_synctool.repository.source import Source, Tree

from tests_meta.unit.helpers import ODD_NAMES, file_names, state
from tests_meta.unit.repository.test_attributes import VALIDATOR

PATH = Path("/master/attributes.yaml")
HEADER = """\
# Owner, group and mode of the sources in overlay/, for a repository that does not store them.
# Read from the file system. A rule with an exact name wins over a pattern, a later pattern over an earlier one.
"""

# Users and groups by number. No rule can have these by name: a name of digits, one with a colon, one of two numbers.
# 77 has no name.
ACCOUNTS = {0: "root", 1: "batch", 2: "1", 3: "a:b", 4: "domain users", 5: "twin", 6: "twin", 7: "-x", 8: "grüße"}
NUMBERS = {"root": 0, "batch": 1, "1": 2, "a:b": 3, "domain users": 4, "twin": 5, "-x": 7, "grüße": 8}


@contextmanager
def accounts() -> Iterator[None]:
    """Pretend that this machine has these users and groups."""
    number = NUMBERS.get
    with (
        patch.multiple(writer, user_id=number, group_id=number),
        patch.multiple(rules, user_id=number, group_id=number),
    ):
        yield


def owned(uid: int = 0, gid: int = 0, mode: int = 0o644, kind: Kind = Kind.FILE) -> FileState:
    """Return a state with the names of the numbers on this machine."""
    return state(kind, mode=mode, uid=uid, gid=gid, owner=ACCOUNTS.get(uid), group=ACCOUNTS.get(gid))


def source(name: bytes, actual: FileState, tree: Tree = Tree.OVERLAY) -> Source:
    """Return a source by its name below the tree."""
    destination = b"/" + b"/".join(split_extension(part)[0] for part in name.split(b"/"))
    return Source(tree, b"/master", tree.value.encode() + b"/" + name, destination, actual)


def written(*sources: Source) -> str:
    """Return the text of a scan without its header."""
    with accounts():
        text = scan(sources)
    assert text.startswith(HEADER)
    return text.removeprefix(HEADER)


def assert_round_trip(sources: list[Source]) -> None:
    """Assert that the rules of a scan restore the state of every source."""
    with accounts():
        text = scan(reversed(sources))
        assert text == scan(sources)
        rules = parse(text, PATH, ())
        for each in sources:
            if is_utf8(each.relative):
                attributes = rules.decide(each, ("n1", "g", "all"))
                assert attributes is not None
                assert attributes.applied(state(each.state.kind, uid=99, gid=99, mode=0o777)) == by_rule(each.state)
    VALIDATOR.validate(yaml.safe_load(text))


def by_rule(actual: FileState) -> FileState:
    """Return a state without the names of accounts that a rule can only give by number."""
    names = {number: ACCOUNTS[number] for number in (0, 1, 4, 5, 8)}
    return replace(actual, owner=names.get(actual.uid), group=names.get(actual.gid))


def is_utf8(name: bytes) -> bool:
    return name.decode("utf-8", "replace").encode("utf-8") == name


def test_an_empty_tree() -> None:
    text = written(source(b"tmp/x._all", owned(), Tree.DELETE), source(b"t", owned(), Tree.TASKS))
    assert text == "[]\n"
    assert parse(HEADER + text, PATH, ()).rules == ()
    assert scan([]) == HEADER + "[]\n"


def test_a_tree() -> None:
    assert (
        written(
            source(b"srv", owned(mode=0o755, kind=Kind.DIRECTORY)),
            source(b"etc", owned(mode=0o755, kind=Kind.DIRECTORY)),
            source(b"etc/motd._all", owned()),
            source(b"etc/motd._n1", owned()),
            source(b"etc/link._all", owned(1, 1, kind=Kind.LINK, mode=0o777)),
            source(b"etc/shadow._all", owned(0, 4, 0o4640)),
            source(b"srv/batch", owned(1, 1, 0o2755, Kind.DIRECTORY)),
            source(b"srv/77._all", owned(77, 1)),
            source(b"etc/old._all", owned(), Tree.DELETE),
        )
        == """\
- path: /**
  owner: root
  group: root
- group: domain users
  path:
  - /etc/shadow
- owner: '77'
  group: batch
  path:
  - /srv/77
- owner: batch
  group: batch
  path:
  - /etc/link
  - /srv/batch
- mode: '0644'
  path:
  - /etc/motd
  - /srv/77
- mode: '0755'
  path:
  - /etc
  - /srv
- mode: '2755'
  path:
  - /srv/batch
- mode: '4640'
  path:
  - /etc/shadow
"""
    )


def test_sources_of_one_destination_that_differ() -> None:
    """They have rules of their own for the attributes that differ. The most common value needs no rule."""
    assert (
        written(
            source(b"f._all", owned()),
            source(b"f._n1", owned(1, 0, 0o600)),
            source(b"f._n2", owned(1, 0, 0o600)),
            source(b"g._all", owned(0, 1)),
            source(b"g._n1", owned(0, 1)),
            source(b"h._all", owned()),
            source(b"l._all", owned()),
            source(b"l._n1", owned(kind=Kind.LINK, mode=0o777)),
        )
        == """\
- path: /**
  owner: root
  group: root
- group: batch
  path:
  - /g
- owner: batch
  source:
  - overlay/f._n1
  - overlay/f._n2
- mode: '0644'
  path:
  - /g
  - /h
  - /l
- mode: '0600'
  source:
  - overlay/f._n1
  - overlay/f._n2
- mode: '0644'
  source:
  - overlay/f._all
"""
    )


def test_characters_of_patterns_in_names_are_escaped() -> None:
    tree = [source(b"a*b?[c]._all", owned(1)), source(b"aXbYc._all", owned()), source(b"z._all", owned())]
    assert "- owner: batch\n  path:\n  - /a[*]b[?][[]c]\n" in written(*tree)
    assert_round_trip(tree)


def test_names_that_are_not_utf_8_are_left_out() -> None:
    bad = owned(1, 1, 0o600)
    assert (
        written(
            source(b"\xff\n._all", bad),
            source(b"f._all", owned()),
            source(b"f._\xfe", bad),
            source(b"l\xff._all", owned(kind=Kind.LINK)),
            source(b"z._all", owned()),
            source(b"z._\xfe", owned()),
        )
        == """\
# left out, the name is not UTF-8: /\\xff\\n
# left out, the name is not UTF-8: overlay/f._\\xfe
- path: /**
  owner: root
  group: root
- mode: '0644'
  path:
  - /z
- mode: '0644'
  source:
  - overlay/f._all
"""
    )


def test_one_more_file_is_one_more_line() -> None:
    tree = [source(b"f%d._all" % n, owned(mode=0o600 if n % 3 else 0o644)) for n in range(30)]
    before, after = written(*tree).split("\n"), written(*tree, source(b"f7b._all", owned())).split("\n")
    assert [line for line in after if line not in before] == ["  - /f7b"]
    assert len(after) == len(before) + 1


def test_long_and_odd_names_stay_on_one_line() -> None:
    name = b" word" * 50 + b": # x"
    assert b"  - '/" + name + b"'\n" in written(source(name + b"._all", owned())).encode()


@pytest.mark.parametrize("uid", [*ACCOUNTS, 77, 2**32 - 2])
def test_every_owner_and_group_comes_back(uid: int) -> None:
    assert_round_trip([source(b"f._all", owned(uid)), source(b"g._all", owned()), source(b"h._all", owned(0, uid))])


def test_odd_names_come_back() -> None:
    names = [*ODD_NAMES, *(f"line{character}end".encode() for character in "\x85\u2028\u2029\ufeff\ufffe")]
    assert_round_trip([source(name + b"._all", owned(n % 9, n % 4, n)) for n, name in enumerate(names)])


_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n/"), min_size=1, max_size=6)
_parts = st.one_of(
    st.sampled_from([b"a", b"b", b"a*", b"[a]", b"?", b"**", b"[", b"]", b"null", b"yes", b"\xff"]),
    _texts.map(lambda text: text.encode()),
    file_names,
)
_paths = st.lists(_parts, min_size=1, max_size=3).map(b"/".join)
_numbers = st.sampled_from([*ACCOUNTS, 77])
_states = st.builds(owned, _numbers, _numbers, st.sampled_from([0o644, 0o755, 0o600, 0, 0o7777]))
_directories = _states.map(lambda s: owned(s.uid, s.gid, s.mode, Kind.DIRECTORY))
_links = _states.map(lambda s: owned(s.uid, s.gid, 0o777, Kind.LINK))
_names = st.builds(lambda path, ext: path + ext, _paths, st.sampled_from([b"._all", b"._n1", b"._g", b""]))


@given(
    st.lists(
        st.builds(source, _names, _states | _directories | _links), max_size=12, unique_by=lambda each: each.relative
    )
)
def test_every_tree_comes_back(sources: list[Source]) -> None:
    # The walk refuses names that are empty, `.` or `..` without their extension.
    assert_round_trip([s for s in sources if not {b"", b".", b".."} & set(s.destination[1:].split(b"/"))])
