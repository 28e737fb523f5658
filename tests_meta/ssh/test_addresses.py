"""Nodes by every form of address that ssh takes, IPv6 too: audits, repairs, rsync, tar, dsh and dcp reach them."""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import BY_RSYNC, Site
from tests_meta.terminal import run

USER: Final = "a.b+c@corp"
NODES: Final = ("node1", "node2", "node3", "node4", "node5")


def link_local() -> str | None:
    """Return an IPv6 address of this machine with its zone, or None if it has none."""
    lines = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
    for digits, _, _, scope, _, interface in lines:
        if scope == "20":
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)) + f"%{interface}"
    return None


def free_port(address: str) -> int:
    """Return a port that is free at an address of this machine."""
    ((family, kind, _, _, target),) = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)
    with socket.socket(family, kind) as probe:
        probe.bind(target)
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def listen(cluster: EmbeddedCluster) -> Iterator[Callable[[str, str, int], None]]:
    """Return a function that starts another sshd on a node, at an address and port."""
    known_hosts = cluster.directory / "keys/known_hosts"
    before, started = known_hosts.read_text(), []
    key = " ".join((cluster.directory / "keys/host.pub").read_text().split()[:2])

    def start(node: str, address: str, port: int) -> None:
        options = f"-D -e -f /dev/null -h /run/sshd/host -oAuthorizedKeysFile=/run/sshd/id.pub -oUsePAM=no -p {port}"
        words = f"{options} -oPidFile=/run/sshd/extra.pid -oListenAddress={shlex.quote(f'[{address}]')}"
        log = "</dev/null >/run/sshd/extra.log 2>&1"
        cluster.run(node, f"setsid --fork $(PATH=$PATH:/usr/sbin command -v sshd) {words} {log}")
        started.append(node)
        with known_hosts.open("a") as file:
            file.write(f"[{address}]:{port} {key}\n")
        for _ in range(600):
            if b"listening" in cluster.run(node, "cat /run/sshd/extra.log; sleep 0.05", check=False).stdout:
                return
        pytest.fail("sshd does not listen")

    yield start
    for node in started:
        with suppress(Exception):
            cluster.run(node, "kill $(cat /run/sshd/extra.pid)")
    known_hosts.write_text(before)


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_every_form_of_address(site: Site, cluster: EmbeddedCluster, listen: Callable[[str, str, int], None]) -> None:
    """Each node has another form; all of them are audited, repaired by rsync and by tar, and get commands and files.

    The repair by rsync reads synctool.conf, everything after it the same as synctool.yaml.
    """
    linked, port = link_local() or "::1", cluster.port
    ports = {node: free_port("::1") for node in ("node2", "node3")}
    listen("node1", "::1", port)
    listen("node2", "::1", ports["node2"])
    listen("node3", linked, ports["node3"])
    if linked != "::1":
        listen("node4", linked, port)
    cluster.run("node3", f"grep -q '^{USER}:' /etc/passwd || echo '{USER}:*:0:0::/root:/bin/sh' >>/etc/passwd")
    fourth = linked if linked != "::1" else cluster.addresses["node4"]
    percent = linked.replace("%", "%25")
    specifiers = {
        "node1": "ipaddress:::1",
        "node2": f"connection:root@[::1]:{ports['node2']}",
        "node3": f"connection:ssh://{USER.replace('@', '%40')}@[{percent}]:{ports['node3']}",
        "node4": f"interface:{fourth}",
        "node5": f"ipaddress:root@{cluster.addresses['node5']}:{port}",
    }
    site.cluster, site.nodes = cluster, {node: f"all5 {specifiers[node]}" for node in NODES}
    site.lines.append(BY_RSYNC)
    conf, other = site.configure(), site.directory / "synctool.yaml"
    site.put("file._all", "one\n")
    for node in NODES:
        site.sh(node, "rm -rf @")
    fixed = run(site.directory, "synctool", "-f")
    assert fixed.status == 0, (fixed.out, fixed.err)
    other.write_bytes(run(site.directory, "synctool-config", "--to-yaml").out)
    conf.unlink()
    command = [*site.command(configured=False), f"--synctool-conf={other}"]
    audited = site.pytest(command=command)
    assert (audited.status, audited.count("passed")) == (0, len(audited.results)), audited.output
    ended = run(site.directory, "dsh", "hostname; echo $USER")
    users = {node: USER if node == "node3" else "root" for node in NODES}
    assert (ended.status, ended.lines()) == (0, sorted(f"{n}: {x}" for n in NODES for x in (n, users[n]))), ended.err
    (site.directory / "copied").write_text("copied\n")
    copied = run(site.directory, "dcp", "-d", site.top, "copied")
    assert copied.status == 0, copied.err
    fetched = run(site.directory, "dcp", "--reverse", "-d", ".", f"{site.top}/copied")
    assert fetched.status == 0, fetched.err
    assert all((site.directory / node / "copied").read_text() == "copied\n" for node in NODES)
    other.write_text(re.sub("(?m)^rsync_cmd:.*", "rsync_cmd: no-such-rsync", other.read_text()))
    site.put("file._all", "two\n")
    assert run(site.directory, "synctool", "-f").status == 0
    for node in NODES:
        assert site.sh(node, "cat @/file @/copied") == "two\ncopied\n", node
