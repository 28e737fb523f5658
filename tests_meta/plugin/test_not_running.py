"""Options of pytest by which no test runs: no node is contacted, nothing is repaired, and no report is replaced."""

from __future__ import annotations

import pytest

from tests_meta.site import Site

RUNS_NO_TEST = (
    *("--collect-only", "--co", "--setup-plan", "--setup-only"),
    *("--fixtures", "--fixtures-per-test", "--cache-show"),
)
INFORMS = ("--help", "--version", "-VV", "--markers")


@pytest.fixture
def far(site: Site) -> Site:
    """Return a site whose node cannot be reached, with a report of an earlier run."""
    site.nodes = {"node1": "batch connection:ssh://nowhere.invalid"}
    site.put("one._all")
    reports = site.directory / "reports"
    reports.mkdir()
    for name in ("drift.json", "junit.xml", "run.jsonl"):
        (reports / name).write_text("earlier")
    return site


def run_without_junit(site: Site, *arguments: str) -> tuple[int, str]:
    """Run the suite without --junitxml. Return the exit status and the output."""
    command = [word for word in site.command(*arguments) if not word.startswith("--junitxml")]
    run = site.pytest(command=command)
    return run.status, run.output


def check_reports(site: Site) -> None:
    """Check that nothing was written."""
    for name in ("drift.json", "junit.xml", "run.jsonl"):
        assert (site.directory / "reports" / name).read_text() == "earlier"
    assert not list(site.masterdir.glob(".*"))


@pytest.mark.parametrize("option", [*RUNS_NO_TEST, *INFORMS])
def test_an_audit(far: Site, option: str) -> None:
    status, output = run_without_junit(far, option, "--synctool-jsonl=reports/run.jsonl")
    assert status == 0, output
    assert "unreachable" not in output
    check_reports(far)


@pytest.mark.parametrize("repair", ["--fix", "--restore"])
@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
@pytest.mark.parametrize("option", RUNS_NO_TEST)
def test_a_repair(far: Site, option: str, repair: str, workers: tuple[str, ...]) -> None:
    """A header that says "fixing" would be wrong."""
    status, output = run_without_junit(far, repair, option, *workers)
    assert status == 4, output
    name = "--collect-only" if option == "--co" else option
    assert f"{repair} does not go with {name}: nothing runs" in output
    check_reports(far)


@pytest.mark.parametrize("option", INFORMS)
def test_information_on_a_repair(far: Site, option: str) -> None:
    """Only the information is printed."""
    status, output = run_without_junit(far, "--fix", option, "--synctool-jsonl=reports/run.jsonl")
    assert status == 0, output
    check_reports(far)


def test_a_plan_lists_the_tests(far: Site) -> None:
    status, output = run_without_junit(far, "--setup-plan", "-k", "one")
    assert status == 0
    assert f"        synctool_checks/test_overlay.py::node1::{far.top}/one" in output


def test_setup_show_runs_the_tests(far: Site) -> None:
    status, output = run_without_junit(far, "--setup-show")
    assert status == 1
    assert "unreachable" in output
