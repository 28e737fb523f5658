"""The script steps of the pipelines in examples/ci, run as a runner does, on a real node and a real repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests_meta.site import Site
from tests_meta.unit.repository.test_changes import git

EXAMPLES: Final = Path(__file__).parents[2] / "examples/ci"
CACHED: Final = ("history.sqlite", ".history.sqlite.key", "drift.json", ".notified.json")
# In the place of `python3 -m venv`: an environment with the programs of this one, and a pip that only records.
PYTHON: Final = """\
#!/bin/sh
mkdir -p "$3/bin" && ln -s {programs}/pytest {programs}/synctool "$3/bin/" || exit 1
printf '#!/bin/sh\\necho "$*" >>{record}\\n' >"$3/bin/pip" && chmod 755 "$3/bin/pip"
"""


@dataclass
class Runner:
    """A runner of jobs: a repository, a key that opens node1, and a cache that lasts from job to job."""

    live: Site
    top: Path
    number: int = 0
    output: str = ""
    cache: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.live.cluster is not None
        config = str(self.live.cluster.ssh_config)
        answer = subprocess.run(["ssh", "-G", "-F", config, "node1"], capture_output=True, text=True, check=True)
        option = dict(line.split(" ", 1) for line in answer.stdout.splitlines())
        self.key, self.hosts = (Path(option[name].strip('"')) for name in ("identityfile", "userknownhostsfile"))
        address = f"{option['hostname']}:{option['port']}"
        self.repository = self.top / "repository"
        (self.repository / "masterdir/overlay").mkdir(parents=True)
        rule = "- {path: /**, owner: root, group: root, mode: 0644}\n- {path: [/data, %s], mode: 0755}\n"
        self.put("masterdir/attributes.yaml", rule % self.live.top)
        self.put("synctool.conf", f"masterdir masterdir\nnode node1 connection:ssh://root@{address}\n")
        self.put("pytest.ini", "[pytest]\naddopts = --pyargs synctool_checks -p no:hypothesispytest\n")
        self.put(f"masterdir/overlay{self.live.top}/file._all", "content\n")
        git(self.repository, "init", "-q")
        self.commit()
        bin_ = self.top / "bin"
        bin_.mkdir()
        (bin_ / "python3").write_text(PYTHON.format(programs=Path(sys.executable).parent, record=self.top / "pip"))
        (bin_ / "python3").chmod(0o755)
        self.environment = {
            "PATH": f"{bin_}:/usr/bin:/bin:/usr/sbin:/sbin",
            "SYNCTOOL_PACKAGE": "pytest-synctool==1",
            "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
        }

    def put(self, name: str, text: str) -> None:
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> None:
        git(self.repository, "add", "-A")
        git(self.repository, "commit", "-qm", "commit")

    def checkout(self) -> tuple[Path, Path]:
        """Return a new checkout, with the cache in it, and a new home directory, as a container has them."""
        self.number += 1
        home, work = self.top / f"home{self.number}", self.top / f"work{self.number}"
        home.mkdir()
        git(self.top, "clone", "-q", str(self.repository), str(work))
        for name, content in self.cache.items():
            (work / "reports").mkdir(exist_ok=True)
            (work / "reports" / name).write_bytes(content)
        return home, work

    def run(self, shell: list[str], script: str, work: Path, **environment: str) -> int:
        """Run a script in a checkout. Return the exit status."""
        done = subprocess.run(
            [*shell, script],
            cwd=work,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        self.output = done.stdout
        return done.returncode

    def keep(self, work: Path) -> dict[str, Any]:
        """Keep what the pipeline caches. Return its drift.json."""
        self.cache = {
            name: (work / "reports" / name).read_bytes() for name in CACHED if (work / "reports" / name).exists()
        }
        document: dict[str, Any] = json.loads(self.cache["drift.json"])
        return document


@pytest.fixture
def runner(live: Site, tmp_path: Path) -> Runner:
    live.sh("node1", "mkdir -p @; chmod 755 @ /data; echo old >@/file; chmod 644 @/file")
    return Runner(live, tmp_path / "runner")


def gitlab(runner: Runner, job: str, **variables: str) -> tuple[int, Path]:
    """Run a job of the pipeline for GitLab. Everybody may write to its checkout. Return its status and checkout."""
    pipeline = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())
    home, work = runner.checkout()
    for path in (work, *work.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o666)
    script = "\n".join((*pipeline[pipeline[job]["extends"]]["before_script"], *pipeline[job]["script"]))
    variables |= {"CI_PROJECT_DIR": str(work), "HOME": str(home)}
    status = runner.run(["sh", "-e", "-c"], script, work, **variables)
    return status, work


def github(runner: Runner, job: str, **secrets: str) -> tuple[int, Path]:
    """Run the steps of a job of the workflow for GitHub. Return the first status other than 0, and the checkout."""
    workflow = yaml.safe_load((EXAMPLES / "github.yml").read_text())
    home, work = runner.checkout()
    path_file, summary, temporary = (home / name for name in ("path", "summary", "temp"))
    temporary.mkdir()
    variables = {"HOME": str(home), "GITHUB_PATH": str(path_file), "GITHUB_STEP_SUMMARY": str(summary)}
    variables |= {"RUNNER_TEMP": str(temporary), "GITHUB_ACTIONS": "true", "PATH": runner.environment["PATH"]}
    for step in workflow["jobs"][job]["steps"]:
        if "run" not in step:
            continue
        if path_file.exists():
            variables["PATH"] = f"{path_file.read_text().strip()}:{runner.environment['PATH']}"
        expressions = {name: re.findall(r"[\w.]+", value)[-1] for name, value in step.get("env", {}).items()}
        own = {name: secrets[expression.rpartition(".")[2]] for name, expression in expressions.items()}
        if status := runner.run(["bash", "-e", "-c"], step["run"], work, **variables, **own):
            return status, work
    return 0, work


def test_gitlab(runner: Runner, tmp_path: Path) -> None:
    """Lint says what a merge request will do. The second audit knows the first: since when, and that nothing is new."""
    files = {"SYNCTOOL_SSH_KEY": str(tmp_path / "key"), "SYNCTOOL_KNOWN_HOSTS": str(tmp_path / "hosts")}
    for source, name in ((runner.key, "key"), (runner.hosts, "hosts")):
        shutil.copyfile(source, tmp_path / name)
        (tmp_path / name).chmod(0o666)  # as GitLab makes files of variables
    _check_audits(runner, lambda: gitlab(runner, "audit", **files))
    runner.put(f"masterdir/overlay{runner.live.top}/file._all", "other content\n")
    runner.commit()
    commit = subprocess.check_output(["git", "-C", str(runner.repository), "rev-parse", "HEAD~1"], text=True).strip()
    status, work = gitlab(runner, "lint", CI_MERGE_REQUEST_DIFF_BASE_SHA=commit)
    assert status == 0, runner.output
    assert f"node1: {runner.live.top}/file contents, 8 -> 14 bytes" in runner.output
    assert json.loads((work / "lint.json").read_text()) == []
    assert (work / "lint.xml").exists()
    assert (runner.top / "pip").read_text().splitlines()[0] == (
        "install --quiet --disable-pip-version-check pytest-synctool==1"
    )


def test_github(runner: Runner) -> None:
    secrets = {"SYNCTOOL_SSH_KEY": runner.key.read_text(), "SYNCTOOL_KNOWN_HOSTS": runner.hosts.read_text()}
    _check_audits(runner, lambda: github(runner, "audit", **secrets))
    runner.put(f"masterdir/overlay{runner.live.top}/file._all", "other content\n")
    runner.commit()
    commit = subprocess.check_output(["git", "-C", str(runner.repository), "rev-parse", "HEAD~1"], text=True).strip()
    status, _ = github(runner, "lint", sha=commit)
    assert status == 0, runner.output


def _check_audits(runner: Runner, audit: Any) -> None:
    status, work = audit()
    assert status == 1, runner.output
    first = runner.keep(work)
    assert {row["path"]: row["outcome"] for row in first["results"]} == {f"{runner.live.top}/file": "drift"}
    status, work = audit()
    assert status == 1, runner.output
    second = runner.keep(work)
    assert [row["new"] for row in second["results"]] == [False]
    assert [row["since"] for row in second["results"]] == [row["since"] for row in first["results"]]
    assert not [path for path in runner.top.rglob("key") if path.is_file()], "a key was left behind"
    runner.live.sh("node1", "echo content >@/file")
    status, _ = audit()
    assert status == 0, runner.output
