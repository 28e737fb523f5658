"""Foreign text on terminals and in logs of CI systems: it is neither obeyed nor made unreadable."""

from __future__ import annotations

import io
import re
import subprocess
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.console import disarm, line_filter, shown, visible


def obeyed(text: str) -> list[str]:
    """Return the lines of a log that a CI system would obey.

    GitHub splits at CR and LF, trims blanks, and looks for `::` there and for `##[` anywhere, with a comparison that
    skips characters of no width. Azure and TeamCity look for `##WORD[`, GitLab for its sections.
    """
    lines = []
    for line in re.split(r"[\r\n]", text):
        plain = "".join(c for c in line if c.isspace() or not (unicodedata.category(c) in ("Cf", "Cc") or c in _MARKS))
        if plain.lstrip().startswith("::") or re.search(r"##[A-Za-z]*\[|section_(start|end):|travis_fold:", plain):
            lines.append(line)
    return lines


_MARKS = "\u034f\ufe00\ufe0f\u115f\u3164"
_PARTS = ["##", "#", "[", ":", "::", "vso[", "teamcity[", "section_start:", "section_end:", "travis_fold:", "\r", "\n"]
_PARTS += [" ", "\t", "\xa0", "\u2028", "\x85", "\x0b", "\x1c", "\x1b", "\0", "\u200b", "\xad", "x", *_MARKS]
texts = st.lists(st.sampled_from(_PARTS) | st.characters(), max_size=12).map("".join)


@given(texts)
def test_no_ci_system_obeys_a_text(text: str) -> None:
    assert obeyed(disarm(text)) == []
    assert obeyed(shown(text)) == []


@given(texts)
def test_only_backslashes_are_added_and_only_where_needed(text: str) -> None:
    assert disarm(text).replace("\\", "") == text.replace("\\", "")
    assert disarm(disarm(text)) == disarm(text)


@pytest.mark.parametrize(
    "text",
    [
        "synctool_checks/test_overlay.py::node1::/etc/motd FAILED",
        "address [::1]:22",
        "## heading [1]",
        "#[derive(Debug)]",
        "node1: ::1 localhost",
        "sections: a",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert disarm(text) == text


def test_commands_stay_readable() -> None:
    assert disarm("a ##[stop-commands]x") == r"a #\#[stop-commands]x"
    assert disarm("##vso[task.complete result=Failed;]") == r"#\#vso[task.complete result=Failed;]"
    assert disarm("##teamcity[buildStop]") == r"#\#teamcity[buildStop]"
    assert disarm("  ::stop-commands::x\r::add-mask::a") == "  :\\:stop-commands::x\r:\\:add-mask::a"
    assert disarm("section_start:1:a\r\x1b[0K") == "section_start\\:1:a\r\x1b[0K"
    assert disarm("::a", at_start=False) == "::a"


def test_a_long_text_takes_no_long() -> None:
    start = time.process_time()
    for text in ("#", "\n", " ", "\r", ":", "##a", "#\u034f", "::", "section_start"):
        disarm(text * 200_000)
    assert time.process_time() - start < 5


def test_bytes_are_shown_as_by_cat() -> None:
    for byte in set(range(256)) - {10}:
        line = bytes((byte,))
        assert visible(line) == subprocess.run(("cat", "-v"), input=line, capture_output=True, check=True).stdout


@given(st.text(alphabet=st.characters(categories=("L", "M", "N", "P", "S"))))
def test_text_in_utf8_stays_readable(text: str) -> None:
    text = "".join(c for c in text if c.isprintable())
    assert visible(f"{text}\t\u3000\xa0".encode()).decode() == f"{text}\t\u3000\xa0"


@given(st.binary())
def test_nothing_controls_a_terminal(line: bytes) -> None:
    text = visible(line).decode()  # always UTF-8
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\t\u200c\u200d"]


@pytest.mark.parametrize("text", ["\x9b31m", "\u202eabc", "\u2066x", "\x1b]0;title\x07", "50%\r100%", "\ufeff"])
def test_what_could_deceive_is_visible(text: str) -> None:
    assert visible(text.encode()).isascii()


class _Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_each_stream_has_its_filter() -> None:
    line = b"\x1b[31m \xff ##[stop-commands]x"
    assert line_filter(io.BytesIO(), {"CI": ""})(line) is line
    assert line_filter(io.BytesIO(), {"GITHUB_ACTIONS": "true"})(line) == line.replace(b"##", rb"#\#")
    assert line_filter(_Terminal(), {})(line) == rb"^[[31m M-^? #\#[stop-commands]x"
