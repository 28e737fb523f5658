"""Every run is in the history, whichever front end it was: one of `synctool` that repairs is the end of a drift."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests_meta.site import Site


def run(live: Site, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the project in the directory of the site."""
    live.configure()
    program = str(Path(sys.executable).with_name(words[0]))
    return subprocess.run([program, *words[1:]], cwd=live.directory, capture_output=True, text=True, check=False)


def runs(live: Site) -> list[tuple[str, bool, int]]:
    """Return the mode of each run, whether it came to its end, and the number of its drifted nodes."""
    ended = run(live, "synctool-history", "--json")
    assert ended.returncode == 0, ended.stderr
    return [(each["mode"], each["complete"], each["nodes"]["drifted"]) for each in json.loads(ended.stdout)["runs"]]


def life(live: Site, path: str) -> Any:
    """Return the history of an entry."""
    return json.loads(run(live, "synctool-history", f"{live.top}/{path}", "--json").stdout)


@pytest.fixture
def drifted(live: Site) -> Site:
    """Return a site that was once in sync, where a file of node1 has been changed."""
    live.put("file._all")
    live.put("other._all")
    assert run(live, "synctool", "-f").returncode == 0
    live.sh("node1", "chmod 600 @/file")
    return live


def test_a_repair_by_synctool_ends_a_drift_that_pytest_has_seen(drifted: Site) -> None:
    assert drifted.pytest().status == 1
    assert run(drifted, "synctool", "-q", "-f").returncode == 0
    assert drifted.pytest().status == 0
    assert runs(drifted) == [("fix", True, 0), ("audit", True, 1), ("fix", True, 0), ("audit", True, 0)]
    shown = run(drifted, "synctool-history", f"{drifted.top}/file").stdout
    assert "the node was changed; corrective change, fixed by " in shown
    assert "gone without a repair" not in shown


def test_a_drift_that_synctool_has_seen(drifted: Site) -> None:
    """Also with --unix, -1 and -a; a run of nothing else neither begins nor ends the drift of the others."""
    for words in (["-q"], ["--unix"], ["-a"], ["-1", f"{drifted.top}/other"]):
        assert run(drifted, "synctool", *words).returncode == (0 if "-1" in words else 1)
    assert drifted.pytest("--fix").status == 0
    assert [mode for mode, _, _ in runs(drifted)] == ["fix", *["audit"] * 4, "fix"]
    shown = run(drifted, "synctool-history", f"{drifted.top}/file").stdout
    assert shown.count("mode 0600 -> 0644") == 2, shown  # one drift, and its repair


def test_restore_and_tasks(drifted: Site) -> None:
    drifted.put("hello._all", "#!/bin/sh\n", 0o755, tree="tasks")
    (drifted.masterdir / "tasks").chmod(0o755)
    assert run(drifted, "synctool", "-t", "-f").returncode == 0
    assert run(drifted, "synctool", "--restore").returncode == 0
    assert [mode for mode, _, _ in runs(drifted)] == ["fix", "fix", "restore"]
    assert "ran" in run(drifted, "synctool-history", f"{drifted.top}/hello").stdout


def test_from_elsewhere(drifted: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The history is beside the configuration, wherever the commands are called."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("SYNCTOOL_CONF", str(drifted.configure()))
    programs = Path(sys.executable)
    assert subprocess.run([programs.with_name("synctool"), "-q"], check=False).returncode == 1
    shown = subprocess.run([programs.with_name("synctool-history")], capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in shown.splitlines()] == ["run", "-2", "-1"]
    assert list(elsewhere.iterdir()) == []


def test_without(drifted: Site) -> None:
    """--history-keep=0 records nothing, nor do commands that compare nothing."""
    for words in (["--history-keep=0"], ["-r", f"{drifted.top}/file"], ["--manifest"], ["-d", f"{drifted.top}/file"]):
        run(drifted, "synctool", *words)
    assert len(runs(drifted)) == 1
    (drifted.directory / "reports/history.sqlite").write_text("no database")
    ended = run(drifted, "synctool")
    assert ended.returncode == 1
    assert "WARNING" in ended.stderr
    assert "history.sqlite" in ended.stderr
