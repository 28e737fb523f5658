"""The reports of single runs: a run of a part of the cluster replaces no report of the whole."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests_meta.site import Run, Site

NAMES = {"drift.html", "drift.json", "junit.xml", "metrics.prom"}
# Runs of a part of the cluster, by the way in which they are narrower.
NARROWER = (
    *(("--hosts=node2", "-n1"), ("-k", "one"), ("--lf", "--hosts=node1")),
    *(("synctool_checks/test_overlay.py::node1",), ("FILE",)),
)


@pytest.fixture
def two(site: Site) -> Site:
    """Return a site with two nodes that are this machine, without some of the entries."""
    site.nodes = {"node1": "batch connection:chroot:///", "node2": "batch connection:chroot:///"}
    site.nodes["unused"] = "idle connection:chroot:///"
    site.lines = ["ignore_group idle"]
    site.put("d/one._all")
    site.delete("gone._all")
    return site


def command_of(site: Site, *arguments: str) -> list[str]:
    """Return a command without the option of the test site for the JUnit file; FILE is a single file of the suite."""
    words = [word for word in site.command(*arguments) if not word.startswith("--junitxml=")]
    if "FILE" in arguments:
        words.remove("FILE")
        words[words.index("synctool_checks")] = "synctool_checks.test_delete"
    elif any("::" in word for word in arguments):
        words.remove("synctool_checks")
    return words


def run_of(site: Site, *arguments: str) -> Run:
    """Run this command."""
    return site.pytest(command=command_of(site, *arguments))


def new_repository(directory: Path) -> None:
    """Put the masterdir under version control."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "masterdir"], ["commit", "-qm", "one"]):
        subprocess.run(["git", *who, *words], cwd=directory, check=True, timeout=60)


def run_id(directory: Path) -> str:
    """Return the id of the run whose reports are in a directory."""
    text: str = json.loads((directory / "drift.json").read_text())["run"]["id"]
    return text


def test_a_part_of_the_cluster_replaces_no_report_of_the_whole(two: Site) -> None:
    reports = two.directory / "reports"
    first = run_of(two, "--hosts=node2")  # a fresh workspace of CI that audits a part has its reports where they were
    assert f"Reports: {reports}\n" in first.output
    assert f"generated xml file: {reports}/junit.xml" in first.output
    narrow = run_id(reports)
    assert run_of(two, "-k", "one").status == 1
    assert run_id(reports) != narrow  # one part replaces another
    new_repository(two.directory)
    whole = run_of(two, "--synctool-summary=s.md")
    assert f"Reports: {reports}\n" in whole.output
    shown = {name: (reports / name).read_bytes() for name in NAMES}
    run = json.loads(shown["drift.json"])["run"]
    assert (run["whole"], run["revision"]["dirty"]) == (True, False)
    commit = run["revision"]["commit"]
    assert f'commit="{commit}",dirty="false"'.encode() in shown["metrics.prom"]
    texts = (shown["drift.html"], shown["junit.xml"], (two.directory / "s.md").read_bytes())
    assert all(commit[:12].encode() in text for text in texts)
    for arguments in NARROWER:
        before = set((reports / "runs").iterdir())
        run = run_of(two, *arguments)
        (own,) = set((reports / "runs").iterdir()) - before
        assert {path.name for path in own.iterdir()} == NAMES, run.output
        assert {name: (reports / name).read_bytes() for name in NAMES} == shown, arguments
        assert f"Reports: {own} (of a part of the cluster; {reports} has those of the whole)\n" in run.output
        assert f"generated xml file: {own}/junit.xml" in run.output
        two.put("d/two._all")
        document = json.loads((own / "drift.json").read_text())
        assert (document["run"]["id"], document["run"]["whole"]) == (own.name, False)
    again = run_of(two, "--hosts=all", "-n1")
    assert f"Reports: {reports}\n" in again.output
    assert (reports / "drift.json").read_bytes() != shown["drift.json"]
    run = json.loads((reports / "drift.json").read_text())["run"]
    assert run["revision"] == {"commit": commit, "dirty": True}
    index = (reports / "index.html").read_text()
    assert all(f'<a href="runs/{path.name}/drift.html">' in index for path in (reports / "runs").iterdir())
    assert (reports / "runs" / run_id(reports) / "junit.xml").read_bytes() == (reports / "junit.xml").read_bytes()


def test_runs_that_are_not_kept(two: Site) -> None:
    """The number counts runs of the whole cluster and others apart. With 0, every run replaces the reports."""
    reports = two.directory / "reports"
    run_of(two)
    whole = run_id(reports)
    for _ in range(3):
        run_of(two, "--hosts=node2", "--runs-keep=2")
    kept = {path.name: run_id(path) for path in (reports / "runs").iterdir()}
    assert len(kept) == 3
    assert kept[whole] == whole
    named = two.directory / "named.xml"
    two.pytest(command=[*command_of(two, "--hosts=node2", "--runs-keep=0"), f"--junitxml={named}"])
    assert run_id(reports) not in kept
    assert len(list((reports / "runs").iterdir())) == 3
    assert named.exists()


def test_a_directory_of_runs_that_cannot_be_used_fails_the_run(two: Site) -> None:
    (two.directory / "reports").mkdir()
    (two.directory / "reports" / "runs").write_text("")
    run = run_of(two)
    assert "drift.json could not be written: " in run.output
    assert "Traceback" not in run.output


def test_a_history_that_is_carried_over_with_its_key_goes_on(two: Site, tmp_path: Path) -> None:
    """CI caches these two files. Without the key the cause of drift is not known."""
    cached = [two.directory / "reports" / name for name in ("history.sqlite", ".history.sqlite.key")]
    run_of(two)
    cache = tmp_path / "cache"
    cache.mkdir()
    for path in cached:
        shutil.copy2(path, cache)
    shutil.rmtree(two.directory / "reports")
    (two.directory / "reports").mkdir()
    for path in cached:
        shutil.copy2(cache / path.name, path)
    two.put("d/one._all", "something else")
    run_of(two)
    results = json.loads((two.directory / "reports" / "drift.json").read_text())["results"]
    assert {row["cause"] for row in results if row["path"].endswith("/one")} == {"masterdir"}
