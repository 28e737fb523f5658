"""Report files of whole runs: what is in them, where they are, and what happens if they cannot be written."""

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

from tests_meta.site import Site
from tests_meta.unit.report.test_run_reports import SCHEMA


@pytest.fixture
def two(site: Site) -> Site:
    """Two nodes that are this machine, on which everything is missing, and one that does not answer."""
    site.nodes = {"node.1": "batch connection:chroot:///", "node2": "batch connection:chroot:///"}
    site.nodes["gone"] = "login connection:chroot:///nonexistent"
    site.put("d/one._all")
    site.put(b"\xff[1]._all")
    return site


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_every_report_of_a_run(two: Site, workers: tuple[str, ...]) -> None:
    arguments = ("--synctool-summary=s.md", "--synctool-codequality=q.json", "--synctool-jsonl=l.jsonl")
    run = two.pytest(*workers, *arguments, environment={"GITHUB_ACTIONS": "true"})
    assert run.status == 1
    found = json.loads((two.directory / "reports/drift.json").read_text())
    jsonschema.validate(found, SCHEMA)
    assert found["run"]["complete"]
    assert [(node["node"], node["outcome"]) for node in found["nodes"]] == [
        ("node.1", "drifted"),
        ("node2", "drifted"),
        ("gone", "unknown"),
    ]
    assert {row["message"] for row in found["results"]} == {"missing"}
    families = text_string_to_metric_families((two.directory / "reports/metrics.prom").read_text())
    samples = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
    assert samples["synctool_drifted_entries", "batch"] == len(found["results"])
    assert samples["synctool_unreachable_nodes", "all"] == 1
    assert "not everything could be looked at" in (two.directory / "s.md").read_text()
    assert len(json.loads((two.directory / "q.json").read_text())) == 2
    rows = [json.loads(line) for line in (two.directory / "l.jsonl").read_text().splitlines()]
    assert (rows[0]["type"], rows[-1]["type"], rows[-1]["run"]["exit_status"]) == ("run", "end", 1)
    assert run.output.count("::error ") == 2
    assert ": /data missing and 4 below it (2 nodes)" in run.output


def test_junit_as_others_read_it(two: Site) -> None:
    """Classes are the check and the node, without its dots; names are destinations; messages are one line."""
    two.pytest("--diff")
    cases = [case for suite in JUnitXml.fromfile(str(two.directory / "junit.xml")) for case in suite]
    pairs = [(case.classname, case.name) for case in cases]
    assert len(set(pairs)) == len(pairs)
    assert ("synctool_checks.test_overlay.node_1", f"{two.top}/d/one") in pairs
    assert ("synctool_checks.test_overlay.node2", f"{two.top}/%FF%5B1]") in pairs
    failed = [result for case in cases for result in case.result if isinstance(result, Failure)]
    assert all(len(result.message.splitlines()) == 1 for result in failed)
    (error,) = ElementTree.parse(two.directory / "junit.xml").iter("error")
    assert str(error.get("message")).startswith("gone: ")


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


def test_the_junit_report_is_among_the_others_unless_told_otherwise(two: Site) -> None:
    command = [word for word in two.command() if not word.startswith("--junitxml")]
    output = two.pytest(command=command).output
    names = {path.name for path in (two.directory / "reports").iterdir() if not path.name.startswith(".")}
    assert names == {"drift.html", "drift.json", "history.sqlite", "junit.xml", "metrics.prom"}
    assert f"generated xml file: {two.directory}/reports/junit.xml" in output
    two.pytest(command=[*command, "--synctool-reports="])
    assert not (two.directory / "junit.xml").exists()


def test_the_page_is_of_this_run_and_those_before(two: Site) -> None:
    """It is replaced by every run; without a history there is nothing to tell of others."""
    page = two.directory / "reports/drift.html"
    two.pytest("--history-keep=0")
    text = page.read_text()
    assert '<h1 id="headline">Not everything could be looked at</h1>' in text
    assert "No earlier runs are known." in text
    two.pytest("--hosts=node2")
    assert "No earlier runs are known." in page.read_text()
    two.pytest("--hosts=node2")
    text = page.read_text()
    assert '<h1 id="headline">Drift on 1 of 1 node</h1>' in text
    assert "Nodes of the last 2 runs, by how they ended" in text
    two.pytest("--hosts=node2", "--synctool-reports=")
    assert page.read_text() == text


def test_what_makes_reports_is_loaded_by_those_runs_that_write_them(two: Site) -> None:
    (two.directory / "conftest.py").write_text(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    print('LOADED', *sorted({'jinja2', 'prometheus_client', 'sqlite3'} & set(sys.modules)))\n"
    )
    assert "LOADED\n" in two.pytest("--synctool-reports=").output
    assert "LOADED jinja2 prometheus_client sqlite3\n" in two.pytest().output


def test_a_report_that_cannot_be_written_is_told_and_fails_the_run(two: Site) -> None:
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


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_junit_report_that_cannot_be_written_takes_nothing_else_with_it(two: Site, workers: tuple[str, ...]) -> None:
    """Neither the summary, nor the other reports, nor what --lf will find."""
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


def test_known_drift_is_told_apart(two: Site) -> None:
    two.pytest("--hosts=node2")
    earlier = two.directory / "earlier.json"
    (two.directory / "reports/drift.json").rename(earlier)
    two.pytest(f"--synctool-baseline={earlier}")
    found = json.loads((two.directory / "reports/drift.json").read_text())
    assert {(row["node"], row["new"]) for row in found["results"]} == {("node2", False), ("node.1", True)}
    earlier.write_text("{}")
    run = two.pytest(f"--synctool-baseline={earlier}")
    assert run.status == 4
    assert "not a drift.json of this tool; expected a drift.json" in run.output


def test_an_interrupted_run_says_so(two: Site) -> None:
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


def test_no_report_of_other_projects(site: Site) -> None:
    (site.directory / "test_plain.py").write_text("def test_plain():\n    pass\n")
    command = [word for word in site.command(configured=False) if not word.startswith("--junitxml")]
    command[3:5] = ["test_plain.py"]
    assert site.pytest(command=command).status == 0
    assert not (site.directory / "reports").exists()


def test_the_history_of_a_finding(two: Site) -> None:
    """Since when, and why; the command tells the same."""
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
