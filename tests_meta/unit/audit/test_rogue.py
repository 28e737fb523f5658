"""Names in exclusive directories: what a node's answers about them mean, in the words of reports."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import cast

import pytest
from pytest_synctool.audit.check import Check, CheckFunction
from pytest_synctool.audit.compare import compare_absent
from pytest_synctool.audit.inspection import Inspection
from pytest_synctool.audit.listing import Listed, NotListed, Silent, TooMany
from pytest_synctool.audit.rogue import drift, listing, removable, rogue_names
from pytest_synctool.connection.transport import Transport
from pytest_synctool.model import ABSENT, Absent, Actual, Change, FileState, Kind, Outcome, Status, Unknown
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry, ExclusiveContents
from pytest_synctool.repository.exclusive import exclusive_contents
from pytest_synctool.repository.waivers import InForce, parse

from synctool_checks.test_exclusive import check_exclusive
from tests_meta.unit.helpers import entry, node, state

DIRECTORY = state(Kind.DIRECTORY)


def contents(exclusive: str = "tree") -> ExclusiveContents:
    """Return the contents of /d, which has a directory `sub` and a file `f`."""
    attributes = Attributes(exclusive=exclusive, allow=("ok",))
    top = Entry(entry(b"/d", DIRECTORY).source, attributes=attributes)
    return exclusive_contents([top, entry(b"/d/sub", DIRECTORY), entry(b"/d/f"), entry(b"/d/sub/g")])[0]


def outcome(sub: Listed | None, actual: Actual) -> str:
    """Return the message about an answer of which only that about the directory below is odd."""
    listed: dict[bytes, Listed] = {b"/d": {b"f": Kind.FILE, b"sub": Kind.DIRECTORY}}
    found = rogue_names(contents(), listed | ({} if sub is None else {b"/d/sub": sub}), {b"/d/sub": actual}, ())
    if not isinstance(found, Outcome):
        return str(sorted(found))
    assert found.status is Status.ERROR
    return found.message


def test_what_an_answer_means() -> None:
    """Only what was listed is known; a directory that is absent has nothing in it."""
    assert listing(contents()).expected == 3
    assert outcome({b"g": Kind.FILE, b"h": Kind.LINK, b"ok": Kind.FILE}, DIRECTORY) == "[b'/d/sub/h', b'/d/sub/ok']"
    assert outcome(NotListed.NOT_ENTERED, ABSENT) == "[]"
    assert outcome(None, ABSENT) == "[]"
    unlooked = "cannot be looked at: /d/sub"
    assert outcome(None, DIRECTORY) == f"{unlooked} cannot be listed, or a link leads to it"
    link = state(Kind.LINK, target=b"x")
    assert outcome(NotListed.NOT_ENTERED, link) == f"{unlooked} is a symbolic link, and nothing is listed through one"
    assert outcome(NotListed.NOT_ENTERED, Unknown("Input/output error")) == f"{unlooked}: Input/output error"
    assert outcome(Silent(10), DIRECTORY) == "cannot be looked at: /d does not answer within 10 s"
    many = "more than 1,000 names beside the entries ({}): nothing is removed; is this directory meant?"
    assert outcome(TooMany(100_000), DIRECTORY) == many.format("100,000 names in /d/sub")
    assert outcome({b"%d" % n: Kind.FILE for n in range(1001)}, DIRECTORY) == many.format("1,001 of them")


def test_what_the_tool_needs_is_not_rogue() -> None:
    """Neither the mirror nor the journal, nor what leads to them."""
    listed: dict[bytes, Listed] = {b"/d": {b"lib": Kind.DIRECTORY, b"libx": Kind.DIRECTORY}, b"/d/sub": {}}
    assert rogue_names(contents(), listed, {}, [b"/d/lib/synctool", b"/d"]) == {b"/d/libx": Kind.DIRECTORY}


def test_a_message_is_bounded() -> None:
    """It names the first 20 and counts the others. Whatever a name has in it is printable."""
    one = drift(contents("yes"), {b"/d/a\n\xff\x1b[1m": Kind.FILE})
    assert one.message == "a\\n\\xff\\x1b[1m is not in the masterdir"
    assert one.details == ("not in the masterdir: /d/a\\n\\xff\\x1b[1m (file)", "source: overlay/d._all")
    many = drift(contents("yes"), {b"/d/%04d" % n: Kind.DIRECTORY for n in range(999)})
    assert many.message.startswith("999 names are not in the masterdir: 0000/, 0001/")
    assert many.message.endswith(", 0019/ and 979 more")
    assert len(many.details) == 22
    assert many.details[-2] == "a directory stays: only 'exclusive: tree' removes directories"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/etc/passwd", Kind.FILE),
        (b"/etc/pam.d", Kind.DIRECTORY),
        (b"/usr/lib/x86_64-linux-gnu", Kind.DIRECTORY),
        (b"/etc", Kind.LINK),
    ],
)
def test_what_a_node_needs_stays(path: bytes, kind: Kind) -> None:
    """Whatever is exclusive, and named twice: a node needs this."""
    assert removable(contents(), path, kind) == "a node needs it: add it to overlay/, or to 'allow'"
    assert removable(contents(), b"/etc/rogue", kind) is None
    assert (removable(contents("yes"), b"/etc/rogue", kind) is None) is (kind is not Kind.DIRECTORY)


def inspect(waivers: str = "", function: CheckFunction = check_exclusive) -> Outcome:
    """Return the outcome of the test of a directory that has two names in no entry."""
    in_force = InForce(parse(waivers, Path("waivers.yaml"), (), ()), date(2026, 1, 1))
    made = contents("yes")
    inspection = Inspection(node(), [], cast(Transport, None), Path("/master"), 9, in_force)
    inspection.listed = {b"/d": {b"f": Kind.FILE, b"ok": Kind.FILE, b"a": Kind.FILE, b"b": Kind.LINK}}
    inspection.actual = {b"/d": DIRECTORY}
    return inspection.outcome(Check(made, function))


def test_waivers_are_for_single_names() -> None:
    """A waiver accepts the names that it covers; the directory's own path is none of them."""
    waiver = "- {path: %s, groups: all, reason: for now, expires: %s}"
    assert inspect().message == "2 names are not in the masterdir: a, b"
    assert inspect(waiver % ("/d", "2999-12-31")).message == "2 names are not in the masterdir: a, b"
    assert inspect(waiver % ("/d/a", "2999-12-31")).message == "b is not in the masterdir"
    assert inspect(waiver % ("/d/a", "2020-12-31")).message == "2 names are not in the masterdir: a, b"
    both = inspect(waiver % ("/d/*", "2999-12-31"))
    assert (both.status, both.waiver) == (Status.WAIVED, "for now, until 2999-12-31, waivers.yaml:1")


def test_the_check_is_called_for_each_name() -> None:
    """A suite of a site may accept names; what it raises is the result of the test."""

    def accepts_links(rogue: Entry, actual: FileState | Absent) -> list[Change]:
        return [] if isinstance(actual, FileState) and actual.kind is Kind.LINK else compare_absent(actual)

    def raises(rogue: Entry, actual: FileState | Absent) -> list[Change]:
        raise ValueError(os.fsdecode(rogue.destination))

    assert inspect(function=accepts_links).message == "a is not in the masterdir"
    failed = inspect(function=raises)
    assert (failed.status, failed.message) == (Status.ERROR, "raises raised ValueError: /d/a")
