"""Waivers in whole runs: waived drift, expired waivers and stale waivers, in every report."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import jsonschema
import pytest
from junitparser import JUnitXml, Skipped

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site
from tests_meta.unit.report.test_run_reports import SCHEMA


@pytest.fixture
def two(site: Site) -> Site:
    """Return a site with two nodes that are this machine. /…/a is missing; /…/gone must not exist, and does not."""
    site.nodes = {"node1": "batch connection:chroot:///", "node2": "login connection:chroot:///"}
    site.put("a._all")
    site.delete("gone._all")
    return site


def waive(site: Site, *rules: tuple[str, str, str]) -> None:
    """Write waivers.yaml with rules of a path below the site's top, nodes and the last day."""
    items = (
        f"- path: {site.top}{path}\n  nodes: {nodes}\n  reason: waits for ticket 7\n  expires: {day}\n"
        for path, nodes, day in rules
    )
    (site.masterdir / "waivers.yaml").write_text("".join(items))


def everything(site: Site, nodes: str = "node[1-2]", day: str = "2999-12-31") -> None:
    """Waive all drift of the site's overlay."""
    text = f"- path: [/data, {site.top}, {site.top}/a]\n  nodes: {nodes}\n  reason: waits for 7\n  expires: {day}\n"
    (site.masterdir / "waivers.yaml").write_text(text)


