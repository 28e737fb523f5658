"""Directories that may have nothing else: what a node's shell lists in them, and what becomes of any answer."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit import listing
from pytest_synctool.audit.listing import MOST_ROGUE, Listed, Listing, NotListed, Silent, TooMany
from pytest_synctool.audit.probe import Request, parse, script
from pytest_synctool.common.shell import argument_size, whole
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import Kind

from tests_meta.unit.helpers import Shell

ODD: dict[bytes, Kind] = {
    b"plain": Kind.FILE,
    b"-rf": Kind.FILE,
    b"*": Kind.FILE,
    b".[!.]*": Kind.FILE,
    b"..?*": Kind.DIRECTORY,
    b"...": Kind.FILE,
    b"..": Kind.DIRECTORY,  # always there, and never listed
    b".hidden": Kind.DIRECTORY,
    b" ": Kind.FILE,
    b"a\nb": Kind.FILE,
    b"\n": Kind.LINK,
    b"x\nl:0:0": Kind.FILE,
    b"x\nsynctool-probe-end\ny": Kind.FILE,
    b"\xff\xfe": Kind.OTHER,
    b"$(touch x)`'\"\\": Kind.FILE,
    b"l" * 255: Kind.FILE,
    b"link": Kind.LINK,
}


def ask(shell: Shell, listings: Sequence[Listing], path: Path) -> dict[bytes, Listed]:
    """Return what a node with this shell answers; the states in the same answer are not disturbed."""
    requests = [Request(os.fsencode(path))]
    answer = shell.run(whole(script(requests, listings=listings))).stdout
    assert len(answer) <= listing.largest_answer(listings) + 1000
    assert list(parse(requests, answer)) == [os.fsencode(path)]
    return listing.parse(listings, answer)


def make(path: Path) -> dict[bytes, Kind]:
    """Put all odd names into a directory; return them."""
    for name, kind in ODD.items():
        place = os.path.join(os.fsencode(path), name)
        if kind is Kind.FILE:
            Path(os.fsdecode(place)).write_bytes(b"")
        elif kind is Kind.DIRECTORY and name != b"..":
            Path(os.fsdecode(place)).mkdir()
        elif kind is Kind.LINK:
            Path(os.fsdecode(place)).symlink_to("/nowhere" if name == b"link" else ".")
        elif kind is Kind.OTHER:
            os.mknod(place, stat.S_IFIFO | 0o600)
    return {name: kind for name, kind in ODD.items() if name != b".."}


def test_a_shell_lists_every_name(shell: Shell, tmp_path: Path) -> None:
    """Any name is listed with its kind, also the only one that looks like a pattern; nothing is entered by a link."""
    odd, empty, star, link = (tmp_path / name for name in ("odd", "empty", "star", "link"))
    for each in (odd, empty, star):
        each.mkdir()
    names = make(odd)
    (star / "*").touch()
    link.symlink_to(odd)
    places = [os.fsencode(each) for each in (odd, empty, star, link, tmp_path / "gone", link / "..?*")]
    assert ask(shell, [Listing(tuple(places), 0)], tmp_path) == {
        places[0]: names,
        places[1]: {},
        places[2]: {b"*": Kind.FILE},
        **dict.fromkeys(places[3:], NotListed.NOT_ENTERED),
    }


def test_an_answer_is_bounded(shell: Shell, tmp_path: Path) -> None:
    """Of a directory with too many names only their number comes; of a tree all together at most so many."""
    full, half, last = (tmp_path / name for name in ("full", "half", "last"))
    for directory, count in ((full, 5000), (half, 600), (last, 401)):
        directory.mkdir()
        for number in range(count):
            (directory / f"{number}").touch()
    paths = [os.fsencode(each) for each in (full, half, last)]
    assert ask(shell, [Listing((paths[0], paths[1]), 3)], tmp_path) == {paths[0]: TooMany(5000)}
    tree = ask(shell, [Listing((paths[1], paths[2]), 0), Listing((paths[1],), 0)], tmp_path)
    assert tree[paths[2]] == TooMany(401)
    assert len(ask(shell, [Listing((paths[1], paths[2]), 1)], tmp_path)[paths[2]]) == 401  # type: ignore[arg-type]


def test_a_cut_answer() -> None:
    """A directory whose names did not all come is not known, and the one that took too long is named."""
    listings = [Listing((b"/a", b"/b"), 0), Listing((b"/c",), 0)]
    answer = b"e:f:x\ne:f:y\nl:0:3\ne:f:cut\nl:0:-10\ne:d:z\nl:2:1"
    assert listing.parse(listings, answer) == {b"/a": Silent(10), b"/c": {b"z": Kind.DIRECTORY}}
    assert listing.parse(listings, b"e:f:x\ne:f:x\nl:0:2") == {b"/a": NotListed.NOT_ENTERED}
    assert listing.parse(listings, b"l:0:+100000\nl:99:0\nl:1:?") == {
        b"/a": TooMany(100000),
        b"/b": NotListed.NOT_ENTERED,
    }


@pytest.mark.parametrize(
    "line", ["e:x:y", "e:f:", "e:f:..", "e:f:.", "e:f:" + "n" * 256, "e:f:\0", "l:0", "l:0:-", "l:x:1"]
)
def test_a_malformed_line(line: str) -> None:
    """No node answers so."""
    with pytest.raises(RemoteError, match="cannot parse a line"):
        listing.parse([Listing((b"/a",), 0)], line.encode())


_lines = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.builds(
            lambda kind, name: b"e:%s:%s" % (kind, name), st.sampled_from([b"f", b"d", b"q"]), st.binary(max_size=9)
        ),
        st.builds(
            lambda number, end: b"l:%d:%s" % (number, end),
            st.integers(0, 3),
            st.sampled_from([b"0", b"1", b"+9", b"?", b"-2", b"x"]),
        ),
    )
)


@given(_lines)
def test_any_answer(lines: list[bytes]) -> None:
    """Any answer is parsed, or refused as an error of that node; only counted names count."""
    listings = [Listing((b"/a", b"/b"), 0)]
    try:
        listed = listing.parse(listings, b"\n".join(lines))
    except RemoteError:
        return
    assert listed.keys() <= {b"/a", b"/b"}
    for names in listed.values():
        assert not isinstance(names, dict) or all(b"/" not in name and name for name in names)


@given(st.lists(st.integers(1, 5), max_size=5), st.integers(1, 400))
def test_split(sizes: list[int], limit: int) -> None:
    """Each directory is in one part, and no part has more than one directory above the limit."""
    listings = [Listing(tuple(b"/%d/%d" % (n, m) for m in range(size)), 7) for n, size in enumerate(sizes)]
    parts = list(listing.split(listings, limit))
    assert [d for part in parts for each in part for d in each.directories] == [
        d for each in listings for d in each.directories
    ]
    assert all(each.directories and each.most == 7 + MOST_ROGUE for part in parts for each in part)
    for part in parts:
        size = argument_size(b"\n".join(listing.commands(part, 5)))
        assert size <= limit or sum(len(each.directories) for each in part) == 1
