"""Runs without a part of pytest: a plugin that is switched off or replaced, a configuration elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests_meta.site import Site


@pytest.fixture
def drifted(site: Site) -> Site:
    """Return a site with a node that has a drift."""
    site.nodes = {"node1": "batch connection:chroot:///"}
    site.put("missing._all")
    return site


def outcomes(site: Site) -> str:
    """Return the drift.json of the last run."""
    return (site.directory / "reports" / "drift.json").read_text()


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
@pytest.mark.parametrize(
    "part", ["junitxml", "terminal", "cacheprovider", "logging", "warnings", "nodes", "capture", "stepwise", "skipping"]
)
def test_a_part_of_pytest_may_be_switched_off(drifted: Site, part: str, workers: tuple[str, ...]) -> None:
    command = [word for word in drifted.command("-p", f"no:{part}", *workers) if not word.startswith("--junitxml")]
    run = drifted.pytest(command=command)
    assert run.status == 1, run.output
    assert "INTERNALERROR" not in run.output
    assert "Traceback" not in run.output
    assert '"exit_status": 1' in outcomes(drifted)
    assert (drifted.directory / "reports" / "junit.xml").exists() == (part != "junitxml")


def test_a_terminal_reporter_that_has_little(drifted: Site) -> None:
    """A plugin may replace pytest's reporter by one that shares nothing with it."""
    (drifted.directory / "replacing.py").write_text(
        "import pytest\n"
        "class Reporter:\n"
        "    def pytest_runtest_logreport(self, report):\n"
        "        print('seen', report.nodeid, report.when)\n"
        "@pytest.hookimpl(trylast=True)\n"
        "def pytest_configure(config):\n"
        "    config.pluginmanager.unregister(name='terminalreporter')\n"
        "    config.pluginmanager.register(Reporter(), 'terminalreporter')\n"
    )
    for arguments in ((), ("--granularity=node",), ("-v",), ("--durations=3",)):
        run = drifted.pytest("-p", "replacing", *arguments, environment={"PYTHONPATH": "."})
        assert run.status == 1, run.output
        assert "Error" not in run.output
        assert "seen synctool_checks/test_overlay.py::node1" in run.output


def test_dist_each_is_refused(drifted: Site) -> None:
    """Every process would work on every node."""
    for arguments in (("-n2", "--dist=each"), ("--dist", "each", "--tx=2*popen"), ("-n2", "--dist=each", "--fix")):
        run = drifted.pytest(*arguments)
        assert run.status == 4, run.output
        assert "ERROR: --dist=each does not go with the tests of nodes: each process would" in run.output


def test_reports_do_not_lie_beside_a_configuration_that_is_no_file(drifted: Site) -> None:
    run = drifted.pytest("-c", "/dev/null")
    assert run.status == 1, run.output
    assert outcomes(drifted)
    assert not Path("/dev/reports").exists()


@pytest.mark.parametrize(
    "arguments", [("--collect-only",), ("--collect-only", "-q"), ("-k", "no-such-test"), ("--co", "-n2")]
)
def test_a_run_that_looks_at_nothing_replaces_no_report(drifted: Site, arguments: tuple[str, ...]) -> None:
    def run(*arguments: str) -> str:
        command = [word for word in drifted.command(*arguments) if not word.startswith("--junitxml")]
        return drifted.pytest(command=command).output

    def reports() -> dict[str, bytes]:
        files = (drifted.directory / "reports").iterdir()
        return {path.name: path.read_bytes() for path in files if path.is_file()}

    run()
    before = reports()
    assert set(before) >= {"drift.html", "drift.json", "history.sqlite", "junit.xml", "metrics.prom"}
    output = run(*arguments)
    assert reports() == before
    assert "INTERNALERROR" not in output
    assert "generated xml file" not in output


def test_a_run_that_is_interrupted_before_it_looks_at_a_node_replaces_the_reports(drifted: Site) -> None:
    """The reports of yesterday would say that all is well this morning."""
    drifted.pytest("--junitxml=reports/junit.xml")
    (drifted.directory / "interrupting.py").write_text(
        "def pytest_collection_modifyitems():\n    raise KeyboardInterrupt\n"
    )
    command = [word for word in drifted.command("-p", "interrupting") if not word.startswith("--junitxml")]
    run = drifted.pytest(command=command, environment={"PYTHONPATH": "."})
    assert run.status == 2, run.output
    assert '"complete": false' in outcomes(drifted)
    assert 'tests="0"' in (drifted.directory / "reports" / "junit.xml").read_text()