@ALONE_AND_XDIST
def test_waived_drift_is_xfail_with_its_reason_in_every_report(two: Site, workers: tuple[str, ...]) -> None:
    everything(two)
    run = two.pytest(*workers, "--synctool-summary=s.md", "--synctool-codequality=q.json", "--synctool-jsonl=l.jsonl")
    waiver = "waits for 7, until 2999-12-31, waivers.yaml:1"
    assert run.status == 0
    assert f"WAIVED node[1-2]: /data missing and 2 below it (waived: {waiver}) (2 nodes)" in run.output
    assert "2 nodes: 2 waived" in run.output
    assert "2 passed, 6 xfailed" in run.output
    skipped = [case for suite in JUnitXml.fromfile(str(two.directory / "junit.xml")) for case in suite if case.result]
    assert len(skipped) == 6
    for case in skipped:
        (result,) = case.result
        assert isinstance(result, Skipped)
        assert (result.type, result.message) == ("pytest.xfail", f"missing; waived: {waiver}")
    document = json.loads((two.directory / "reports/drift.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert {(row["outcome"], row["waiver"]) for row in document["results"]} == {("waived", waiver)}
    assert {node["outcome"] for node in document["nodes"]} == {"waived"}
    assert 'synctool_waived_entries{group="all"} 6.0' in (two.directory / "reports/metrics.prom").read_text()
    assert "| WAIVED | node[1-2] (2 nodes) |" in (two.directory / "s.md").read_text().replace("&#91;", "[").replace(
        "&#93;", "]"
    )
    assert {issue["severity"] for issue in json.loads((two.directory / "q.json").read_text())} == {"info"}
    assert waiver in (two.directory / "l.jsonl").read_text()


def test_a_waiver_for_one_node_only(two: Site) -> None:
    everything(two, nodes="node2")
    run = two.pytest("-rx")
    assert run.status == 1
    assert (run.word("node1", f"{two.top}/a"), run.word("node2", f"{two.top}/a")) == ("failure", "skipped")
    assert "2 nodes: 1 waived, 1 drifted" in run.output
    assert f"XFAIL synctool_checks/test_overlay.py::node2::{two.top}/a" in run.output


def test_an_expired_waiver_fails_again(two: Site) -> None:
    everything(two, day="2020-02-29")
    run = two.pytest()
    assert run.status == 1
    assert run.word("node1", f"{two.top}/a") == "failure"
    assert "(waiver expired on 2020-02-29: waits for 7, waivers.yaml:1)" in run.output


def test_workers_use_the_day_of_the_controller(two: Site) -> None:
    """A worker may be in another time zone."""
    everything(two, day="2999-12-31")
    (two.directory / "conftest.py").write_text(
        "import pytest\n"
        "@pytest.hookimpl(trylast=True)\n"
        "def pytest_configure_node(node):\n"
        "    node.workerinput['synctool_today'] = '3000-01-01'\n"
    )
    assert "waiver expired on 2999-12-31" in two.pytest("-n2").output


@ALONE_AND_XDIST
def test_a_waiver_whose_drift_is_gone_fails_as_stale(two: Site, workers: tuple[str, ...]) -> None:
    waive(two, ("/a", "node[1-2]", "2999-12-31"), ("/gone", "node1", "2999-12-31"), ("/go*", "node2", "2020-01-01"))
    two.put("a._none").parent.joinpath("a._all").unlink()  # so no overlay entry applies
    run = two.pytest(*workers, "-m", "delete", "--synctool-summary=s.md", "--synctool-codequality=q.json")
    message = f"{two.top}/gone no longer differs on node1: remove this waiver (waits for ticket 7)"
    assert run.status == 1
    assert run.output.count(f"STALE waivers.yaml:5: {message}") == 1
    assert "2 nodes: 2 in sync" in run.output
    assert "1 failed, 2 passed" in run.output
    assert "[100%]\n" in run.output  # no letter follows the percentage
    cases = {case.get("name"): case for case in ElementTree.parse(two.directory / "junit.xml").iter("testcase")}
    failure = cases["waivers.yaml:5"].find("failure")
    assert failure is not None
    assert failure.get("message") == f"waivers.yaml:5: {message}"
    document = json.loads((two.directory / "reports/drift.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["stale_waivers"] == [{"waiver": "waivers.yaml:5", "nodes": ["node1"], "message": message}]
    assert document["run"]["exit_status"] == 1
    assert "synctool_stale_waivers 1.0" in (two.directory / "reports/metrics.prom").read_text()
    (issue,) = json.loads((two.directory / "q.json").read_text())
    assert (issue["check_name"], issue["location"]["path"]) == ("stale-waiver", "masterdir/waivers.yaml")
    summary = (two.directory / "s.md").read_text()
    assert summary.startswith("## synctool: stale waivers\n")
    assert "| STALE | node1 | " in summary
    assert "--fix" not in summary
    assert json.loads((two.directory / ".pytest_cache/v/cache/lastfailed").read_text()) == {}


@pytest.mark.parametrize("option", ["--hosts=node1", "-mdelete and batch", "--no-waivers", "--collect-only"])
def test_a_run_of_a_part_of_its_tests_does_not_judge_a_waiver(two: Site, option: str) -> None:
    waive(two, ("/gone", "node[1-2]", "2999-12-31"))
    assert "STALE" in two.pytest("-m", "delete").output
    assert "STALE" not in two.pytest("-m", "delete", option).output


def test_a_waiver_of_an_unreachable_node_is_not_stale(two: Site) -> None:
    two.nodes["node2"] = "login connection:chroot:///nonexistent"
    waive(two, ("/gone", "node[1-2]", "2999-12-31"))
    run = two.pytest("-m", "delete")
    assert run.status == 1
    assert "STALE" not in run.output


def test_a_waiver_can_be_stale_though_one_of_its_nodes_is_ignored(two: Site) -> None:
    two.lines.append("ignore_node node2")
    waive(two, ("/gone", "node[1-2]", "2999-12-31"))
    assert "STALE waivers.yaml:1" in two.pytest("-m", "delete").output


def test_no_waivers_ignores_the_file(two: Site) -> None:
    everything(two)
    run = two.pytest("--no-waivers")
    assert run.status == 1
    assert "WAIVED" not in run.output
    assert "xfailed" not in run.output


@pytest.mark.parametrize("quiet", ["-q", "-qq"])
def test_a_quiet_run_has_a_line_for_each_finding(two: Site, quiet: str) -> None:
    two.nodes["gone"] = "batch connection:chroot:///nonexistent"
    waive(two, ("/gone", "node[1-2]", "2999-12-31"))
    run = two.pytest(quiet)
    lines = run.output.splitlines()
    if quiet == "-q":
        assert lines.pop(0).endswith("[100%]")
        assert lines.pop().startswith("7 failed, 2 passed, ")
    words = ["STALE waivers.yaml:1:", "ERROR gone: unreachable:", "DRIFT node[1-2]: /data"]
    *findings, counts = [line for line in lines if line]
    assert all(line.startswith(word) for line, word in zip(findings, words, strict=True))
    assert counts == "3 nodes: 2 drifted, 1 not looked at; DRY RUN, nothing was changed"


def test_a_whole_node_is_waived_if_all_of_its_drift_is(two: Site) -> None:
    everything(two, nodes="node2")
    run = two.pytest("--granularity=node", "-rx")
    assert run.status == 1
    assert "1 failed, 2 passed, 1 xfailed" in run.output
    assert "3 waived of 3: /data missing" in run.output


def test_a_bad_file_is_reported_before_a_node_is_contacted(two: Site) -> None:
    (two.masterdir / "waivers.yaml").write_text("- path: /data\n  nodes: node9\n  reason: r\n  expires: soon\n")
    run = two.pytest()
    path = two.masterdir / "waivers.yaml"
    assert run.status == 4
    assert f"{path}:2: unknown node 'node9' (did you mean 'node" in run.output
    assert f"{path}:4: 'expires' expects a day like 2026-12-31, not 'soon'" in run.output


OWN = "def check_own(entry, actual):\n    return []\n"


def waive_what_is_right(two: Site) -> None:
    """Waive drift of a file of this machine that is as it should be."""
    two.nodes = {"node1": "batch connection:local://"}
    two.top = str(two.directory / "real")
    (two.directory / "real").mkdir()
    (two.directory / "real" / "b").write_text("content\n")
    two.put("b._all")
    (two.masterdir / "waivers.yaml").write_text(
        f"- path: {two.top}/b\n  nodes: node1\n  reason: waits for 7\n  expires: 2999-12-31\n"
    )


@ALONE_AND_XDIST
@pytest.mark.parametrize(
    ("suite", "arguments"),
    [
        (False, ()),
        (True, ("--deselect=synctool_checks/test_overlay.py",)),
        (True, ("--deselect=test_own.py",)),
        (True, ("-k", "not test_own")),
        (True, ("-k", "test_own")),
        (True, ("--deselect=test_own.py", "--granularity=node")),
    ],
)
def test_a_waiver_is_not_stale_where_a_check_of_its_path_did_not_run(
    two: Site, suite: bool, arguments: tuple[str, ...], workers: tuple[str, ...]
) -> None:
    """The waived drift may be one that only this check finds."""
    waive_what_is_right(two)
    (two.directory / "test_own.py").write_text(OWN)
    command = two.command("test_own.py", *workers, *arguments)
    if not suite:
        command[3:5] = []
    run = two.pytest(command=command)
    assert "STALE" not in run.output, run.output
    assert "STALE waivers.yaml:1" in two.pytest("test_own.py", *workers).output, "all checks have run"


@ALONE_AND_XDIST
@pytest.mark.parametrize(
    ("place", "testpaths", "is_stale"),
    [
        ("test_own.py", "", False),
        ("checks/deep/test_own.py", "", False),
        ("checks/test_own.py", "checks", False),
        ("other/test_own.py", "checks", True),
        ("build/test_own.py", "", True),
        ("masterdir/overlay/test_own.py", "", True),
        ("own.py", "", True),
    ],
)
def test_a_waiver_is_not_stale_where_a_check_file_was_not_collected(
    two: Site, place: str, testpaths: str, is_stale: bool, workers: tuple[str, ...]
) -> None:
    """pytest would find the file in a run without arguments."""
    waive_what_is_right(two)
    (two.directory / "pytest.ini").write_text(f"[pytest]\ntestpaths = {testpaths}\n")
    file = two.directory / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(OWN)
    run = two.pytest(*workers)
    assert ("STALE waivers.yaml:1" in run.output) == is_stale, run.output


def test_an_id_alone_makes_no_waiver_stale(two: Site) -> None:
    """Other checks of its path are not even collected."""
    waive(two, ("/gone", "node[1-2]", "2999-12-31"))
    command = two.command("synctool_checks/test_delete.py::node1", "synctool_checks/test_delete.py::node2")
    command[3:5] = []
    assert "STALE" not in two.pytest(command=command).output
