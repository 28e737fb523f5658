"""Other plugins on a run of this one."""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from collections import Counter
from xml.etree import ElementTree

import pytest

from tests_meta.compat.conftest import Compat
from tests_meta.compat.table import BROKEN, OTHERS, Other


@pytest.mark.parametrize("arguments", [(), ("--fix", "--no-syslog")], ids=["audit", "fix"])
@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.name)
def test_our_own_results_are_those_of_a_run_alone(compat: Compat, other: Other, arguments: tuple[str, ...]) -> None:
    expected = compat.expected(*arguments)
    run = compat.run(*arguments, *other.arguments, plugins=other.modules, environment=dict(other.environment))
    print(run.output)
    assert "INTERNALERROR" not in run.output
    assert "Traceback" not in run.output
    assert compat.results(run) == expected


AUDIT = {"passed": 8, "failed": 4, "error": 1, "skipped": 6, "xfailed": 2}
FIX = {"passed": 12, "error": 1, "skipped": 6, "xfailed": 2}
TESTS = 21


def run(compat: Compat, name: str, *arguments: str) -> str:
    """Run the audit with a plugin; return what the terminal shows."""
    other = next(other for other in OTHERS if other.name == name)
    return compat.run(*other.arguments, *arguments, plugins=other.modules, environment=dict(other.environment)).output


@pytest.mark.parametrize(("arguments", "counts"), [((), AUDIT), (("--fix", "--no-syslog"), FIX), (("-n2",), AUDIT)])
def test_pytest_html(compat: Compat, arguments: tuple[str, ...], counts: dict[str, int]) -> None:
    run(compat, "pytest-html", *arguments)
    page = (compat.site.directory / "out.html").read_text()
    for word, title in (("passed", "Passed"), ("failed", "Failed"), ("error", "Errors"), ("skipped", "Skipped")):
        assert f'class="{word}">{counts.get(word, 0)} {title}' in page
    assert "gone unreachable: " in page


@pytest.mark.parametrize(("arguments", "counts"), [((), AUDIT), (("--fix", "--no-syslog"), FIX), (("-n2",), AUDIT)])
def test_pytest_json_report(compat: Compat, arguments: tuple[str, ...], counts: dict[str, int]) -> None:
    run(compat, "pytest-json-report", *arguments)
    document = json.loads((compat.site.directory / "out.json").read_text())
    summary = {key: number for key, number in document["summary"].items() if key != "collected"}
    assert summary == {**counts, "total": TESTS}
    crashes = [test["call"]["crash"] for test in document["tests"] if test["outcome"] == "failed"]
    assert [crash["path"].startswith("overlay/") for crash in crashes] == [True] * counts.get("failed", 0)


@pytest.mark.parametrize("name", ["pytest-nunit", "pytest-azurepipelines"])
def test_pytest_nunit(compat: Compat, name: str) -> None:
    output = run(compat, name)
    suite = ElementTree.parse(compat.site.directory / "nunit.xml").getroot()
    assert [suite.get(key) for key in ("total", "passed", "failed", "skipped")] == ["21", "10", "5", "6"], output
    assert all(case.get("start-time", "").startswith("20") for case in suite.iter("test-case"))


def test_allure(compat: Compat) -> None:
    run(compat, "allure-pytest")
    results = [json.loads(path.read_text()) for path in (compat.site.directory / "allure").glob("*-result.json")]
    assert Counter(result["status"] for result in results) == Counter(passed=8, failed=4, broken=1, skipped=8)
    messages = [result["statusDetails"]["message"] for result in results if result["status"] in ("failed", "broken")]
    assert all("missing" in message or "gone unreachable: " in message for message in messages)


