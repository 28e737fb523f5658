"""Nodes behind a gateway: ssh goes through it by `ProxyJump` of its own configuration, whatever is done there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import Site
from tests_meta.terminal import run


@pytest.fixture
def jump(live: Site, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ssh configuration in which node3 is behind node1; connections to node1 are shared once one is open."""
    path = live.directory / "jump"
    shared = f"ControlMaster no\n  ControlPath {live.directory}/gateway"
    path.write_text(f"Host node3\n  ProxyJump node1\nHost node1\n  {shared}\n{cluster.ssh_config.read_text()}")
    monkeypatch.setattr(cluster, "ssh_config", path)
    return path


def logins(cluster: EmbeddedCluster) -> int:
    """How many connections node1 has been asked for."""
    return (cluster.directory / "log" / "node1").read_text(errors="replace").count("Connection from ")


def test_all_go_through_the_gateway(live: Site, cluster: EmbeddedCluster, jump: Path) -> None:
    """Audit, repair with rsync, commands and copies; without the gateway nobody gets there, which is an error."""
    live.nodes = {"node3": "login"}
    live.put("file._all")
    live.script("file.post", "#!/bin/sh\necho ran >>post\n")
    assert live.pytest().word("node3", f"{live.top}/file") == "failure"
    before = logins(cluster)
    fixed = live.pytest("--fix")
    assert fixed.status == 0, fixed.output
    assert live.sh("node3", "cat @/file @/post") == "content\nran\n"
    assert logins(cluster) > before
    assert run(live.directory, "dsh", "hostname").lines() == ["node3: node3"]
    (live.directory / "copied").write_text("copied\n")
    assert run(live.directory, "dcp", "-d", live.top, "copied").status == 0
    assert live.sh("node3", "cat @/copied") == "copied\n"
    cluster.stop("node1")
    try:
        audit = live.pytest()
        direct = live.pytest(f"--ssh-config={cluster.directory / 'ssh_config'}")
    finally:
        cluster.start("node1")
    assert audit.status == 1
    assert "1 node: 1 not looked at" in audit.output
    assert direct.status == 0, direct.output


def test_one_connection_to_the_gateway_for_all(live: Site, cluster: EmbeddedCluster, jump: Path) -> None:
    """One that was opened before is used by every node behind it."""
    live.nodes = {"node3": "login"}
    live.put("file._all")
    ssh = ["ssh", "-F", str(jump)]
    subprocess.run([*ssh, "-f", "-N", "-o", "ControlMaster=yes", "node1"], check=True, stdin=subprocess.DEVNULL)
    try:
        before = logins(cluster)
        assert live.pytest("--fix").status == 0
        assert run(live.directory, "dsh", "hostname").lines() == ["node3: node3"]
        assert logins(cluster) == before
    finally:
        subprocess.run([*ssh, "-O", "exit", "node1"], check=True, capture_output=True)
