"""Names in exclusive directories: what a node's answers about them mean, in the words of reports."""

from __future__ import annotations

import pytest
from pytest_synctool.audit.listing import Listed, NotListed, Silent, TooMany
from pytest_synctool.audit.rogue import drift, listing, removable, rogue_names
from pytest_synctool.model import ABSENT, Actual, Kind, Outcome, Status, Unknown
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry, ExclusiveContents
from pytest_synctool.repository.exclusive import exclusive_contents

from tests_meta.unit.helpers import entry, state

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
