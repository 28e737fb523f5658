"""`--notify`: a command that gets drift.json if a run has news, and not each night the same."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests_meta.site import Site

RECIPES: Final = Path(__file__).parents[2] / "examples/notify"
RECORD = 'cat >told.json; printf "%s in %s\\n" "$SYNCTOOL_NEWS" "$SYNCTOOL_REPORTS" >>told'


def test_news_are_told_once(site: Site) -> None:
    """New drift, the same again, a narrower run, a command that fails, and all well again."""
    site.nodes = {"node1": "batch connection:chroot:///", "node2": "batch connection:chroot:///"}
    site.put("file._node1")
    site.delete("evil._all")
    told, known = site.directory / "told", site.directory / "reports/.notified.json"

    def audit(*words: str, notify: str = RECORD) -> tuple[int, str]:
        told.unlink(missing_ok=True)
        ended = site.pytest(f"--notify={notify}", *words)
        line = told.read_text() if told.exists() else ""
        return ended.status, line.replace(str(site.directory), "@") or ended.output

    status, output = audit(notify="echo first; echo 'mail: \x1b[31mno route' >&2; exit 7")
    assert status == 1
    assert "--notify failed: exit status 7: mail: \\x1b[31mno route" in output
    assert not known.exists()
    news = "5 new failures on node[1-2]"  # the file of one, and the directories above it of both
    assert audit("-n2") == (1, f"{news} in @/reports\n")
    document = json.loads((site.directory / "told.json").read_text())
    assert {row["node"] for row in document["results"]} == {"node1", "node2"}
    assert known.stat().st_mode & 0o777 == 0o600
    for words in ((), ("--hosts=node2",), ("-k", "evil")):
        assert "Notified" not in audit(*words)[1]
    (site.masterdir / "overlay" / site.top[1:] / "file._node1").unlink()
    for directory in (site.top[1:], "data"):
        (site.masterdir / "overlay" / directory).rmdir()
    assert audit() == (0, "all is well again in @/reports\n")
    assert "Notified" not in audit()[1]


def test_it_needs_reports(site: Site) -> None:
    """Else it would not know what is new, and say nothing, or the same each night."""
    site.put("file._all")
    run = site.pytest("--notify=true", "--synctool-reports=")
    assert run.status == 4
    assert "--notify needs a directory of reports" in run.output


@pytest.mark.parametrize(
    ("recipe", "argument", "program", "words", "data"),
    [
        (
            "mail",
            "admin@example.org",
            "mail",
            "-s synctool: 2 new failures on node1 admin@example.org",
            "node1: /etc/f missing",
        ),
        ("webhook", "https://x/y", "curl", "--data-binary @- https://x/y", '"path": "/etc/f"'),
        ("slack", "", "curl", '--data {"text": "synctool: 2 new failures on node1"}', 'url = "https://hooks/secret"'),
    ],
)
def test_recipes(recipe: str, argument: str, program: str, words: str, data: str, tmp_path: Path) -> None:
    """The scripts of examples/notify, with a program in the place of mail or curl that records its call."""
    if recipe == "mail" and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    (tmp_path / program).write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/words; cat >{tmp_path}/data\n')
    (tmp_path / program).chmod(0o755)
    result = {"node": "node1", "path": "/etc/f", "outcome": "drift", "message": "missing"}
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "SYNCTOOL_NEWS": "2 new failures on node1",
        "SYNCTOOL_REPORTS": "/srv/reports",
        "SLACK_WEBHOOK": "https://hooks/secret",
    }
    done = subprocess.run(
        [RECIPES / f"{recipe}.sh", *([argument] if argument else [])],
        input=json.dumps({"nodes": [], "results": [result]}),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert words in (tmp_path / "words").read_text()
    assert "secret" not in (tmp_path / "words").read_text()
    assert data in (tmp_path / "data").read_text()
