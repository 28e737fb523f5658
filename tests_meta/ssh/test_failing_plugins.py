"""A plugin whose hook raises during --fix: every repair that has ended is reported all the same."""

from __future__ import annotations

import json

import pytest

from tests_meta.site import Site

HOOKS = {
    "logreport": "def pytest_runtest_logreport(report):\n"
    "    if report.nodeid.endswith('/one'):\n        raise OSError('plugin')\n",
    "always": "def pytest_runtest_logreport(report):\n    raise OSError('plugin')\n",
    "teststatus": "@pytest.hookimpl(tryfirst=True)\n"
    "def pytest_report_teststatus(report):\n    raise OSError('plugin')\n",
    "sessionfinish": "def pytest_sessionfinish():\n    raise OSError('plugin')\n",
    "summary": "def pytest_terminal_summary():\n    raise OSError('plugin')\n",
}


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_repair_does_not_vanish(live: Site, hook: str, workers: tuple[str, ...]) -> None:
    """The nodes that have been repaired are those that the report names, and the terminal names them."""
    live.put("one._all")
    live.put("two._all")
    (live.directory / "conftest.py").write_text("import pytest\n" + HOOKS[hook])
    run = live.pytest("--fix", *workers)
    assert run.status not in (0, 5), run.output
    assert "plugin" in run.output
    document = json.loads((live.directory / "reports" / "drift.json").read_text())
    fixed = {node["node"] for node in document["nodes"] if node["outcome"] == "fixed"}
    repaired = {node for node in live.nodes if live.sh(node, "cat @/two 2>&- || :") == "content\n"}
    assert repaired
    assert fixed == repaired, run.output
    assert f"{len(fixed)} fixed" in run.output
