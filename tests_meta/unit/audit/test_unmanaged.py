"""Files that nobody manages: which are reported, and how they are folded over nodes."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.audit.packages import Packages
from pytest_synctool.audit.unmanaged import Gathered, all_is_well, judge, requests
from pytest_synctool.model import ABSENT, Actual, Deviation, Kind, Unknown, Unmanaged, UnmanagedFiles

from tests_meta.unit.helpers import state

MD5, OTHER = "0" * 32, "1" * 32


def test_what_is_reported() -> None:
    """What is in an entry is not looked at. Unknown is never absent, nor as it was installed."""
    names = (b"/rogue", b"/same", b"/edited", b"/managed", b"/unread", b"/verified", b"/big")
    packages = Packages(
        dict.fromkeys(names, 3) | {b"/big": 1 << 30},
        unowned=frozenset({b"/rogue", b"/managed", b"/big", b"/gone meanwhile"}),
        digests={b"/same": MD5, b"/edited": MD5, b"/lost": MD5, b"/unread": MD5, b"/elsewhere": MD5},
        changed=frozenset({b"/verified"}),
    )
    asked = {request.path: request.size for request in requests(packages, {b"/managed"})}
    assert asked == {
        **dict.fromkeys((b"/rogue", b"/same", b"/edited", b"/unread", b"/verified"), 3),
        **dict.fromkeys((b"/lost", b"/elsewhere", b"/big", b"/gone meanwhile")),
    }
    states: dict[bytes, Actual] = dict.fromkeys(asked, state(md5=MD5))
    states |= {b"/edited": state(md5=OTHER), b"/lost": ABSENT, b"/gone meanwhile": ABSENT, b"/unread": Unknown("x")}
    assert {path: unmanaged.deviation for path, unmanaged in judge(packages, states).items()} == {
        b"/big": Deviation.UNOWNED,
        b"/rogue": Deviation.UNOWNED,
        b"/edited": Deviation.CHANGED,
        b"/verified": Deviation.CHANGED,
        b"/unread": Deviation.CHANGED,
        b"/lost": Deviation.MISSING,
    }


def unowned(**fields: object) -> Unmanaged:
    return Unmanaged(Deviation.UNOWNED, state(**fields))  # type: ignore[arg-type]


def gathered(reports: Mapping[str, Mapping[bytes, Unmanaged]]) -> Gathered:
    """The files of nodes, which come in the wrong order."""
    together = Gathered(list(reports))
    for node in reversed(list(reports)):
        together.take(node, UnmanagedFiles(reports[node]))
    return together


def in_words(reports: Mapping[str, Mapping[bytes, Unmanaged]], *, everything: bool = False) -> list[str]:
    """The lines about the files of nodes."""
    return lines_of(gathered(reports), everything=everything)


def lines_of(together: Gathered, *, everything: bool = False) -> list[str]:
    """All lines, with their nodes."""
    return [together.in_words(line) for line in together.lines(everything=everything)]


def test_nodes_are_folded() -> None:
    reports: dict[str, dict[bytes, Unmanaged]] = {f"n{number}": {} for number in range(1, 65)}
    for number, report in enumerate(reports.values(), 1):
        report[b"/etc/login.defs"] = Unmanaged(Deviation.CHANGED, state(md5=OTHER if number == 17 else MD5))
    reports["n17"][b"/etc/cron.d/x"] = unowned()
    reports["n3"][b"/etc/\xff\n"] = Unmanaged(Deviation.MISSING, ABSENT)
    assert in_words(reports) == [
        "n17: /etc/cron.d/x belongs to no package (1 of 64 nodes)",
        "n[1-16,18-64]: /etc/login.defs differs from its package, version 1 of 2 (63 of 64 nodes)",
        "n17: /etc/login.defs differs from its package, version 2 of 2 (1 of 64 nodes)",
        "n3: /etc/\\xff\\n is missing, and belongs to a package (1 of 64 nodes)",
    ]
    assert in_words({"n1": {b"/x": unowned()}}) == ["n1: /x belongs to no package"]


def test_many_files_of_a_directory_are_one_line() -> None:
    """If the same nodes have the same of each; else each has its own line."""
    links = {b"/etc/alternatives/%02d" % number: unowned(kind=Kind.LINK, target=b"x") for number in range(12)}
    reports = {"a": {**links, b"/etc/b": unowned()}, "b": dict(links)}
    assert in_words(reports) == [
        "a,b: /etc/alternatives has 12 symbolic links that belong to no package (2 of 2 nodes)",
        "a: /etc/b belongs to no package (1 of 2 nodes)",
    ]
    assert len(in_words(reports, everything=True)) == 13
    reports["b"][b"/etc/alternatives/00"] = unowned(kind=Kind.LINK, target=b"y")
    assert len(in_words(reports)) == 1 + 1 + 2
    reports["b"][b"/etc/alternatives/01"] = unowned(kind=Kind.LINK, target=b"y")
    assert len(in_words(reports)) == 1 + 10 + 4


def test_other_files_are_one_line_if_there_are_very_many() -> None:
    reports = {"a": {b"/etc/%03d" % number: unowned() for number in range(100)}}
    assert len(in_words(reports)) == 100
    reports["a"] |= {b"/etc/100": unowned(), b"/etc/link": unowned(kind=Kind.LINK, target=b"x")}
    assert in_words(reports) == ["a: /etc has 101 files that belong to no package", *in_words(reports)[1:]]
    assert in_words(reports)[1:] == ["a: /etc/link belongs to no package"]


UNMANAGED = st.builds(Unmanaged, st.sampled_from(Deviation), st.sampled_from([ABSENT, state(), state(mode=0o600)]))
REPORT = st.dictionaries(st.sampled_from([b"/a/%d" % number for number in range(14)]), UNMANAGED)


@given(st.dictionaries(st.sampled_from(["n1", "n2", "n3"]), REPORT))
def test_every_file_is_in_a_line(reports: Mapping[str, Mapping[bytes, Unmanaged]]) -> None:
    lines = in_words(reports, everything=True)
    for report in reports.values():
        for path, each in report.items():
            assert any(f": {path.decode()} {each.deviation.value}" in line for line in lines)
    assert bool(in_words(reports)) == any(reports.values())
    versions = list(gathered(reports).versions())
    for path in {version.path for version in versions}:
        nodes = [name for version in versions if version.path == path for name in version.nodes]
        assert sorted(nodes) == [name for name, files in sorted(reports.items()) if path in files]


def test_unknown_is_never_nothing() -> None:
    together = Gathered(["n1", "n2", "n3", "n4"])
    together.take("n3", UnmanagedFiles({b"/x": unowned()}, ("it broke off",)))
    together.take("n2", UnmanagedFiles.unknown("down"))
    together.take("n1", UnmanagedFiles())
    assert (together.known, together.complete) == (["n1", "n3"], ["n1"])
    assert together.errors == {"it broke off": ["n3"], "down": ["n2"]}
    assert lines_of(together) == ["n3: /x belongs to no package (1 of 2 nodes)"]
    assert all_is_well([], b"/etc") == []
    assert all_is_well(together.complete, b"/etc") == [
        "n1: all files below /etc are managed, or as packages installed them"
    ]
