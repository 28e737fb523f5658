"""Every run is in the history, whichever front end it was: one of `synctool` that repairs is the end of a drift."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from tests_meta import terminal
from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site
from tests_meta.terminal import Ended
from tests_meta.unit.report.test_run_reports import SCHEMA


def run(live: Site, *words: str) -> Ended:
    """Run a command of the project in the directory of the site."""
    live.configure()
    return terminal.run(live.directory, *words)


def runs(live: Site) -> list[tuple[str, bool, int]]:
    """Return the mode of each run, whether it came to its end, and the number of its drifted nodes."""
    ended = run(live, "synctool-history", "--json")
    assert ended.status == 0, ended.err
    return [(each["mode"], each["complete"], each["nodes"]["drifted"]) for each in json.loads(ended.out)["runs"]]


@pytest.fixture
def drifted(live: Site) -> Site:
    """Return a site that was once in sync, where a file of node1 has been changed."""
    live.put("file._all")
    live.put("other._all")
    assert run(live, "synctool", "-f").status == 0
    live.sh("node1", "chmod 600 @/file")
    return live


def test_a_repair_by_synctool_ends_a_drift_that_pytest_has_seen(drifted: Site) -> None:
    assert drifted.pytest().status == 1
    assert run(drifted, "synctool", "-q", "-f").status == 0
    assert drifted.pytest().status == 0
    assert runs(drifted) == [("fix", True, 0), ("audit", True, 1), ("fix", True, 0), ("audit", True, 0)]
    shown = run(drifted, "synctool-history", f"{drifted.top}/file").out.decode()
    assert "the node was changed; corrective change, fixed by " in shown
    assert "gone without a repair" not in shown


@ALONE_AND_XDIST
def test_the_times_of_what_differs(drifted: Site, workers: tuple[str, ...]) -> None:
    """The reports and the history have the times of a drifted file, by the clock of the node."""
    drifted.put("absent._all")
    drifted.sh("node1", "echo more >>@/file; touch -d 2020-09-13T12:26:40Z @/file")
    changed = datetime.fromtimestamp(int(drifted.sh("node1", "stat -c %Z @/file")), UTC).isoformat()
    times = {"modified": "2020-09-13T12:26:40+00:00", "changed": changed}
    drifted.pytest("--hosts=node1", *workers)
    document = json.loads((drifted.directory / "reports/drift.json").read_text())
    jsonschema.validate(document, SCHEMA)
    rows = {row["path"]: {name: row[name] for name in times if name in row} for row in document["results"]}
    assert rows == {f"{drifted.top}/file": times, f"{drifted.top}/absent": {}}
    assert run(drifted, "synctool", "-q", "-n", "node1").status == 1
    (entry,) = json.loads(run(drifted, "synctool-history", f"{drifted.top}/file", "-n", "node1", "--json").out)[
        "entries"
    ]
    assert entry["touched"] == {"node1": times}


def test_a_drift_that_synctool_has_seen(drifted: Site) -> None:
    """Also with --unix, -1 and -a; a run of nothing else neither begins nor ends the drift of the others."""
    for words in (["-q"], ["--unix"], ["-a"], ["-1", f"{drifted.top}/other"]):
        assert run(drifted, "synctool", *words).status == (0 if "-1" in words else 1)
    assert drifted.pytest("--fix").status == 0
    assert [mode for mode, _, _ in runs(drifted)] == ["fix", *["audit"] * 4, "fix"]
    shown = run(drifted, "synctool-history", f"{drifted.top}/file").out.decode()
    assert shown.count("mode 0600 -> 0644") == 2, shown  # one drift, and its repair


def test_restore_and_tasks(drifted: Site) -> None:
    drifted.put("hello._all", "#!/bin/sh\n", 0o755, tree="tasks")
    (drifted.masterdir / "tasks").chmod(0o755)
    drifted.sh("node1", "echo more >>@/file")
    assert run(drifted, "synctool", "-t", "-f").status == 0
    assert run(drifted, "synctool", "-f").status == 0
    assert run(drifted, "synctool", "--restore", "-f", "-g", "all").status == 0
    assert [mode for mode, _, _ in runs(drifted)] == ["fix", "fix", "fix", "restore"]
    assert run(drifted, "synctool").status == 1
    shown = run(drifted, "synctool-history", f"{drifted.top}/file").out.decode()
    assert ": --restore put back an old version, by " in shown
    assert "--restore put back an old version; still so" in shown
    assert "the node was changed" not in shown.partition("--restore put back")[2]
    assert "ran" in run(drifted, "synctool-history", f"{drifted.top}/hello").out.decode()


def test_a_post_script_that_fails(drifted: Site) -> None:
    """Our own command is the cause of what is owed, and the file was repaired by us."""
    drifted.script("file.post", "#!/bin/sh\nexit 3\n")
    assert run(drifted, "synctool", "-f").status == 1
    assert drifted.pytest("--hosts=node1").status == 1
    file, owed = (
        run(drifted, "synctool-history", f"{prefix}{drifted.top}/file").out.decode() for prefix in ("", "post:")
    )
    assert "fixed by " in file
    assert "gone without" not in file
    assert "a command, which repairs run; still so" in owed
    assert "the node was changed" not in owed


def test_from_elsewhere(drifted: Site, tmp_path: Path) -> None:
    """The history is beside the configuration, wherever the commands are called."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    more = {"SYNCTOOL_CONF": str(drifted.configure())}
    assert terminal.run(elsewhere, "synctool", "-q", more=more).status == 1
    shown = terminal.run(elsewhere, "synctool-history", more=more).out.decode()
    assert [line.split()[0] for line in shown.splitlines()] == ["run", "-2", "-1"]
    assert list(elsewhere.iterdir()) == []


def test_without(drifted: Site) -> None:
    """--history-keep=0 records nothing, nor do commands that compare nothing."""
    for words in (["--history-keep=0"], ["-r", f"{drifted.top}/file"], ["--manifest"], ["-d", f"{drifted.top}/file"]):
        run(drifted, "synctool", *words)
    assert len(runs(drifted)) == 1
    (drifted.directory / "reports/history.sqlite").write_text("no database")
    ended = run(drifted, "synctool")
    assert ended.status == 1
    assert b"WARNING" in ended.err
    assert b"history.sqlite" in ended.err
