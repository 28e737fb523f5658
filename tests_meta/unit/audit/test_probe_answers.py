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
            [b"p:/a", b"s:81a4:0:3:1:root:daemon", MD5 + b"  /a"],
            FileState(Kind.FILE, 0o644, 3, 0, 1, "root", "daemon", MD5.decode()),
        ),
        (
            [b"p:/a", b"s:81a4:7:3:1:joe:daemon", b"m:" + MD5 + b":/a"],
            FileState(Kind.FILE, 0o644, 3, 7, 1, "joe", "daemon", MD5.decode()),
        ),
        (
            [b"p:/a", b"s:89ed:7:9:8:UNKNOWN:UNKNOWN"],
            FileState(Kind.FILE, 0o4755, 9, 7, 8),
        ),
        (
            [b"p:/a", b"s:a1ff:0:1:0:root:root", b"l:/a", b"t:x: y"],
            FileState(Kind.LINK, 0o777, 1, 0, 0, "root", "root", None, b"x: y"),
        ),
        ([b"p:/a", b"s:a1ff:0:1:0:root:root"], Unknown("changed while it was looked at")),
        ([b"p:/a", b"s:a1ff:0:1:0:root:root", b"u:/a"], Unknown("its link target cannot be read")),
        ([b"p:/a", b"s:81a4:0:3:0:root:root"], Unknown("could not be read")),
        ([b"p:/a", b"s:81a4:0:3:0:root:root", b"c:md5sum: /a: Input/output error"], Unknown("Input/output error")),
        ([b"p:/a", b"s:81a4:0:3:0:root:root", b"c:md5sum: can't open '/a': Is odd"], Unknown("Is odd")),
        ([b"w:", b"a:/a"], ABSENT),
        ([b"a:/a"], Unknown("changed while it was looked at")),
        ([b"w:", b"a:/b"], Unknown("changed while it was looked at")),
        ([b"w:", b"e:/a", b"r:stat: cannot statx '/a': Permission denied"], Unknown("Permission denied")),
        ([b"w:", b"e:/a", b"r:No such file or directory"], Unknown("No such file or directory")),
        ([b"stat: cannot statx '/a': No such file or directory"], None),
        ([], Unknown("changed while it was looked at")),
        ([b"sh: 1: stat: not found"], Unknown("changed while it was looked at (sh: 1: stat: not found)")),
    ],
)
def test_answers(lines: list[bytes], expected: object) -> None:
    (state,) = parse([Request(b"/a", 3)], answer(*lines)).values()
    assert isinstance(state, Unknown) if expected is None else state == expected


def test_contents_behind_a_link_are_unknown() -> None:
    request = Request(b"/home/joe/app/config", 3)
    lines = [b"b:/home/joe/app", b"p:" + request.path, b"s:81a4:0:3:0:root:root"]
    (state,) = parse([request], answer(*lines)).values()
    assert isinstance(state, Unknown)
    assert "behind a link, /home/joe/app: 'follow: yes'" in state.reason


def test_what_was_not_requested_is_ignored() -> None:
    lines = [b"p:/other", b"s:81a4:0:3:0:root:root", MD5 + b"  /other", b"w:", b"a:/a"]
    assert parse([Request(b"/a", 3)], answer(*lines)) == {b"/a": ABSENT}


def test_a_long_text_of_a_node_is_cut() -> None:
    for line in (b"r:", b"r:x: ", b"nonsense "):
        (state,) = parse([Request(b"/a")], answer(b"e:/a", line + b"y" * 5_000_000)).values()
        assert isinstance(state, Unknown)
        assert len(state.reason) < 1100


@pytest.mark.parametrize(
    "line",
    [
        b"s:",
        b"s:81a4:0:3:0:root",
        b"s:zz:0:3:0:root:root",
        b"s:81a4:0:x:0:root:root",
        b"s:81a4:0:1_0:0:root:root",
        b"s:81a4:0:-1:0:root:root",
        b"s:81a4:0: 1:0:root:root",
        b"s:81a4:a:3:0:root:root",
        b"s:81a4:0:" + "\u0663".encode() + b":0:root:root",
        b"s:81a4:0:" + b"9" * 5000 + b":0:root:root",
        b"s:" + b"f" * 40 + b":0:3:0:root:root",
        b"s:81a4:0:3:0:" + b"r" * 5_000_000 + b":root",
        b"s:81a4:0:3:0:r\0t:root",
        b"s:81a4:0:3:0:root:root\np:/a\ns:81a4:0:4:0:root:root",
        b"t:" + b"x" * 5000,
        b"t:x\0y",
        b"m:zz",
    ],
)
def test_a_line_that_makes_no_sense_is_an_error(line: bytes) -> None:
    with pytest.raises(RemoteError) as error:
        parse([Request(b"/a", 3)], answer(b"p:/a", line))
    assert len(str(error.value)) < 2000


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
    noise = b"Welcome!\nw:\na:" + requests[0].path + b"\nt:x\nstat: can\nsynctool-probe \n"
    expected = {r.path: lstat_state(r.path, size=3) for r in requests}
    assert parse(requests, noise + text + b"logout\nstat: can\n") == expected


_parts = [
    b"81a4:",
    b"3:",
    b"0:",
    b"root:",
    b"/a",
    b"\n",
    MD5,
    b"  ",
    b"synctool-probe-end",
    b"1_0",
    b"\0",
    b"s:a1ff:0:1:0:r:r",
]
_starts = [letter + b":" for letter in (b"p", b"s", b"l", b"t", b"n", b"u", b"w", b"a", b"e", b"r", b"b", b"m", b"c")]
_lines = st.lists(st.sampled_from(_starts + _parts) | st.binary(max_size=6), max_size=25).map(b"".join)


@given(text=_lines)
def test_any_answer_is_understood_or_refused(text: bytes) -> None:
    requests = [Request(b"/a", 3), Request(b"/b")]
    try:
        found = parse(requests, answer(text))
    except RemoteError:
        return
    assert list(found) == [b"/a", b"/b"]
    assert all(isinstance(state, FileState | Unknown) or state is ABSENT for state in found.values())
    if b"w:" not in text:
        assert ABSENT not in found.values()


_paths = st.binary(min_size=1, max_size=300).map(lambda name: b"/" + name.replace(b"\n", b"x").replace(b"\0", b"y"))


@given(paths=st.lists(_paths, max_size=150, unique=True), limit=st.integers(9_000, 30_000), content=st.booleans())
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
    for n in range(160):
        (tmp_path / f"{n}").write_text("abc")
    requests = [Request(os.fsencode(tmp_path / f"{n}"), 3) for n in range(200)]
    found = {}
    parts = list(split(requests, 9_000))
    assert len(parts) > 1
    for part in parts:
        found.update(parse(part, shell.run(script(part)).stdout))
    assert found == {r.path: lstat_state(r.path, size=3) for r in requests}
