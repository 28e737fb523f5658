"""Report files of whole runs: their contents, their places, and the messages if they cannot be written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from junitparser import Failure, JUnitXml
from prometheus_client.parser import text_string_to_metric_families

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site
from tests_meta.unit.report.test_run_reports import SCHEMA


@pytest.fixture
def two(site: Site) -> Site:
    """Return a site with two nodes that are this machine, without any of the entries, and an unreachable node."""
    site.nodes = {"node.1": "batch connection:chroot:///", "node2": "batch connection:chroot:///"}
    site.nodes["gone"] = "login connection:chroot:///nonexistent"
    site.put("d/one._all")
    site.put(b"\xff[1]._all")
    return site


@ALONE_AND_XDIST
def test_every_report_of_a_run(two: Site, workers: tuple[str, ...]) -> None:
    arguments = ("--synctool-summary=s.md", "--synctool-codequality=q.json", "--synctool-jsonl=l.jsonl")
    run = two.pytest(*workers, *arguments, environment={"GITHUB_ACTIONS": "true"})
    assert run.status == 1
    document = json.loads((two.directory / "reports/drift.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["run"]["complete"]
    assert [(node["node"], node["outcome"]) for node in document["nodes"]] == [
        ("node.1", "drifted"),
        ("node2", "drifted"),
        ("gone", "unreachable"),
    ]
    assert {row["message"] for row in document["results"]} == {"missing"}
    families = text_string_to_metric_families((two.directory / "reports/metrics.prom").read_text())
    samples = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
    assert samples["synctool_drifted_entries", "batch"] == len(document["results"])
    assert samples["synctool_unreachable_nodes", "all"] == 1
    assert "not everything could be looked at" in (two.directory / "s.md").read_text()
    assert len(json.loads((two.directory / "q.json").read_text())) == 2
    rows = [json.loads(line) for line in (two.directory / "l.jsonl").read_text().splitlines()]
    assert (rows[0]["type"], rows[-1]["type"], rows[-1]["run"]["exit_status"]) == ("run", "end", 1)
    assert run.output.count("::error ") == 2
    assert ": /data missing and 4 below it (2 nodes)" in run.output


def test_the_junit_report_suits_other_readers(two: Site) -> None:
    """A class is the check and the node without dots, a name is a destination, and a message is one line."""
    two.pytest("--diff")
    cases = [case for suite in JUnitXml.fromfile(str(two.directory / "junit.xml")) for case in suite]
    pairs = [(case.classname, case.name) for case in cases]
    assert len(set(pairs)) == len(pairs)
    assert ("synctool_checks.test_overlay.node_1", f"{two.top}/d/one") in pairs
    assert ("synctool_checks.test_overlay.node2", f"{two.top}/%FF%5B1]") in pairs
    failed = [result for case in cases for result in case.result if isinstance(result, Failure)]
    assert all(len(result.message.splitlines()) == 1 for result in failed)
    (error,) = ElementTree.parse(two.directory / "junit.xml").iter("error")
    assert str(error.get("message")).startswith("gone unreachable: ")


def test_xunit1_has_source_and_properties(two: Site) -> None:
    two.pytest("-o", "junit_family=xunit1")
    cases = {
        (case.get("classname"), case.get("name")): case
        for case in ElementTree.parse(two.directory / "junit.xml").iter("testcase")
    }
    case = cases["synctool_checks.test_overlay.node2", f"{two.top}/d/one"]
    assert case.get("file") == f"overlay{two.top}/d/one._all"
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert properties == {"groups": "batch", "status": "drift", "changes": "missing"}


def test_xunit1_has_no_good_status_for_an_unreachable_node(two: Site) -> None:
    two.nodes = {"node1": "batch connection:ssh://nowhere.invalid"}
    for arguments, expected in (((), {"error", "skipped"}), (("--granularity=node", "-m", "overlay"), {"error"})):
        two.pytest("-o", "junit_family=xunit1", *arguments)
        root = ElementTree.parse(two.directory / "junit.xml")
        assert {p.get("value") for p in root.iter("property") if p.get("name") == "status"} == expected


def test_the_junit_report_is_among_the_others_by_default(two: Site) -> None:
    command = [word for word in two.command() if not word.startswith("--junitxml")]
    output = two.pytest(command=command).output
    names = {path.name for path in (two.directory / "reports").iterdir() if not path.name.startswith(".")}
    assert names == {"drift.html", "drift.json", "history.sqlite", "index.html", "junit.xml", "metrics.prom", "runs"}
    assert f"generated xml file: {two.directory}/reports/junit.xml" in output
    two.pytest(command=[*command, "--synctool-reports="])
    assert not (two.directory / "junit.xml").exists()


def test_the_page_shows_this_run_and_the_ones_before(two: Site) -> None:
    """Every run replaces the page if no runs are kept. Without a history it shows no earlier runs."""
    page = two.directory / "reports/drift.html"
    two.pytest("--history-keep=0", "--runs-keep=0")
    text = page.read_text()
    assert '<h1 id="headline">Not everything could be looked at</h1>' in text
    assert "No earlier runs are known." in text
    two.pytest("--hosts=node2", "--runs-keep=0")
    assert "No earlier runs are known." in page.read_text()
    two.pytest("--hosts=node2", "--runs-keep=0")
    text = page.read_text()
    assert '<h1 id="headline">Drift on 1 of 1 node</h1>' in text
    assert "Nodes of the last 2 runs, by how they ended" in text
    two.pytest("--hosts=node2", "--synctool-reports=")
    assert page.read_text() == text


def test_only_runs_that_write_reports_load_their_libraries(two: Site) -> None:
    (two.directory / "conftest.py").write_text(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    print('LOADED', *sorted({'jinja2', 'prometheus_client', 'sqlite3'} & set(sys.modules)))\n"
    )
    for arguments, loaded in ((["--synctool-reports="], ""), ([], " jinja2 prometheus_client sqlite3")):
        run = two.finish(two.start(two.command(*arguments)), 120)  # a new interpreter
        assert f"LOADED{loaded}\n" in run.output


def test_a_report_that_cannot_be_written_fails_the_run_with_a_message(two: Site) -> None:
    (two.directory / "file").write_text("")
    run = two.pytest("--synctool-reports=file/below")
    assert run.status == 4
    assert "--synctool-reports: no reports can be written in" in run.output
    two.nodes = {"node2": "batch connection:chroot:///"}
    two.delete("evil._all")
    assert two.pytest("-m", "delete").status == 0
    run = two.pytest("-m", "delete", "--synctool-summary=nowhere/s.md", "--synctool-jsonl=/dev/full")
    assert run.status == 1
    assert "ERROR the report /dev/full could not be written: No space left on device" in run.output
    assert "ERROR the report nowhere/s.md could not be written: No such file or directory" in run.output


@ALONE_AND_XDIST
def test_a_junit_report_that_cannot_be_written_prevents_nothing_else(two: Site, workers: tuple[str, ...]) -> None:
    """The summary, the other reports and the failures for --lf are still written."""
    two.nodes = {"node2": "batch connection:chroot:///"}
    two.delete("evil._all")
    plain = [word for word in two.command(*workers) if not word.startswith("--junitxml")]
    run = two.pytest(command=[*plain, "--junitxml=/dev/full"])
    assert run.status == 1
    assert "ERROR the report /dev/full could not be written: No space left on device" in run.output
    assert "generated xml file" not in run.output
    assert "1 node: 1 drifted" in run.output
    assert "5 failed, 1 passed" in run.output
    assert len(json.loads((two.directory / "reports/drift.json").read_text())["results"]) == 5
    assert len(json.loads((two.directory / ".pytest_cache/v/cache/lastfailed").read_text())) == 5
    run = two.pytest(command=[*plain, "--junitxml=/dev/full", "-m", "delete"])
    assert run.status == 1
    assert json.loads((two.directory / "reports/drift.json").read_text())["run"]["exit_status"] == 1


def test_new_drift_is_marked(two: Site) -> None:
    two.pytest("--hosts=node2")
    earlier = two.directory / "earlier.json"
    (two.directory / "reports/drift.json").rename(earlier)
    two.pytest(f"--synctool-baseline={earlier}")
    document = json.loads((two.directory / "reports/drift.json").read_text())
    assert {(row["node"], row["new"]) for row in document["results"]} == {("node2", False), ("node.1", True)}
    earlier.write_text("{}")
    run = two.pytest(f"--synctool-baseline={earlier}")
    assert run.status == 4
    assert "not a drift.json of this tool; expected a drift.json" in run.output


def test_the_reports_of_an_interrupted_run_are_marked_as_incomplete(two: Site) -> None:
    (two.directory / "conftest.py").write_text(
        "import pytest\n"
        "@pytest.hookimpl(trylast=True)\n"
        "def pytest_runtest_logreport(report):\n"
        "    raise KeyboardInterrupt\n"
    )
    run = two.pytest()
    assert run.status == 2
    assert json.loads((two.directory / "reports/drift.json").read_text())["run"]["complete"] is False
    assert "The run did not come to its end." in (two.directory / "reports/drift.html").read_text()


def test_runs_of_other_projects_write_no_reports(site: Site) -> None:
    (site.directory / "test_plain.py").write_text("def test_plain():\n    pass\n")
    command = [word for word in site.command(configured=False) if not word.startswith("--junitxml")]
    command[3:5] = ["test_plain.py"]
    assert site.pytest(command=command).status == 0
    assert not (site.directory / "reports").exists()


def test_the_history_of_drift(two: Site) -> None:
    """The reports show since when and why drift is there. synctool-history reads the same history."""
    two.pytest("--hosts=node2")
    first = json.loads((two.directory / "reports/drift.json").read_text())
    two.pytest("--hosts=node2")
    again = json.loads((two.directory / "reports/drift.json").read_text())
    assert [row["since"] for row in again["results"]] == [row["since"] for row in first["results"]]
    assert {row["cause"] for row in again["results"]} == {"first"}
    status = subprocess.run(
        [str(Path(sys.executable).with_name("synctool-history")), f"{two.top}/d/one"],
        cwd=two.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert status.returncode == 0, status.stderr
    assert "node2" in status.stdout
    (two.directory / "reports/history.sqlite").write_bytes(b"garbage, not a database" * 99)
    run = two.pytest("--hosts=node2")
    assert run.status == 1
    assert "WARNING" in run.output
    assert [p for p in (two.directory / "reports").iterdir() if ".damaged" in p.name]
