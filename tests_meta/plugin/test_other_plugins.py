"""Other plugins that follow tests see ordinary tests, where pytest's own get few reports."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site

# A plugin that writes what it sees to `seen`, as lines of JSON.
RECORDER = """
import json, time
import pytest

def write(*words):
    with open("seen", "a") as file:
        file.write(json.dumps(words) + "\\n")

def around(name):
    def hook(item):
        write(name, item.nodeid, "begins")
        result = yield
        write(name, item.nodeid, "ends")
        return result
    return pytest.hookimpl(wrapper=True)(hook)

pytest_runtest_protocol = around("protocol")
pytest_runtest_setup = around("setup")
pytest_runtest_call = around("call")
pytest_runtest_teardown = around("teardown")

def pytest_collection_finish(session):
    write("collected", [item.nodeid for item in session.items])

def pytest_runtest_logstart(nodeid, location):
    write("logstart", nodeid)

def pytest_runtest_logfinish(nodeid, location):
    write("logfinish", nodeid)

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.made = f"{item.name} {call.when} {call.excinfo is None}"
    return report

def pytest_runtest_logreport(report, BEGAN=time.time()):
    times = BEGAN - 60 < report.start <= report.stop <= time.time()
    write("report", report.nodeid, report.when, report.outcome, report.made, sorted(report.keywords), times)

"""
# What runs a test, or raises: not called for tests of nodes.
RUNNING = """
def pytest_runtest_protocol(item):
    raise AssertionError(item.nodeid)
pytest_runtest_call = pytest_runtest_teardown = pytest_runtest_protocol
"""


def three_outcomes(site: Site) -> None:
    """Give a site a node in sync, one with a drift, and one that does not answer."""
    site.nodes = {
        "node1": "batch connection:chroot:///",
        "node2": "batch connection:chroot:///",
        "gone": "batch connection:chroot:///nonexistent",
    }
    site.delete("absent._all")
    (site.masterdir / "overlay" / "missing._node2").write_text("content\n")


@pytest.fixture
def seen(site: Site) -> Site:
    """Return a site with a node in sync with two tests, one with a drift, and one that does not answer."""
    three_outcomes(site)
    (site.directory / "recorder.py").write_text(RECORDER)
    (site.directory / "running.py").write_text(RUNNING)
    return site


def lines(site: Site) -> list[list[Any]]:
    """Return what the recorder has written, the events of each test together."""
    return [json.loads(line) for line in (site.directory / "seen").read_text().splitlines()]


def own_results(site: Site, *arguments: str) -> tuple[int, Counter[str], object]:
    """Return our own results of a run: its status, its test cases, and the nodes of drift.json."""
    run = site.pytest(*arguments, environment={"PYTHONPATH": "."})
    nodes = json.loads((site.directory / "reports" / "drift.json").read_text())["summary"]
    return run.status, Counter(f"{word} {key} {run.messages[key]}" for key, word in run.results.items()), nodes


@ALONE_AND_XDIST
def test_each_test_has_all_hooks_of_a_test(seen: Site, workers: tuple[str, ...]) -> None:
    alone = own_results(seen, *workers)
    assert own_results(seen, *workers, "-p", "recorder", "-p", "running") == alone
    events = lines(seen)
    tests = {event[1]: [e for e in events if e[1] == event[1]] for event in events if event[0] == "logstart"}
    if not workers:
        assert sorted(tests) == sorted(next(event[1] for event in events if event[0] == "collected"))
    assert len(tests) == 4
    for nodeid, own in tests.items():
        name = nodeid.rpartition("::")[2]
        reports = [event[2:5] for event in own if event[0] == "report"]
        failed = "gone" in nodeid or "missing" in nodeid
        when = "setup" if "gone" in nodeid else "call"
        assert [report[0] for report in reports] == [
            *(["setup"] if failed and when == "setup" else ["setup", "call"]),
            "teardown",
        ]
        for phase, outcome, made in reports:
            passed = not (failed and phase == when)
            assert (outcome, made) == ("passed" if passed else "failed", f"{name} {phase} {passed}")
        phases = [report[0] for report in reports]
        assert [event[0] for event in own] == [
            *("protocol", "logstart"),
            *(word for phase in phases for word in (phase, phase, "report")),
            *("logfinish", "protocol"),
        ]
        assert all(event[6] and "batch" in event[5] for event in own if event[0] == "report")


def test_a_limit_of_time_is_not_for_a_node(seen: Site) -> None:
    """A plugin wraps a test's protocol: none of them sees the work on a node, which is many tests."""
    seen.pytest("-p", "recorder", environment={"PYTHONPATH": "."})
    assert {event[1].count("::") for event in lines(seen) if event[0] == "protocol"} == {2}


def test_tb_line_names_the_source(seen: Site) -> None:
    run = seen.pytest("--tb=line")
    assert "\noverlay/missing._node2:1: node2: /missing missing\n" in run.output


def test_a_plugin_may_count_the_tests_before_they_run(seen: Site) -> None:
    """So a reporter prints its plan."""
    plan = "def pytest_runtestloop(session):\n    open('plan', 'w').write(str(session.testscollected))\n"
    (seen.directory / "plan.py").write_text(plan + "def pytest_runtest_logreport(report):\n    pass\n")
    seen.pytest("-p", "plan", environment={"PYTHONPATH": "."})
    assert (seen.directory / "plan").read_text() == "4"


SETUPS = """
import pytest

def count(name, item):
    with open("setups", "a") as file:
        print(name, item.nodeid, file=file)

@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    count(f"wrapper {__name__}", item)
    return (yield)

class More:
    def pytest_runtest_setup(self, item):
        count(f"hook {__name__}", item)

def pytest_configure(config):
    config.pluginmanager.register(More())
"""


@ALONE_AND_XDIST
def test_each_setup_hook_is_called_once_for_a_test(seen: Site, workers: tuple[str, ...]) -> None:
    """Hooks that may skip run before the node is contacted, wrappers of plugins when the result is there."""
    for name in ("conftest.py", "setups.py"):
        (seen.directory / name).write_text(SETUPS)
    seen.pytest("-p", "setups", *workers, environment={"PYTHONPATH": "."})
    calls = Counter((seen.directory / "setups").read_text().splitlines())
    assert set(calls.values()) == {1}
    assert len(calls) == 4 * 4


# A plugin that makes any run one with a letter per node.
LONG = "from pytest_synctool.plugin import recording\nrecording._MOST_LETTERS = 0\n"
# A conftest that is asked for the words of results before any plugin.
WORDS = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report):
    with open("asked", "a") as file:
        print(report.nodeid, file=file)
"""


@ALONE_AND_XDIST
def test_in_a_long_run_each_test_counts_too(seen: Site, workers: tuple[str, ...]) -> None:
    (seen.directory / "long.py").write_text(LONG)
    short, long = (
        seen.pytest(*workers, "-p", plugin, environment={"PYTHONPATH": "."}) for plugin in ("no:long", "long")
    )
    counts = [re.findall(r"\d+ (?:failed|passed|skipped|error)", run.output.splitlines()[-1]) for run in (short, long)]
    assert counts == [["1 failed", "2 passed", "1 skipped", "1 error"]] * 2
    assert (long.status, long.results) == (short.status, short.results)


def test_in_a_long_run_a_conftest_is_asked_for_the_word_of_each_test(seen: Site) -> None:
    (seen.directory / "conftest.py").write_text(LONG + WORDS)
    seen.pytest()
    asked = Counter((seen.directory / "asked").read_text().splitlines())
    assert set(asked.values()) == {1}
    assert len(asked) == 5  # a node that does not answer has an error besides
