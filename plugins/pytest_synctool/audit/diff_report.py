"""Differences between the source of a file and a node's copy, as lines. No input or output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_synctool.audit.compare import compare
from pytest_synctool.audit.fetch import LIMIT, Copy
from pytest_synctool.common.wording import printable
from pytest_synctool.model import ABSENT, Change, FileState, Unknown
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.secrecy import CONTENTS, secret, tells_of_contents


@dataclass(frozen=True, slots=True)
class Verdict:
    """A report on files of nodes: the differences, and in `errors` the files that could not be compared."""

    lines: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(self.lines + other.lines, self.errors + other.errors)


@dataclass(frozen=True, slots=True)
class Contents:
    """Contents that have to be compared line by line, and the differences known before that."""

    before: Verdict
    theirs: bytes


def judge(entry: Entry, expected: FileState, copy: Copy, *, secrets: bool) -> Verdict | Contents:
    """Return the report on a node's copy, or the contents if they must be compared line by line first.

    With `secrets`, non-public contents are shown too.
    """
    path = printable(entry.destination)
    actual = copy.state
    if isinstance(actual, Unknown):
        return Verdict(errors=(f"{path} cannot be looked at: {actual.reason}",))
    if actual is ABSENT:
        return Verdict((f"{path} is missing",))
    changes = compare(expected, actual)
    if [change.what for change in changes] == ["type"]:
        return Verdict((f"{path} is a {actual.kind.value}, {entry.source.shown} is a {expected.kind.value}",))
    hidden = None if secrets else secret(entry, expected, actual)
    differences = Verdict(tuple(f"{path}: {_in_words(c, hidden)}" for c in changes if c.what not in CONTENTS))
    if not tells_of_contents(changes):
        return differences
    if entry.decrypt is not None:
        return differences + Verdict((f"{path} differs; its contents are decrypted, and diff_cmd would need files",))
    if hidden is not None:
        line = f"{path} differs; its contents are not shown, since {hidden} (--show-sensitive shows them)"
        return differences + Verdict((line,))
    if max(expected.size, actual.size) > LIMIT or len(copy.content or b"") > LIMIT:
        sizes = f"{expected.size:,} bytes here, {actual.size:,} there"
        return differences + Verdict((f"{path} differs; {sizes}: more than {LIMIT:,} are not shown",))
    if copy.complaint or copy.content is None:
        reason = copy.complaint or "it changed while it was looked at"
        return differences + Verdict(errors=(f"{path} could not be read: {reason}",))
    return Contents(differences, copy.content)


def _in_words(change: Change, hidden: str | None) -> str:
    if hidden is not None and change.what == "link target":
        return "the link target differs, and is not shown: sensitive"
    return f"{change.what}: expected {change.expected}, found {change.found}"


def is_binary(content: bytes) -> bool:
    """Return True if contents have no lines that could be compared."""
    return b"\0" in content


def as_lines(output: bytes, names: Sequence[bytes]) -> tuple[str, ...]:
    """Return the output of a diff as printable lines. Tabs stay; the times after the two file names are removed."""
    lines = []
    for line in output.split(b"\n"):
        for name in names:
            if line[4:].startswith(name + b"\t") and line[3:4] == b" ":
                line = line[: 4 + len(name)]
        lines.append("\t".join(printable(part) for part in line.split(b"\t")))
    return tuple(lines[:-1] if lines[-1] == "" else lines)


def grouped(verdicts: Iterable[tuple[str, Verdict]]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Group nodes by equal lines: the lines of most nodes first, else in the order of the nodes."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, verdict in verdicts:
        if verdict.lines:
            groups.setdefault(verdict.lines, []).append(name)
    return sorted(groups.items(), key=lambda pair: -len(pair[1]))
