"""The metrics of a run, and the alert rules and the dashboard in examples/ that use them, loaded by promtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.model import OK, NodeResult, Revision
from pytest_synctool.report.metrics import metrics
from pytest_synctool.report.record import EntryName, NodeRecord, RunRecord

from tests_meta.unit.helpers import unreachable
from tests_meta.unit.report.test_run_reports import DRIFT, ERROR, FIXED, MIXED, run_of

MONITORING = Path(__file__).parents[3] / "examples" / "monitoring"
_NAME = re.compile(r"\bsynctool_[a-z_]+")
_SUITE = "synctool_checks/test_"


def samples(run: RunRecord, most: int = 100) -> dict[tuple[str, ...], float]:
    """Return the values by name and labels."""
    families = text_string_to_metric_families(metrics(run, most))
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_a_destination_counts_once_and_commands_apart() -> None:
    """An owed .post script is no file that differs, and no managed one; nor is the test that an idle node answers."""
    names = ("overlay.py", "/etc/motd"), ("post.py", "post:/etc/motd"), ("tasks.py", "/daily"), ("overlay.py", "/x")
    tests = [EntryName(f"{_SUITE}{check}", name) for check, name in names]
    entries = SharedList([*tests, EntryName("mine/test_own.py", "/etc/motd"), EntryName(f"{_SUITE}overlay.py", "/y")])
    run = run_of({})
    results = ((0, DRIFT), (1, DRIFT), (2, ERROR), (4, ERROR), (5, FIXED))
    idle = SharedList([EntryName(f"{_SUITE}overlay.py", "/")])
    run.nodes = [NodeRecord("n1", entries, results), NodeRecord("idle", idle)]
    values = {name: value for (name, *labels), value in samples(run).items() if labels == ["all"]}
    assert values == {
        "synctool_managed_entries": 3,
        "synctool_error_entries": 1,
        "synctool_drifted_entries": 0,
        "synctool_waived_entries": 0,
        "synctool_fixed_entries": 1,
        "synctool_failed_commands": 2,
        "synctool_unreachable_nodes": 0,
    }


def test_nodes_are_named_up_to_a_limit() -> None:
    results = {f"n{number}": NodeResult((DRIFT, OK)) for number in range(12)}
    run = run_of({**results, "good": NodeResult((OK, FIXED)), "gone": NodeResult((), unreachable("no answer"))})
    values = samples(run, 3)
    assert {key[1:] for key in values if key[0] == "synctool_node_outcome"} == {
        ("gone", "unreachable"),
        ("n0", "drifted"),
        ("n1", "drifted"),
    }
    assert values["synctool_nodes_not_named",] == 10
    assert values["synctool_node_drifted_entries", "n1"] == 1
    assert samples(run)["synctool_nodes_not_named",] == 0
    assert not [key for key in samples(run, 0) if key[0].startswith("synctool_node_")]


def test_files_that_were_not_read() -> None:
    run = run_of({"n1": NodeResult((OK, OK), unread=2), "n2": NodeResult((OK, DRIFT), unread=1)})
    assert samples(run)["synctool_files_not_read",] == 3


def test_a_run_of_a_part() -> None:
    run = run_of(MIXED)
    for whole, value in ((None, 0), (False, 0), (True, 1)):
        run.is_whole = whole
        assert samples(run)["synctool_last_run_whole",] == value


def expressions() -> dict[str, list[str]]:
    """Return the expressions of the rules and of the dashboard, by file."""
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    variables = [one["definition"] for one in dashboard["templating"]["list"] if "definition" in one]
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return {
        "alerts.yml": [rule["expr"] for group in rules["groups"] for rule in group["rules"]],
        "grafana.json": [*variables, *panels],
    }


@pytest.mark.parametrize("name", ["alerts.yml", "grafana.json"])
def test_they_use_metrics_that_exist_with_their_labels(name: str) -> None:
    known: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics(run_of(MIXED))):
        for sample in family.samples:
            known.setdefault(sample.name, set()).update(sample.labels)
    for expression in expressions()[name]:
        used = _NAME.findall(expression)
        assert used
        assert set(used) <= set(known), expression
        for metric, labels in re.findall(r"(synctool_[a-z_]+)\{([^}]*)\}", expression):
            assert {label.partition("=")[0] for label in labels.split(",")} <= known[metric], expression


def test_the_dashboard_is_whole() -> None:
    dashboard: dict[str, Any] = json.loads((MONITORING / "grafana.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    places = [panel["gridPos"] for panel in panels]
    squares = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(set(squares)) == len(squares)
    assert max(x for x, _ in squares) == 23


class TestPromtool:
    """Prometheus's own program checks the metrics, the rules, and the expressions of the dashboard."""

    def promtool(self, *arguments: str, text: str | None = None) -> None:
        """Run promtool, which has to find no fault."""
        program = shutil.which("promtool")
        if program is None:
            pytest.skip("promtool is not installed: Debian has it in the package prometheus")
        done = subprocess.run(
            [program, *arguments], cwd=MONITORING, input=text, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def test_metrics(self) -> None:
        run = run_of(MIXED)
        run.revision = Revision("ab" * 20, is_dirty=False)
        self.promtool("check", "metrics", text=metrics(run))

    def test_rules(self) -> None:
        self.promtool("check", "rules", "alerts.yml")
        self.promtool("test", "rules", "alerts_test.yml")

    def test_the_dashboard(self, tmp_path: Path) -> None:
        plain = [text.replace("$group", "all") for text in expressions()["grafana.json"] if "label_values" not in text]
        rules = [{"record": f"panel{number}", "expr": text} for number, text in enumerate(plain)]
        path = tmp_path / "rules.yml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
        self.promtool("check", "rules", str(path))
