"""A repair that its controller does not hear to its end: it is awaited, or the next --fix reports what it did."""

from __future__ import annotations

import os

import pytest
from pytest_synctool.audit.owed_commands import directory

from tests_meta.gate import MakeGate, running
from tests_meta.site import Site

NODES = pytest.mark.parametrize("node", ["node1", "node5"], ids=["GNU", "BusyBox"])


def reports(live: Site, node: str) -> str:
    """The name of the report that waits on a node."""
    return live.sh(node, f"ls {os.fsdecode(directory(os.fsencode(live.masterdir)))}/report.* 2>&- || :")


@pytest.fixture
def three(live: Site, node: str) -> Site:
    """A site with three files, one of which has a trigger."""
    live.nodes = {node: "batch"}
    for name in ("a", "b", "c"):
        live.put(f"{name}._all")
        live.sh(node, f"mkdir -p @; echo old >@/{name}")
    live.script("b.post", "#!/bin/sh\nexec /usr/local/sbin/uptime\n")
    return live


@NODES
def test_of_a_killed_controller(three: Site, node: str, gate: MakeGate) -> None:
    at = gate(node, "uptime")
    with running(three) as run:
        at.wait()
        run.kill()
    at.open()
    assert reports(three, node) != ""
    assert three.sh(node, f"stat -c '%a %U' {reports(three, node)}").strip() == "600 root"
    three.script("b.post", "#!/bin/sh\n")
    again = three.pytest("--fix")
    assert again.status == 0, again.output
    assert f"WARNING {node}: an earlier --fix went on without its controller (" in again.output
    assert "4 done, 0 failed" in again.output
    assert reports(three, node) == ""
    assert "earlier" not in three.pytest("--fix").output


@NODES
def test_of_a_lost_connection_is_awaited(three: Site, node: str, gate: MakeGate) -> None:
    """The same run reports what was done meanwhile."""
    at = gate(node, "uptime")
    with running(three) as run:
        at.wait()
        at.kill("connection")
        at.open()
        ended = run.end()
    assert ended.status == 0, ended.output
    assert "3 fixed" in ended.output
    assert reports(three, node) == ""
    assert "earlier" not in three.pytest("--fix").output


@NODES
def test_that_goes_on(three: Site, node: str, gate: MakeGate) -> None:
    """It takes longer than the limit: this is told, and the next --fix reports the rest."""
    at = gate(node, "uptime")
    with running(three, "--node-timeout=3") as run:
        at.wait()
        at.kill("connection")
        ended = run.end()
    assert ended.status == 1
    assert "the repair goes on there, and the next --fix reports its results" in ended.output
    at.open()
    again = three.pytest("--fix")
    assert f"WARNING {node}: an earlier --fix went on without its controller (" in again.output
    assert reports(three, node) == ""


@NODES
def test_a_trigger_may_be_silent_for_longer_than_the_limit(live: Site, node: str) -> None:
    live.nodes = {node: "batch"}
    live.put("a._all")
    live.script("a.post", "#!/bin/sh\nsleep 7\n")
    run = live.pytest("--fix", "--node-timeout=3")
    assert run.status == 0, run.output
    assert reports(live, node) == ""


@NODES
def test_a_killed_repair_leaves_no_process(three: Site, node: str, gate: MakeGate) -> None:
    """The trigger goes on, and what tells the controller of it ends with the repair."""
    at = gate(node, "uptime")
    with running(three) as run:
        at.wait()
        three.sh(node, "read -r pid rest </var/lib/pytest-synctool/lock; kill -9 $pid")
        at.open()
        ended = run.end()
    assert ended.status == 1
    assert f"{three.top}/b put right, but " in ended.output
    assert reports(three, node) == ""


@NODES
def test_a_restore_is_heard(three: Site, node: str) -> None:
    three.script("b.post", "#!/bin/sh\n")
    assert three.pytest("--fix").status == 0
    assert three.pytest("--restore", "--fix", "--hosts=all").status == 0
    assert reports(three, node) == ""
