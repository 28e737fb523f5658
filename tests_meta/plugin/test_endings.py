"""A node with several kinds of outcomes has one ending, the same in everything that a run prints and writes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_synctool.report.history.reader import opened

from tests_meta.site import TOO_MANY_LINKS, Site


@pytest.fixture
def mixed(site: Site) -> Site:
    """A site with one node, this machine: `gone` is missing, and above `inner` are too many links."""
    site.nodes = {"node1": "batch connection:local://"}
    real = site.directory / "real"
    real.mkdir()
    subprocess.run(["sh", "-c", TOO_MANY_LINKS], cwd=real, check=True)
    for name in ("gone._all", "links/inner._all"):
        path = site.masterdir / "overlay" / str(real / name).lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content\n")
    return site


def destinations(site: Site) -> list[str]:
    """Return the two destinations: the missing one, and the one behind the links."""
    return [f"{site.directory}/real/{name}" for name in ("gone", "links/inner")]


def counts_of(site: Site) -> dict[str, dict[str, float]]:
    """Return the nodes by how they ended, without zeros, from each report file of the last run."""
    reports = site.directory / "reports"
    document = json.loads((reports / "drift.json").read_text())
    summary = {word: number for word, number in document["summary"]["nodes"].items() if word != "selected"}
    families = text_string_to_metric_families((reports / "metrics.prom").read_text())
    samples = {s.labels["outcome"]: s.value for f in families for s in f.samples if s.name == "synctool_nodes"}
    with opened(reports / "history.sqlite") as history:
        run = history.runs[-1]
    kept = {"in_sync": run.in_sync, "drifted": run.drifted, "error": run.errors}
    counts_by_file = {"drift.json": summary, "metrics.prom": samples, "history.sqlite": kept}
    return {
        file: {word: number for word, number in counts.items() if number} for file, counts in counts_by_file.items()
    }


@pytest.mark.parametrize("arguments", [(), ("-n2",), ("--granularity=node",)], ids=["alone", "xdist", "whole"])
def test_a_missing_file_and_one_behind_too_many_links(mixed: Site, arguments: tuple[str, ...]) -> None:
    """The error outweighs the drift in every report; the drift is a finding all the same, and can be repaired."""
    run = mixed.pytest(*arguments)
    assert run.status == 1, run.output
    gone, inner = destinations(mixed)
    assert f"DRIFT node1: {gone} missing" in run.output
    assert f"ERROR node1: {inner} cannot be looked at: Too many levels of symbolic links" in run.output
    assert "\n1 node: 1 with errors\n" in run.output
    assert "To put right what was found: " in run.output
    assert counts_of(mixed) == {file: {"error": 1} for file in ("drift.json", "metrics.prom", "history.sqlite")}


def test_the_classic_command_counts_the_node_in_the_same_way(mixed: Site) -> None:
    command = [sys.executable, "-m", "pytest_synctool.cli.synctool", "-c", str(mixed.configure())]
    command += [word for path in destinations(mixed) for word in ("--single", path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines()[-1] == "1 node: 1 with errors"
    assert done.returncode == 3
