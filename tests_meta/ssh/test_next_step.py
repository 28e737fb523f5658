"""The next step that a run prints does what it says, if somebody pastes it into the shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests_meta.site import Site

PYTEST = str(Path(sys.executable).with_name("pytest"))
PROGRAMS = pytest.mark.parametrize(
    "program", [("pytest",), (PYTEST,), ("python", "-m", "pytest"), (sys.executable, "-m", "pytest")], ids=str
)
ONLY_NODE1 = ("-k", "not other", "--hosts=batch!node2")


@PROGRAMS
@pytest.mark.parametrize(
    "arguments",
    [(), ("-n2", "--lf"), ("--granularity=node",), ("-p", "no:cacheprovider")],
    ids=["plain", "again", "by-node", "no-cache"],
)  # fmt: skip
def test_the_repair_that_an_audit_prints(live: Site, program: Sequence[str], arguments: Sequence[str]) -> None:
    """It repairs what was selected, and nothing else."""
    live.put("a b._all")
    if "--granularity=node" not in arguments:  # there, -k selects nodes
        live.put("other._all")
    command = [*program, "--pyargs", "synctool_checks", f"--synctool-conf={live.configure()}", *ONLY_NODE1, *arguments]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "300"}

    def run(what: str | list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            what, shell=isinstance(what, str), cwd=live.directory, env=environment, capture_output=True, text=True
        )

    audit = run(command)
    assert audit.returncode == 1, audit.stdout
    printed = re.search("^DRY RUN, .* To put right what was found: (.*)$", audit.stdout, re.MULTILINE)
    assert printed is not None, audit.stdout
    repair = run(printed[1])
    assert repair.returncode == 0, repair.stdout + repair.stderr
    assert "1 node: 1 fixed" in repair.stdout
    listing = "ls -d @/* 2>&-; :"
    assert [live.sh(node, listing) for node in ("node1", "node2")] == [f"{live.top}/a b\n", ""]
