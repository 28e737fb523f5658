"""What is said of a node's copy, and that no secret is among it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.diff_report import Contents, Verdict, as_lines, grouped, judge
from pytest_synctool.audit.fetch import LIMIT, Copy
from pytest_synctool.model import ABSENT, Absent, FileState, Kind, Unknown
from pytest_synctool.repository.attributes import Attributes

from tests_meta.unit.audit.test_compare import states
from tests_meta.unit.helpers import entry, state

SENSITIVE = Attributes(sensitive=True)
OTHER = state(md5="1" * 32)


def said(
    actual: FileState | Absent | Unknown,
    expected: FileState | None = None,
    content: bytes | None = b"x",
    **options: bool,
) -> Verdict | Contents:
    """What is said of /f."""
    one = entry(b"/f", expected)
    if options.pop("sensitive", False):
        one = replace(one, attributes=SENSITIVE)
    return judge(one, one.expected, Copy(actual, content), secrets=options.get("secrets", False))


@pytest.mark.parametrize(
    ("actual", "expected", "lines"),
    [
        (state(), state(), []),
        (ABSENT, state(), ["/f is missing"]),
        (state(Kind.DIRECTORY), state(), ["/f is a directory, overlay/f._all is a file"]),
        (state(Kind.OTHER), state(Kind.LINK), ["/f is a special file, overlay/f._all is a symbolic link"]),
        (state(mode=0o755), state(), ["/f: mode: expected 0644, found 0755"]),
        (state(Kind.DIRECTORY, owner="bob"), state(Kind.DIRECTORY), ["/f: owner: expected root, found bob"]),
        (state(Kind.LINK, target=b"b"), state(Kind.LINK, target=b"a"), ["/f: link target: expected a, found b"]),
        (
            state(mode=0o600, size=4),
            state(),
            [
                "/f: mode: expected 0644, found 0600",
                "/f differs; its contents are not shown, since not everybody may read the node's file (mode 0600) "
                "(--show-sensitive shows them)",
            ],
        ),
        (
            state(size=LIMIT + 1),
            state(),
            ["/f differs; 3 bytes here, 4,194,305 there: more than 4,194,304 are not shown"],
        ),
    ],
)
def test_lines(actual: FileState | Absent, expected: FileState, lines: list[str]) -> None:
    assert said(actual, expected) == Verdict(tuple(lines))


def test_what_could_not_be_looked_at() -> None:
    assert said(Unknown("Permission denied")) == Verdict(errors=("/f cannot be looked at: Permission denied",))
    one = entry(b"/f")
    found = judge(one, one.expected, Copy(OTHER, b"", "Input/output error"), secrets=False)
    assert found == Verdict(errors=("/f could not be read: Input/output error",))
    assert said(OTHER, content=None) == Verdict(errors=("/f could not be read: it changed while it was looked at",))


def test_contents() -> None:
    """With what differs beside them."""
    assert said(replace(OTHER, owner="bob")) == Contents(Verdict(("/f: owner: expected root, found bob",)), b"x")


@given(expected=states(), actual=states(), sensitive=st.booleans())
def test_no_secret_is_said(expected: FileState, actual: FileState, sensitive: bool) -> None:
    """Contents and link targets of what not everybody may read; whatever else differs."""
    if expected.kind is Kind.LINK:
        expected = replace(expected, target=b"top-secret")
    found = said(actual, expected, b"top-secret", sensitive=sensitive)
    closed = not (expected.mode & actual.mode & 0o004) and Kind.LINK not in (expected.kind, actual.kind)
    if sensitive or closed:
        assert isinstance(found, Verdict)
        assert "top-secret" not in str(found)
        assert expected.md5 is None or str(expected.md5) not in str(found)
    shown = said(actual, expected, b"top-secret", sensitive=sensitive, secrets=True)
    assert (found == Verdict()) is (shown == Verdict())


class TestLines:
    """The output of diff_cmd."""

    NAMES = (b"overlay/f._all", b"node/f")

    @pytest.mark.parametrize(
        ("output", "lines"),
        [
            (b"", []),
            (b"--- node/f\t1970\n+++ overlay/f._all\t1970\n@@ -1 +1 @@\n-a\n+b\n",
             ["--- node/f", "+++ overlay/f._all", "@@ -1 +1 @@", "-a", "+b"]),
            (b"*** overlay/f._all\tThu Jan  1\n", ["*** overlay/f._all"]),
            (b"-\tindented\x1b[31m\r\n", ["-\tindented\\x1b[31m\\x0d"]),
            (b"+\xff\xc3\xbc\n\\ No newline at end of file\n", ["+\\xffü", "\\ No newline at end of file"]),
            (b"no newline", ["no newline"]),
        ],
    )  # fmt: skip
    def test_lines(self, output: bytes, lines: list[str]) -> None:
        assert [line.replace("\\r", "\\x0d") for line in as_lines(output, self.NAMES)] == lines

    @given(st.binary(max_size=60))
    def test_any_output(self, output: bytes) -> None:
        """Nothing that a terminal would take for a command."""
        assert all(part.isprintable() for line in as_lines(output, self.NAMES) for part in line.split("\t"))


def test_groups() -> None:
    """The most nodes first; who has nothing to say is in none, and who is in error only neither."""
    verdicts = [("n1", Verdict(("a",))), ("n2", Verdict()), ("n3", Verdict(("b",))), ("n4", Verdict(("b",)))]
    verdicts.append(("n5", Verdict(errors=("c",))))
    assert grouped(verdicts) == [(("b",), ["n3", "n4"]), (("a",), ["n1"])]