def test_pytest_reportlog(compat: Compat) -> None:
    run(compat, "pytest-reportlog")
    lines = [json.loads(line) for line in (compat.site.directory / "out.jsonl").read_text().splitlines()]
    reports = [line for line in lines if line.get("$report_type") == "TestReport"]
    assert len({report["nodeid"] for report in reports}) == TESTS
    assert all(time.time() - 600 < report["start"] <= report["stop"] <= time.time() for report in reports)


def test_pytest_csv(compat: Compat) -> None:
    run(compat, "pytest-csv")
    rows = list(csv.DictReader((compat.site.directory / "out.csv").read_text().splitlines()))
    assert Counter(row["status"] for row in rows) == Counter(AUDIT)


def test_ctrf(compat: Compat) -> None:
    run(compat, "pytest-json-ctrf")
    summary = json.loads((compat.site.directory / "ctrf.json").read_text())["results"]["summary"]
    assert [summary[key] for key in ("tests", "passed", "failed", "skipped")] == [TESTS, 8, 5, 8]


def test_teamcity(compat: Compat) -> None:
    output = run(compat, "teamcity-messages")
    assert f"testCount count='{TESTS}'" in re.sub(r" timestamp='[^']*'", "", output)
    assert len(re.findall(r"testStarted", output)) == len(re.findall(r"testFinished", output)) == TESTS
    assert len(re.findall(r"testFailed", output)) == 5


def test_pytest_md_report_counts_what_was_fixed(compat: Compat) -> None:
    run(compat, "pytest-md-report", "--fix", "--no-syslog")
    total = (compat.site.directory / "out.md").read_text().splitlines()[-1]
    assert [int(word) for word in re.findall(r"\d+", total)] == [12, 1, 7, 2, TESTS + 1]


@pytest.mark.parametrize("arguments", [(), ("-n2",)], ids=["alone", "xdist"])
def test_pytest_sugar(compat: Compat, arguments: tuple[str, ...]) -> None:
    output = run(compat, "pytest-sugar", *arguments)
    if not arguments:
        assert [word for word in re.findall(r"(\d+)%", output) if int(word) > 100] == []
    counts = dict(re.findall(r"^\W*(\w+) (passed|failed|error|xfailed|skipped)\W*$", output, re.MULTILINE))
    assert {word: int(number) for number, word in counts.items()} == AUDIT


def test_pytest_spec_names_what_was_fixed(compat: Compat) -> None:
    output = run(compat, "pytest-spec", "--fix", "--no-syslog")
    assert re.findall(r"✓ .*missing", output)


@pytest.mark.parametrize("other", BROKEN, ids=lambda other: f"{other.name}-")
def test_what_does_not_start_without_this_plugin(compat: Compat, other: Other) -> None:
    """A release that starts belongs among the others, with tests of its own."""
    words = [sys.executable, "-m", "pytest", *(word for module in other.modules for word in ("-p", module)), "--help"]
    done = compat.command(words)
    assert done.status == 1
    assert "Error" in done.output


@pytest.mark.parametrize("option", ["--forked", "--count=2", "--reruns=2", "--retries=2", "--timeout=1"])
def test_what_has_no_effect_is_named_once(compat: Compat, option: str) -> None:
    other = next(other for other in OTHERS if option in other.arguments)
    output = compat.run(option, plugins=other.modules).output
    assert output.count(f"synctool: no effect on the tests of nodes: {option.partition('=')[0]}") == 1
    assert "no effect" not in compat.run(plugins=other.modules).output


@pytest.mark.parametrize("arguments", [(), ("-n2",)], ids=["alone", "xdist"])
def test_pytest_timeout_does_not_end_the_work_on_a_node(compat: Compat, arguments: tuple[str, ...]) -> None:
    """The post script takes longer than a test may."""
    compat.site.put("missing.post", "#!/bin/sh\nsleep 3\n", 0o755)
    run = compat.run("--fix", "--no-syslog", "--timeout=1", *arguments, plugins=("pytest_timeout",))
    assert "Timeout" not in run.output
    assert "FIXED node[1-2]" in run.output
