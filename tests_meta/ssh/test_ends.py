"""A script on a node that hangs: nothing of it is left when the controller has given up, is interrupted or is gone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.route import Sudo
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.connection.transport import HostTransport, connect
from pytest_synctool.demo.embedded import EmbeddedCluster
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

from tests_meta.ssh.test_sudo import ACCOUNTS, RULE

# It does not listen to the end of the connection.
HANGS = b"trap '' PIPE HUP; echo begun; sleep 86397 & (sleep 86397); echo over"
COUNT = "grep -lzx '8639[7]' /proc/[0-9]*/cmdline | wc -l"
LATEST = 20  # seconds


def wait_for(cluster: EmbeddedCluster, node: str, number: int) -> None:
    """Wait until so many commands hang on the node."""
    latest = time.monotonic() + LATEST
    while (found := int(cluster.run(node, COUNT).stdout)) != number:
        assert time.monotonic() < latest, f"{found} are left"
        time.sleep(0.05)


def connection(cluster: EmbeddedCluster, node: str, processes: Processes, *, sudo: bool = False) -> HostTransport:
    """Return a connection to a node, as the user `op` if it has sudo."""
    spec = f"ssh://op@{node}" if sudo else f"ssh://{node}"
    settings = SshSettings(("ssh", "-F", str(cluster.ssh_config)))
    return connect(Node(node, (node, "all"), node, connection=spec), settings, processes, Sudo() if sudo else None)


@pytest.mark.parametrize("node", ["node1", "node5"], ids=["GNU", "BusyBox"])
@pytest.mark.parametrize("phase", [Phase.PROBE, Phase.FETCH, Phase.UPLOAD])
def test_a_node_that_is_given_up(cluster: EmbeddedCluster, node: str, phase: Phase) -> None:
    with pytest.raises(TransportError, match="no answer within 1 s"):
        connection(cluster, node, Processes()).run(HANGS, 1.0, phase)
    wait_for(cluster, node, 0)


def test_a_run_that_is_interrupted(cluster: EmbeddedCluster) -> None:
    processes = Processes()

    def interrupt() -> None:
        wait_for(cluster, "node1", 2)
        processes.end_all()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(TransportError, match="interrupted"):
        connection(cluster, "node1", processes).run(HANGS, 60.0)
    thread.join()
    wait_for(cluster, "node1", 0)


@pytest.mark.parametrize("pty", ["use_pty", "!use_pty"])
def test_behind_sudo(cluster: EmbeddedCluster, pty: str) -> None:
    """With a terminal of its own, sudo puts the command into another process group."""
    if shutil.which("sudo") is None:
        pytest.skip("sudo is not installed")
    cluster.run("node1", ACCOUNTS)
    cluster.write("node1", "/etc/sudoers.d/op", f"{RULE}\nDefaults {pty}\n".encode(), 0o440)
    try:
        with pytest.raises(TransportError, match="no answer within 1 s"):
            connection(cluster, "node1", Processes(), sudo=True).run(HANGS, 1.0)
        wait_for(cluster, "node1", 0)
    finally:
        cluster.run("node1", "rm -f /etc/sudoers.d/op")


def test_a_controller_that_is_gone(cluster: EmbeddedCluster) -> None:
    """It is killed, and so is its ssh: nobody is there to end anything."""
    code = (
        "import sys\n"
        "from pytest_synctool.connection.processes import Processes\n"
        "from pytest_synctool.connection.ssh import SshSettings\n"
        "from pytest_synctool.connection.transport import connect\n"
        "from pytest_synctool.model import Node\n"
        "settings = SshSettings(('ssh', '-F', sys.argv[1]))\n"
        "node = Node('node1', ('node1', 'all'), 'node1', connection='ssh://node1')\n"
        "connect(node, settings, Processes()).run(sys.argv[2].encode(), 600)\n"
    )
    controller = subprocess.Popen([sys.executable, "-c", code, str(cluster.ssh_config), HANGS.decode()])
    try:
        wait_for(cluster, "node1", 2)
    finally:
        os.kill(controller.pid, signal.SIGKILL)
        controller.wait()
    wait_for(cluster, "node1", 0)


def test_a_script_that_ends_leaves_nothing_behind(cluster: EmbeddedCluster) -> None:
    host = connection(cluster, "node1", Processes())
    assert host.run(b"echo one", 4321.0).stdout == b"one\n"
    assert cluster.run("node1", f"grep -lz '^{4321 * 30}' /proc/[0-9]*/cmdline || :").stdout == b""
