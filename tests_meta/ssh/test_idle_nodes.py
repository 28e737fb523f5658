"""A node for which the masterdir has nothing is looked at all the same: a dead one never passes."""

from __future__ import annotations

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site
from tests_meta.ssh.test_synctool import synctool

WARNING = "nothing in overlay/ or delete/ is for it, so that an audit only sees whether it answers"


@pytest.fixture
def partly(live: Site) -> Site:
    """Return a site with entries for node1 only; nobody is at home at one of the others."""
    live.nodes = {"node1": "batch", "node2": "login", "gone": "login ipaddress:127.0.0.1"}
    live.put("file._batch")
    (live.masterdir / "overlay/data").rename(live.masterdir / "overlay/data._batch")
    live.lines.append("default_nodeset all")
    return live


@ALONE_AND_XDIST
@pytest.mark.parametrize("more", [(), ("-k", "not nothing-like-it"), ("--granularity=node",)], ids=["", "k", "whole"])
def test_pytest(partly: Site, workers: tuple[str, ...], more: tuple[str, ...]) -> None:
    partly.pytest("--fix", "--hosts=node1")
    run = partly.pytest(*workers, *more)
    assert run.status == 1, run.output
    assert "ERROR gone: unreachable: " in run.output
    assert f"WARNING gone,node2: {WARNING}" in run.output
    assert "3 nodes: 2 in sync, 1 not looked at" in run.output
    assert partly.pytest(*workers, *more, "--hosts=node[1-2]").status == 0


def test_synctool(partly: Site) -> None:
    assert synctool(partly, "-f", "-n", "node1").status == 0
    ended = synctool(partly)
    assert ended.status == 3
    assert "gone: unreachable: " in "\n".join(ended.lines)
    assert f"WARNING gone,node2: {WARNING}" in ended.complaints
    assert synctool(partly, "-q", "-n", "node1,node2").status == 0


def test_a_node_without_entries(live: Site) -> None:
    """It is told, and nothing is done to the node."""
    live.nodes = {"node1": "batch"}
    live.put("file._none")
    (live.masterdir / "overlay/data").rename(live.masterdir / "overlay/data._none")
    before = live.sh("node1", "ls -A / /var/lib")
    for run in (live.pytest(), live.pytest("--fix")):
        assert run.status == 0, run.output
        assert run.word("node1", "/") == "passed"
        assert f"WARNING node1: {WARNING}" in run.output
    assert synctool(live, "-f").status == 0
    assert live.sh("node1", "ls -A / /var/lib") == before


@pytest.mark.parametrize("more", [[], ["--fix"]], ids=["audit", "fix"])
def test_an_empty_masterdir(live: Site, more: list[str]) -> None:
    """That is no pass: somebody has named the wrong directory, or all files lack their groups."""
    live.nodes = {"node1": "batch"}
    message = f"nothing to look at: overlay/, delete/ and tasks/ in {live.masterdir} have no entry for any node"
    run = live.pytest(*more)
    assert run.status == 1
    assert message in run.message("node1", "/")
    assert "1 node: 1 with errors" in run.output
    ended = synctool(live, *more)
    assert ended.status == 2
    assert message in ended.complaints
    (live.masterdir / "overlay/file").write_text("without a group\n")
    assert live.pytest(*more).status == 1
    live.lines.append("always_run true")
    assert live.pytest(*more).status == 0
