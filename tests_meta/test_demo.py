"""Tests of `make demo`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from pytest_synctool.demo.__main__ import drift
from pytest_synctool.demo.embedded import EmbeddedCluster, EmbeddedClusterError, missing_requirements

EXAMPLES = Path(__file__).parents[1] / "examples"


def demonstrate(directory: Path, examples: Path) -> subprocess.CompletedProcess[str]:
    """Run the demonstration; it writes reports/ below `directory`."""
    command = [sys.executable, "-m", "pytest_synctool.demo", str(examples)]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.skipif(bool(missing_requirements()), reason="; ".join(missing_requirements()))
def test_nodes_drift_and_are_repaired(tmp_path: Path) -> None:
    done = demonstrate(tmp_path, EXAMPLES)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("4 nodes: ")] == [
        "4 nodes: 4 drifted",
        "4 nodes: 4 fixed",
        "4 nodes: 4 in sync",
    ]
    assert "must not exist" in (tmp_path / "reports" / "demo-audit.html").read_text(encoding="utf-8")


@pytest.mark.skipif(bool(missing_requirements()), reason="; ".join(missing_requirements()))
def test_a_failure_is_one_sentence(tmp_path: Path) -> None:
    done = demonstrate(tmp_path, tmp_path / "no examples")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("The demonstration failed: [Errno 2] No such file or directory: ")
    assert len(done.stdout.splitlines()) == 1


def test_a_node_that_cannot_be_changed_is_named_with_the_command() -> None:
    class Broken:
        def run(self, node: str, command: str, *, check: bool) -> subprocess.CompletedProcess[bytes]:
            return subprocess.CompletedProcess(command, 1, b"", os.fsencode(f"sh: {node} is broken\n"))

    with pytest.raises(
        EmbeddedClusterError, match=r"^cannot change node1: echo .* >>/etc/ntp\.conf: sh: node1 is broken$"
    ):
        drift(cast(EmbeddedCluster, Broken()))


def test_an_ordinary_user_learns_before_anything_is_installed_that_it_needs_root(tmp_path: Path) -> None:
    """`make demo` in a checkout without an environment, as a user whose number is not 0."""
    (tmp_path / "bin").mkdir()
    for name, text in (("id", "echo 1000"), ("python3", "echo python >>called"), ("apt-get", "echo apt >>called")):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copyfile(EXAMPLES.parent / "Makefile", checkout / "Makefile")
    shutil.copyfile(EXAMPLES.parent / "pyproject.toml", checkout / "pyproject.toml")
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    done = subprocess.run(
        ["make", "demo", "PYTHON=python3"], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "sudo make demo" in done.stdout
    assert sorted(path.name for path in checkout.iterdir()) == ["Makefile", "pyproject.toml"]
