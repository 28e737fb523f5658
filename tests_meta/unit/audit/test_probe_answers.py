"""What is made of a probe's answer, whole or not; and how a probe is taken apart for narrow connections."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.probe import Request, parse, script, split
from pytest_synctool.common.shell import argument_size, ascii_command, whole
from pytest_synctool.errors import RemoteError
from pytest_synctool.model import ABSENT, FileState, Kind, Unknown

from tests_meta.unit.helpers import ODD_NAMES, Shell, lstat_state

MD5 = b"0123456789abcdef0123456789abcdef"


def answer(*lines: bytes) -> bytes:
    """A whole answer."""
    return b"\n".join((b"synctool-probe", *lines, b"synctool-probe-end", b""))


STATE = b"81a4:0:3:0:root:root"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [b"i:1", b"81a4:0:3:1:root:daemon", b"i:1", MD5 + b"  /a", b"o:"],
            FileState(Kind.FILE, 0o644, 3, 0, 1, "root", "daemon", MD5.decode()),
        ),
        (
            [b"i:1", b"81a4:0:3:1:root:daemon", b"i:1", b"\\" + MD5 + b" *any other name", b"o:"],
            FileState(Kind.FILE, 0o644, 3, 0, 1, "root", "daemon", MD5.decode()),
        ),
        (
            [b"i:1", b"81a4:7:3:1:joe:daemon", b"i:1", b"m:" + MD5],
            FileState(Kind.FILE, 0o644, 3, 7, 1, "joe", "daemon", MD5.decode()),
        ),
        ([b"i:0", b"41ed:0:9:0:root:root", b"89ed:7:9:8:UNKNOWN:UNKNOWN"], FileState(Kind.FILE, 0o4755, 9, 7, 8)),
        (
            [b"i:1", b"a1ff:0:1:0:root:root", b"i:1", b"t:x: y"],
            FileState(Kind.LINK, 0o777, 1, 0, 0, "root", "root", None, b"x: y"),
        ),
        ([b"i:1", b"a1ff:0:1:0:root:root"], Unknown("changed while it was looked at")),
        ([b"i:1", b"a1ff:0:1:0:root:root", b"i:1", b"u:"], Unknown("its link target cannot be read")),
        ([b"i:1", STATE], Unknown("could not be read")),
        ([b"i:1", STATE, b"i:1", MD5 + b"  /d/a"], Unknown("could not be read")),
        ([b"i:1", STATE, b"i:1", MD5 + b"  /d/a", b"i:1", b"o:"], Unknown("could not be read")),
        ([b"i:1", STATE, b"c:md5sum: /a: Input/output error"], Unknown("Input/output error")),
        ([b"i:1", STATE, b"c:md5sum: can't open '/a': Is odd"], Unknown("Is odd")),
        ([b"i:1", b"a:"], ABSENT),
        ([b"a:"], Unknown("changed while it was looked at")),
        ([b"i:2", b"a:"], Unknown("changed while it was looked at")),
        ([b"i:7 1 0", b"a:", b"a:"], ABSENT),
        ([b"i:1", b"r:stat: cannot statx '/a': Permission denied"], Unknown("Permission denied")),
        ([b"i:1", b"r:No such file or directory"], Unknown("No such file or directory")),
        ([b"i:1", b"w:sh: 1: stat: not found"], Unknown("stat does not work there: sh: 1: stat: not found")),
        ([b"i:1", b"h:10:/d"], Unknown("/d does not answer within 10 s")),
        ([b"i:1", b"x:1"], Unknown("changed while it was looked at")),
        ([b"stat: cannot statx '/a': No such file or directory"], None),
        ([], Unknown("changed while it was looked at")),
        ([b"sh: 1: stat: not found"], Unknown("changed while it was looked at (sh: 1: stat: not found)")),
    ],
)
def test_answers(lines: list[bytes], expected: object) -> None:
    (state,) = parse([Request(b"/d/a", 3)], answer(*lines)).values()
    assert isinstance(state, Unknown) if expected is None else state == expected


def test_a_path_that_is_as_expected() -> None:
    expected = FileState(Kind.FILE, 0o644, 3, 0, 0, "root", "root", "f" * 32)
    request = Request(b"/d/a", 3, expected=expected)
    lines = [b"i:0", b"41ed:0:9:0:root:root", b"x:1", b"i:1", MD5 + b"  /d/a", b"o:"]
    assert parse([request], answer(*lines)) == {b"/d/a": replace(expected, md5=MD5.decode())}
    assert parse([request], answer(*lines[:3])) == {b"/d/a": Unknown("could not be read")}


def test_the_digest_of_one_file_is_never_that_of_another() -> None:
    """A file that md5sum passes over leaves a gap that nothing shows: so no line of the block counts."""
    requests = [Request(b"/a", 3), Request(b"/b", 3)]
    short = [b"i:0", STATE, STATE, b"i:0", MD5 + b"  /b"]
    assert [*parse(requests, answer(*short)).values()] == [Unknown("could not be read")] * 2
    again = [b"i:0", b"c:md5sum: /a: Is odd", b"i:1", MD5 + b"  /b", b"o:"]
    odd, good = parse(requests, answer(*short, *again)).values()
    assert odd == Unknown("Is odd")
    assert isinstance(good, FileState)


def test_contents_behind_a_link_are_unknown() -> None:
    request = Request(b"/home/joe/app/config", 3)
    lines = [b"b:/home/joe/app", b"i:3", STATE]
    (state,) = parse([request], answer(*lines)).values()
    assert isinstance(state, Unknown)
    assert "behind a link, /home/joe/app: 'follow: yes'" in state.reason


def test_what_was_not_requested_is_ignored() -> None:
    lines = [b"i:999999999", STATE, b"i:8", MD5 + b"  /other", b"o:", b"i:1", b"a:"]
    assert parse([Request(b"/d/a", 3)], answer(*lines)) == {b"/d/a": ABSENT}


def test_a_long_text_of_a_node_is_cut() -> None:
    for line in (b"r:", b"r:x: ", b"nonsense "):
        (state,) = parse([Request(b"/a")], answer(b"i:0", line + b"y" * 5_000_000)).values()
        assert isinstance(state, Unknown)
        assert len(state.reason) < 1100


@pytest.mark.parametrize(
    "line",
    [
        b"i:",
        b"i:x",
        b"i:1 -1",
        b"i:1_0",
        b"i:" + "\u0663".encode(),
        b"i:" + b"9" * 5000,
        b"x:",
        b"x:" + b"9" * 5000,
        b"h:/a",
        b"t:" + b"x" * 5000,
        b"t:x\0y",
        b"m:zz",
    ],
)
def test_a_line_that_makes_no_sense_is_an_error(line: bytes) -> None:
    with pytest.raises(RemoteError) as error:
        parse([Request(b"/a", 3)], answer(b"i:0", line))
    assert len(str(error.value)) < 2000


@pytest.mark.parametrize(
    "line",
    [
        b"81a4:0:3:0:root",
        b"zz:0:3:0:root:root",
        b"81a4:0:x:0:root:root",
        b"81a4:0:1_0:0:root:root",
        b"81a4:0:-1:0:root:root",
        b"81a4:0: 1:0:root:root",
        b"81a4:a:3:0:root:root",
        b"81a4:0:" + "\u0663".encode() + b":0:root:root",
        b"81a4:0:" + b"9" * 5000 + b":0:root:root",
        b"f" * 40 + b":0:3:0:root:root",
        b"81a4:0:3:0:" + b"r" * 5_000_000 + b":root",
        b"81a4:0:3:0:r\0t:root",
    ],
)
def test_what_is_no_state_tells_nothing(line: bytes) -> None:
    (state,) = parse([Request(b"/a", 3)], answer(b"i:0", line)).values()
    assert isinstance(state, Unknown)
    assert len(state.reason) < 2000


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
    noise = b"Welcome!\ni:0\na:\nt:x\nstat: can\nsynctool-probe \n"
    expected = {r.path: lstat_state(r.path, size=3) for r in requests}
    assert parse(requests, noise + text + b"logout\nstat: can\n") == expected


_parts = [
    STATE,
    b"3:",
    b"0 1",
    b"/a",
    b"\n",
    MD5,
    b"  ",
    b"synctool-probe-end",
    b"1_0",
    b"\0",
]
_starts = [letter + b":" for letter in (b"i", b"x", b"t", b"n", b"u", b"a", b"r", b"w", b"h", b"m", b"o", b"b", b"c")]
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
    if b"a:" not in text:
        assert ABSENT not in found.values()


_paths = st.binary(min_size=1, max_size=300).map(lambda name: b"/" + name.replace(b"\n", b"x").replace(b"\0", b"y"))


@given(paths=st.lists(_paths, max_size=150, unique=True), limit=st.integers(20_000, 120_000), content=st.booleans())
def test_parts_stay_below_the_limit_and_hold_everything(paths: list[bytes], limit: int, content: bool) -> None:
    requests = [Request(path, 5 if content else None) for path in paths]
    parts = list(split(requests, limit))
    assert [request for part in parts for request in part] == requests
    assert all(parts)
    for part in parts:
        assert argument_size(script(part)) <= limit
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
    parts = list(split(requests, 16_000))
    assert len(parts) > 1
    for part in parts:
        found.update(parse(part, shell.run(script(part)).stdout))
    assert found == {r.path: lstat_state(r.path, size=3) for r in requests}
