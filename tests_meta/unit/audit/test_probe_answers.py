"""What is made of a probe's answer, whole or not; and how a probe is taken apart for narrow connections."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.probe import Request, parse, script, split
from pytest_synctool.common.shell import ascii_command, whole
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, FileState, Kind, Unknown

from tests_meta.unit.helpers import ODD_NAMES, Shell, lstat_state

MD5 = b"0123456789abcdef0123456789abcdef"


def answer(*lines: bytes) -> bytes:
    """A whole answer."""
    return b"\n".join((b"synctool-probe", *lines, b"synctool-probe-end", b""))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [b"s:81a4:3:0:1:root:daemon:/a", MD5 + b"  /a"],
            FileState(Kind.FILE, 0o644, 3, 0, 1, "root", "daemon", MD5.decode()),
        ),
        (
            [b"s:89ed:9:7:8:UNKNOWN:UNKNOWN:/a"],
            FileState(Kind.FILE, 0o4755, 9, 7, 8),
        ),
        (
            [b"s:a1ff:1:0:0:root:root:/a", b"l:/a", b"t:x: y"],
            FileState(Kind.LINK, 0o777, 1, 0, 0, "root", "root", None, b"x: y"),
        ),
        ([b"s:a1ff:1:0:0:root:root:/a"], Unknown("changed while it was looked at")),
        ([b"s:a1ff:1:0:0:root:root:/a", b"u:/a"], Unknown("its link target cannot be read")),
        ([b"s:81a4:3:0:0:root:root:/a"], Unknown("could not be read")),
        ([b"s:81a4:3:0:0:root:root:/a", b"md5sum: /a: Input/output error"], Unknown("Input/output error")),
        ([b"s:81a4:3:0:0:root:root:/a", b"md5sum: can't open '/a': Is odd"], Unknown("Is odd")),
        ([b"stat: cannot statx '/a': No such file or directory"], ABSENT),
        ([b"stat: cannot stat '/a': Not a directory"], ABSENT),
        ([b"stat: can't stat '/a': No such file or directory"], ABSENT),
        ([b"stat: cannot statx '/a': Permission denied"], Unknown("Permission denied")),
        ([b"stat: cannot statx '/a': Stale file handle"], Unknown("Stale file handle")),
        ([b"stat: cannot statx '/a': Input/output error"], Unknown("Input/output error")),
        ([], Unknown("changed while it was looked at")),
        ([b"sh: 1: stat: not found"], Unknown("changed while it was looked at (sh: 1: stat: not found)")),
        (
            [b"stat: cannot statx '/a': No such file or directory"] * 2,
            Unknown("changed while it was looked at"),
        ),
    ],
)
def test_answers(lines: list[bytes], expected: object) -> None:
    assert parse([Request(b"/a", 3)], answer(*lines)) == {b"/a": expected}


def test_complaints_belong_to_paths_in_their_order() -> None:
    requests = [Request(b"/a"), Request(b"/b"), Request(b"/c")]
    lines = [
        b"stat: cannot statx '/a': Permission denied",
        b"s:41ed:1:0:0:root:root:/b",
        b"stat: cannot statx '/c': No such file or directory",
    ]
    a, b, c = parse(requests, answer(*lines)).values()
    assert a == Unknown("Permission denied")
    assert isinstance(b, FileState)
    assert c is ABSENT
    # with one complaint lost nobody can say which path the other one is about
    assert [type(state) for state in parse(requests, answer(*lines[:2])).values()] == [Unknown, FileState, Unknown]


@pytest.mark.parametrize(
    "line",
    [
        b"s:",
        b"s:81a4:3:0:0:root:root",
        b"s:zz:3:0:0:root:root:/a",
        b"s:81a4:x:0:0:root:root:/a",
        b"s:81a4:3:a:0:root:root:/a",
        b"s:" + b"f" * 40 + b":3:0:0:root:root:/a",
    ],
)
def test_a_line_that_makes_no_sense_is_an_error(line: bytes) -> None:
    with pytest.raises(RemoteError):
        parse([Request(b"/a")], answer(line))


@pytest.mark.parametrize("text", [b"", b"\n", b"Permission denied", b"synctool-probe\n", b"synctool-probe-end\n"])
def test_no_answer_is_an_error(text: bytes) -> None:
    with pytest.raises(RemoteError, match="not whole"):
        parse([Request(b"/a")], text)


def test_the_error_quotes_the_last_word_of_the_node() -> None:
    with pytest.raises(RemoteError, match=r"This account is \\x1b\[1mclosed$"):
        parse([], b"Welcome\nThis account is \x1b[1mclosed\n")


@pytest.fixture
def told(shell: Shell, tmp_path: Path) -> tuple[list[Request], bytes]:
    """A real answer about files with odd names."""
    for name in ODD_NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(b"abc")
    requests = [Request(os.path.join(os.fsencode(tmp_path), name), 3) for name in (*ODD_NAMES, b"gone")]
    return requests, shell.run(whole(script(requests))).stdout


def test_truncated_answers_are_errors(told: tuple[list[Request], bytes]) -> None:
    requests, text = told
    for cut in range(len(text) - 1):
        with pytest.raises(RemoteError):
            parse(requests, text[:cut])
    assert parse(requests, text[:-1]) == parse(requests, text)


def test_noise_of_a_login_does_not_matter(told: tuple[list[Request], bytes]) -> None:
    requests, text = told
    noise = b"Welcome!\ns:81a4:9:0:0:root:root:" + requests[0].path + b"\nt:x\nstat: can\nsynctool-probe \n"
    expected = {r.path: lstat_state(r.path, size=3) for r in requests}
    assert parse(requests, noise + text + b"logout\nstat: can\n") == expected


_lines = st.lists(
    st.sampled_from([b"s:", b"81a4:", b"3:", b"root:", b"l:", b"t:", b"/a", b"\n", MD5, b"  ", b"stat: can", b": "])
    | st.binary(max_size=6),
    max_size=20,
).map(b"".join)


@given(text=_lines)
def test_any_answer_is_understood_or_refused(text: bytes) -> None:
    requests = [Request(b"/a", 3), Request(b"/b")]
    try:
        found = parse(requests, answer(text))
    except RemoteError:
        return
    assert list(found) == [b"/a", b"/b"]


_paths = st.binary(min_size=1, max_size=300).map(lambda name: b"/" + name.replace(b"\n", b"x").replace(b"\0", b"y"))


@given(paths=st.lists(_paths, max_size=150, unique=True), limit=st.integers(5_000, 30_000), content=st.booleans())
def test_parts_stay_below_the_limit_and_hold_everything(paths: list[bytes], limit: int, content: bool) -> None:
    requests = [Request(path, 5 if content else None) for path in paths]
    parts = list(split(requests, limit))
    assert [request for part in parts for request in part] == requests
    assert all(parts)
    for part in parts:
        assert len(script(part)) <= limit
        assert len(ascii_command(script(part))) < 128 * 1024


def test_without_a_limit_there_is_one_part() -> None:
    requests = [Request(b"/%d" % n) for n in range(2000)]
    assert list(split(requests, None)) == [requests]


def test_a_path_longer_than_the_limit_is_a_part_of_its_own() -> None:
    requests = [Request(b"/a"), Request(b"/" + b"b" * 4000), Request(b"/c")]
    assert [request for part in split(requests, 100) for request in part] == requests


def test_parts_give_the_same_answer_as_the_whole(shell: Shell, tmp_path: Path) -> None:
    for n in range(60):
        (tmp_path / f"{n}").write_text("abc")
    requests = [Request(os.fsencode(tmp_path / f"{n}"), 3) for n in range(80)]
    found = {}
    parts = list(split(requests, 6_000))
    assert len(parts) > 1
    for part in parts:
        found.update(parse(part, shell.run(script(part)).stdout))
    assert found == {r.path: lstat_state(r.path, size=3) for r in requests}
