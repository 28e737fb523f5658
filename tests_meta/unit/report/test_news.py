"""The news of runs: what is new since the last one that somebody was told of, and that all is well again."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.report.news import Known, Trouble, dump, news, parse
from pytest_synctool.report.record import RunRecord, StaleWaiver

from tests_meta.unit.runs import run


def whole(nodes: Mapping[str, str | None], **fields: object) -> RunRecord:
    return run(1, nodes, "audit", is_whole=True, **fields)


def told(*runs: RunRecord) -> list[str]:
    """Return the news of runs one after the other."""
    known: Known = frozenset()
    texts = []
    for each in runs:
        result = news(each, known)
        texts.append(result.text)
        known = parse(dump(result.known))
    return texts


def test_the_same_trouble_is_told_once() -> None:
    night = whole({"n1": "d..", "n2": "d.e", "n3": None, "n4": "..."})
    assert told(night, night, whole({"n1": "d..", "n2": "d.d", "n3": None, "n4": ".d."})) == [
        "3 new failures on n[1-2]; n3 not looked at",
        "",
        "1 new failure on n4",
    ]


def test_all_is_well_again_is_told_once() -> None:
    well = whole({"n1": ".f."})
    assert told(well, well) == ["", ""]
    assert told(whole({"n1": "d.."}), whole({"n1": "w.."}), well) == ["1 new failure on n1", "all is well again", ""]


def test_a_node_that_does_not_answer_keeps_what_is_known_of_it() -> None:
    drifted, away = whole({"n1": "d..", "n2": "..."}), whole({"n1": None, "n2": "..."})
    assert told(drifted, away, drifted, whole({"n1": "...", "n2": "..."})) == [
        "1 new failure on n1",
        "n1 not looked at",
        "",
        "all is well again",
    ]


def test_a_part_of_the_cluster_changes_only_what_it_has_looked_at() -> None:
    night, part = whole({"n1": "dd.", "n2": "d.."}), run(2, {"n1": "f  "}, is_whole=False)
    assert told(night, part, run(3, {"n1": " f ", "n2": "."}, is_whole=False)) == [
        "3 new failures on n[1-2]",
        "",
        "all is well again",
    ]
    assert told(night, run(2, {"n1": "..."}, is_whole=True, complete=False), night) == [
        "3 new failures on n[1-2]",
        "",
        "2 new failures on n1",
    ]
    assert told(night, run(2, {"n1": "ss "}, is_whole=False), night) == ["3 new failures on n[1-2]", "", ""]


def test_entries_and_nodes_that_are_gone_are_no_trouble_any_more() -> None:
    assert told(whole({"n1": "..d", "n2": "d"}), whole({"n1": ".."})) == [
        "2 new failures on n[1-2]",
        "all is well again",
    ]


def test_stale_waivers_and_many_nodes() -> None:
    stale = StaleWaiver("waivers.yaml:3", ("n1",), "/etc/a no longer differs")
    first, many = whole({"n1": "."}, stale_waivers=[stale]), whole({f"n{number}": "d" for number in range(1, 99, 2)})
    assert told(first, first, whole({"n1": "."}), many) == [
        "1 new stale waiver",
        "",
        "all is well again",
        "49 new failures on 49 nodes",
    ]


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["known", "version"]), inner),
)


@given(value=JSON)
def test_any_file_is_read(value: object) -> None:
    assert isinstance(parse(json.dumps({"known": value})), frozenset)
    assert isinstance(parse(json.dumps(value)), frozenset)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"known": [["a", "b", "c", "d"]]}', '{"known": "abc"}'])
def test_a_damaged_file_knows_of_nothing(text: str) -> None:
    assert all(isinstance(each, Trouble) for each in parse(text))
