"""Stale waivers: a waiver is stale only if every entry that it covers was audited and is in sync."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import Kind, Node, Outcome, Status
from pytest_synctool.report.record import EntryName, NodeRecord
from pytest_synctool.report.stale_waivers import stale
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.exclusive import exclusive_contents
from pytest_synctool.repository.source import Tree

from tests_meta.unit.helpers import entry, node, state, unreachable
from tests_meta.unit.repository.test_waivers import DRIFT, LATER, NODES, TODAY, in_force, waiver


def names(*paths: str) -> SharedList[EntryName]:
    """Return the names of tests of destinations in overlay/."""
    return SharedList(EntryName("synctool_checks/test_overlay.py", path) for path in paths)


FOUR = [node(name, "batch") for name in NODES[:2]] + [node(name, "login") for name in NODES[2:]]
ENTRIES = EntryList([entry(b"/d/a", state()), entry(b"/b", state()), entry(b"/t", tree=Tree.TASKS)])
TESTS = names("/d/a", "/b")


def judged(text: str, records: Sequence[NodeRecord], today: date = TODAY, nodes: Sequence[Node] = FOUR) -> list[str]:
    """Return the lines of stale waivers."""
    waivers = stale(in_force(text, today), nodes, lambda _: ENTRIES, {record.node: record for record in records})
    return [each.place.removeprefix("waivers.yaml:") for each in waivers]


def records(*statuses: Status | None) -> list[NodeRecord]:
    """Return records of four nodes with these statuses of /b. None stands for an unreachable node."""
    return [
        NodeRecord(each.name, TESTS, error=unreachable("gone"))
        if status is None
        else NodeRecord(each.name, TESTS, () if status is Status.OK else ((1, Outcome(status)),))
        for each, status in zip(FOUR, statuses, strict=False)
    ]


def test_a_waiver_is_stale_if_everything_that_it_covers_is_in_sync() -> None:
    everywhere = records(*[Status.OK] * 4)
    assert judged(waiver("/b", LATER), everywhere) == ["1"]
    (stale_waiver,) = stale(
        in_force(waiver("/b", LATER)), FOUR, lambda _: ENTRIES, {record.node: record for record in everywhere}
    )
    assert stale_waiver.nodes == ("node1", "node2")
    assert stale_waiver.message == "/b no longer differs on any of node[1-2]: remove this waiver (because)"


@pytest.mark.parametrize("status", [None, *(status for status in Status if status is not Status.OK)])
def test_not_with_anything_else_on_one_of_its_nodes(status: Status | None) -> None:
    assert judged(waiver("/b", LATER), records(Status.OK, status, Status.OK, Status.OK)) == []
    assert judged(waiver("/b", LATER), records(Status.OK, Status.OK, status, status)) == ["1"]


def test_not_if_one_of_its_nodes_was_not_selected() -> None:
    assert judged(waiver("/b", LATER), records(Status.OK)) == []


def test_not_if_the_test_of_its_path_was_not_selected() -> None:
    assert judged(waiver("/b", LATER), [NodeRecord(each.name, names("/d/a")) for each in FOUR]) == []


def test_tests_of_commands_do_not_stand_for_the_file() -> None:
    other = SharedList([EntryName("synctool_checks/test_tasks.py", "/b"), *names("/d/a")])
    assert judged(waiver("/b", LATER), [NodeRecord(each.name, other) for each in FOUR]) == []


def test_an_expired_one_is_not_stale() -> None:
    assert judged(waiver("/b", date(2020, 1, 1)), records(*[Status.OK] * 4)) == []


def test_one_that_covers_nothing_is_not_stale_but_a_finding_of_lint() -> None:
    assert judged(waiver("/x", LATER) + waiver("/t", LATER), records(*[Status.OK] * 4)) == []


def test_not_if_a_check_of_your_own_fails_for_the_path() -> None:
    tests = SharedList([*TESTS, EntryName("mine/test_site.py::check_it", "/b")])
    drifted = [NodeRecord(each.name, tests, ((2, DRIFT),)) for each in FOUR]
    assert judged(waiver("/b", LATER), drifted) == []


def test_each_waiver_is_judged_by_itself() -> None:
    text = waiver("/b", LATER) + waiver("/**", LATER, nodes="node[1-3]") + waiver("/d/*", LATER, nodes="web")
    assert judged(text, records(Status.OK, Status.OK, Status.WAIVED, Status.OK)) == ["1", "9"]


@given(
    st.lists(st.sampled_from([None, *Status]), min_size=4, max_size=4),
    st.sets(st.sampled_from(NODES), min_size=1),
)
def test_only_if_all_its_nodes_are_known_to_be_in_sync(statuses: list[Status | None], covered: set[str]) -> None:
    lines = judged(waiver("/b", LATER, nodes=f"[{', '.join(sorted(covered))}]"), records(*statuses))
    known = dict(zip(NODES, statuses, strict=True))
    assert bool(lines) == all(known[name] is Status.OK for name in covered)


def test_a_waiver_for_a_name_in_an_exclusive_directory() -> None:
    """It is stale if the test of the directory passes, and not if that waives something, fails, or did not run."""
    top = Entry(entry(b"/d", state(Kind.DIRECTORY)).source, attributes=Attributes(exclusive="yes"))
    entries = EntryList([top], exclusive=exclusive_contents([top]))
    overlay, contents = (
        EntryName("synctool_checks/test_overlay.py", "/d"),
        EntryName("synctool_checks/test_exclusive.py", "/d/"),
    )

    def stale_paths(path: str, *tests: EntryName, status: Status | None = None) -> list[str]:
        results = () if status is None else ((1, Outcome(status)),)
        record = NodeRecord("node1", SharedList(tests), results)
        waivers = stale(in_force(waiver(path, LATER)), [node("node1")], lambda _: entries, {"node1": record})
        return [each.place for each in waivers]

    for path in ("/d/rogue", "/d/*", "/**"):
        assert stale_paths(path, overlay, contents) == ["waivers.yaml:1"]
        assert stale_paths(path, overlay) == []
        for status in (Status.WAIVED, Status.DRIFT, Status.ERROR):
            assert stale_paths(path, overlay, contents, status=status) == []
    assert stale_paths("/d/sub/rogue", overlay, contents) == []  # it covers nothing, which lint finds
