"""Nodes behind a gateway: ssh goes through it by `ProxyJump` of its own configuration, whatever is done there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import Site
from tests_meta.ssh.test_addresses import free_port
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
    """Audit, repair with tar and rsync, commands, copies; without the gateway nobody gets there, which is an error."""
    live.nodes = {"node3": "login"}
    live.put("file._all")
    live.script("file.post", "#!/bin/sh\necho ran >>post\n")
    assert live.pytest().word("node3", f"{live.top}/file") == "failure"
    before = logins(cluster)
    for content in ("first\n", "second\n"):
        live.put("file._all", content)
        fixed = live.pytest("--fix")
        assert fixed.status == 0, fixed.output
    assert live.sh("node3", "cat @/file @/post") == "second\nran\nran\n"
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


def test_causes_of_failed_logins(live: Site, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway and its own reason are named, and what to do about host keys that are unknown or differ.

    Each node fails in another way, so that one run tries all of them.
    """
    keys, original = live.directory / "keys", cluster.ssh_config.read_text()
    keys.mkdir()
    public = (cluster.directory / "keys/known_hosts").read_text().split("\n")[0].split(maxsplit=1)[1]
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNvdGhlcmtleW90aGVya2V5b3RoZXJrZXlvdGhlcmtl"
    address, port = cluster.addresses, cluster.port
    (keys / "none").touch()
    (keys / "other").write_text(f"[{address['node2']}]:{port} {other}\n")
    (keys / "revoked").write_text(f"@revoked [{address['node2']}]:{port} {public}\n")
    closed = free_port("127.0.0.1")
    blocks = {
        "dead": f"HostName {address['node2']}\n ProxyJump gone",
        "gone": f"HostName 127.0.0.1\n Port {closed}",
        "stranger": f"HostName {address['node2']}\n ProxyJump unknown",
        "unknown": f"HostName {address['node1']}\n UserKnownHostsFile {keys}/none",
        "refused": f"HostName 127.0.0.1\n Port {closed}\n ProxyJump node1",
        "second": f"HostName {address['node2']}\n ProxyJump node1,gone",
        "command": f"HostName {address['node2']}\n ProxyCommand sh -c 'echo no way >&2; exit 1'",
        "new": f"HostName {address['node2']}\n UserKnownHostsFile {keys}/none",
        "inside": f"HostName {address['node2']}\n UserKnownHostsFile {keys}/none\n ProxyJump node1",
        "changed": f"HostName {address['node2']}\n UserKnownHostsFile {keys}/other",
        "revoked": f"HostName {address['node2']}\n UserKnownHostsFile {keys}/revoked",
        "denied": f"HostName {address['node2']}\n User nobody-there",
        "plain": f"HostName 127.0.0.1\n Port {closed}",
    }
    jump = live.directory / "jump"
    jump.write_text("".join(f"Host {name}\n {block}\n" for name, block in blocks.items()) + original)
    monkeypatch.setattr(cluster, "ssh_config", jump)
    listed = subprocess.run(["ssh-keygen", "-lf", "-"], input=public, capture_output=True, text=True)
    fingerprint = listed.stdout.split()[1]
    live.nodes = {name: "batch" for name in blocks if name not in ("gone", "unknown")}
    live.put("file._all")
    name = f"[{address['node2']}]:{port}"
    add = f"ssh -F {jump} -p {port} -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={keys}"
    expected = {
        "dead": "its gateway gone cannot be reached: Connection refused",
        "stranger": f"its gateway unknown cannot be reached: Host key verification failed: {keys}/none has no host key",
        "refused": "its gateway node1 does not reach it: ",
        "second": "its gateway gone cannot be reached: ",
        "command": "its ProxyCommand does not reach it: no way",
        "new": f"{keys}/none has no host key of it. If {fingerprint} is its key, add it: {add}/none new exit",
        "inside": f"{keys}/none has no host key of it. If {fingerprint} is its key, add it: {add}/none inside exit",
        "changed": f"its host key is not the one in {keys}/other. If {fingerprint} is its new key: "
        f"ssh-keygen -R '{name}' -f {keys}/other; {add}/other changed exit",
        "revoked": f"its host key {fingerprint} is revoked in {keys}/revoked: give the node a new one",
        "denied": "Permission denied",
        "plain": "Connection refused",
    }
    live.configure()
    audit = run(live.directory, "synctool")
    commands = run(live.directory, "dsh", "hostname")
    for lines in (audit.errors() + audit.lines(), commands.errors()):
        for node, words in expected.items():
            own = [line for line in lines if line.startswith((f"{node}:", f"{node} "))]
            assert any(words in line for line in own), (node, own, lines)
            assert node in ("denied", "plain") or "its" in own[0] + own[-1]
            assert not any("gateway" in line for line in own) or node in ("dead", "stranger", "refused", "second"), own
        assert not any("kex_exchange" in line or "UNKNOWN" in line for line in lines), lines
    for node in ("new", "changed"):  # the printed commands are right
        (line,) = (each for each in commands.errors() if each.startswith(f"{node}: ") and " exit" in each)
        text = line.partition(" is its key, add it: " if node == "new" else " is its new key: ")[2]
        assert subprocess.run(["sh", "-c", text], capture_output=True).returncode == 0
    assert run(live.directory, "dsh", "-n", "new,changed", "hostname").status == 0
