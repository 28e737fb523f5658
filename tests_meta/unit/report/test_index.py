"""The page of all runs, made from a history and taken apart."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import lxml.html
import pytest
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.trust import Trust
from pytest_synctool.model import Outcome, Revision, Status
from pytest_synctool.report.history.recorder import record
from pytest_synctool.report.page.index import write
from pytest_synctool.report.record import EntryName, NodeRecord

from tests_meta.unit.runs import run, unchanged

OURS = Trust.of_caller()


def page(reports: Path) -> Any:
    """Write the page and return its tree."""
    write(reports, OURS, 0o600)
    return lxml.html.document_fromstring((reports / "index.html").read_bytes())


def table(tree: Any, section: str) -> list[list[str]]:
    """Return the cells of a section's table."""
    rows = tree.xpath(f"//section[@aria-labelledby='{section}-title']//tbody/tr")
    return [[" ".join(cell.text_content().split()) for cell in row] for row in rows]


def test_runs_nodes_and_paths(tmp_path: Path) -> None:
    steps: list[tuple[str, dict[str, str | None], bool]] = [
        ("audit", {"n1": "...", "n2": "...", "n3": "..."}, True),
        ("audit", {"n1": "d..", "n2": "dw.", "n3": None}, True),
        ("fix", {"n1": "f.."}, False),
        ("audit", {"n1": "...", "n2": "e..", "n3": "..."}, True),
    ]
    for number, (mode, nodes, whole) in enumerate(steps):
        one = run(number, nodes, mode, is_whole=whole, id=f"2026010{number}T000000-00000{number}")
        one.revision = Revision("ab" * 20, is_dirty=True) if number == 3 else None
        assert record(tmp_path / "history.sqlite", one, unchanged, 100).problem is None
    kept = tmp_path / "runs" / "20260103T000000-000003"
    kept.mkdir(parents=True)
    tree = page(tmp_path)
    runs = table(tree, "runs")
    assert [row[0] for row in runs] == [f"2026010{n}T000000-00000{n}" for n in (3, 2, 1, 0)]
    assert runs[0][4:] == ["abababababab (dirty)", "3", "1", "0", "0", "0", "2", ""]
    assert runs[1][-1] == "of a part of the cluster"
    assert sorted(table(tree, "nodes")) == [
        ["n1", ".", "D", "F", "."],
        ["n2", ".", "D", "", "E"],
        ["n3", ".", "?", "", "."],
    ]
    assert sorted(table(tree, "paths")) == [["/etc/a", "", "2", "1", "1"], ["/etc/b", "", "1", "", ""]]
    links = {address for address in tree.xpath("//a/@href") if address.startswith("runs/")}
    page_of_run = "runs/20260103T000000-000003/drift.html"
    assert links == {page_of_run, *(f"{page_of_run}#node=n{n}" for n in (1, 2, 3)), f"{page_of_run}#text=%2Fetc%2Fa"}
    assert tree.xpath("//svg//a")
    assert not tree.xpath("//script")
    assert not tree.xpath("//nav")
    assert "drift.html" not in tree.xpath("//a/@href")


def test_nodes_alike_are_one_line(tmp_path: Path) -> None:
    for number in range(35):
        nodes: dict[str, str | None] = {f"n{n:03}": "." for n in range(300)}
        record(tmp_path / "history.sqlite", run(number, nodes | {"bad": "d"}), unchanged, 100)
    tree = page(tmp_path)
    rows = table(tree, "nodes")
    assert [row[0] for row in rows] == ["bad", "n[000-299]"]
    assert [len(row) for row in rows] == [21, 21]
    assert len(table(tree, "runs")) == 35
    ticks = tree.xpath("//svg/text[@text-anchor='end']/text()")
    assert ticks == ["0", "100", "200", "300", "400"]
    assert re.fullmatch(r"2026-01-0\d", tree.xpath("//svg/text[not(@text-anchor)]/text()")[0])


def test_names_are_no_markup(tmp_path: Path) -> None:
    one = run(0, {})
    name = "<script>x</script>\u202e\"'"
    entry = EntryName("synctool_checks/test_overlay.py", "/%3Cscript%3Ex%22")
    outcome = Outcome(Status.DRIFT, name)
    one.nodes.append(NodeRecord(name, SharedList([entry]), ((0, outcome),)))
    one.user = one.host = one.mode = name
    record(tmp_path / "history.sqlite", one, unchanged, 10)
    tree = page(tmp_path)
    assert not tree.xpath("//script")
    assert "\u202e" not in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 999])
def test_without_a_history_there_is_no_page(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "history.sqlite").write_bytes(content)
    write(tmp_path, OURS, 0o600)
    assert not os.path.lexists(tmp_path / "index.html")
