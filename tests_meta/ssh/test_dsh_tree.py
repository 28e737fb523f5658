"""`dsh` through ClusterShell's gateways: a node that runs ssh to others, by the names that it knows them by."""

from __future__ import annotations

import base64
import io
import os
import pickle
import socket
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import ClusterShell
import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import Site
from tests_meta.ssh.test_dsh import KILL, SLEEP, left_behind
from tests_meta.terminal import Ended, run, terminal

LIBRARY = "/run/clustershell.zip"
# 10 s at most until the gateway's ssh to node2 has ended.
GONE_FROM_NODE2 = """
n=0
while grep -lzqx 'node[2]' /proc/[0-9]*/cmdline 2>&-; do
  n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.05
done
"""
Tree = Callable[..., Ended]


@pytest.fixture(autouse=True)
def no_status_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor: a slow run shows no status line between the lines of nodes."""
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture(scope="module")
def python(cluster: EmbeddedCluster) -> Iterator[str]:
    """node1 as a gateway: with ClusterShell, a key, and the names of the others. The Python to run there."""
    found = [os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"]
    usable = [
        path for path in found if cluster.run("node1", f"{path} -c 'import xml.sax'", check=False).returncode == 0
    ]
    if not usable:
        pytest.skip("the nodes have no Python: none is installed below /usr")
    package = Path(ClusterShell.__file__).parent
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as library:
        for path in package.rglob("*.py"):
            library.write(path, path.relative_to(package.parent))
    cluster.write("node1", LIBRARY, archive.getvalue())
    keys = cluster.directory / "keys"
    settings = cluster.ssh_config.read_text().replace(str(keys), "/root/.ssh")
    for name, data in (("config", settings.encode()), *((n, (keys / n).read_bytes()) for n in ("id", "known_hosts"))):
        cluster.write("node1", f"/root/.ssh/{name}", data, 0o600)
    yield usable[0]
    cluster.run("node1", f"rm -r {LIBRARY} /root/.ssh")


@pytest.fixture
def tree(live: Site, python: str) -> Tree:
    """Runs dsh where node1 is the gateway of node2 and node3."""
    live.configure()
    variables = topology(live, python)

    def dsh(*arguments: str, data: bytes = b"", **more: str) -> Ended:
        return run(live.directory, "dsh", *arguments, data=data, more={**variables, **more})

    return dsh


def topology(live: Site, python: str, routes: str = "node1: node[2-3]") -> dict[str, str]:
    """Write topology.conf; returns the environment for it."""
    root = socket.gethostname().partition(".")[0]
    gateways = ",".join(line.partition(":")[0] for line in routes.splitlines())
    (live.directory / "topology.conf").write_text(f"[routes]\n{root}: {gateways}\n{routes}\n")
    return {
        "CLUSTERSHELL_CFGDIR": str(live.directory),
        "CLUSTERSHELL_GW_PYTHON_EXECUTABLE": python,
        "PYTHONPATH": LIBRARY,
    }


def test_routes(tree: Tree) -> None:
    """The nodes behind it are gone to from the gateway; input, output, errors and statuses are those of the nodes."""
    came_from = 'set -- $SSH_CONNECTION; echo "$3"; cat; echo err >&2; exit $(hostname | tr -dc 0-9)'
    ended = tree(came_from, data=b"data\n")
    assert ended.status == 3
    assert [line for line in ended.lines() if line.endswith(": data")] == [f"node{n}: data" for n in (1, 2, 3)]
    assert ended.errors() == sorted(
        [f"node{n}: err" for n in (1, 2, 3)] + [f"node{n}: exit status {n}" for n in (1, 2, 3)]
    )
    typed = tree("-n", "node[2-3]", data=b"hostname\nexit 4\n")  # one run after another
    assert (typed.status, typed.lines()) == (4, ["node2: node2", "node3: node3"])
    shown = tree("--unix", "date")
    assert shown.lines()[0].startswith("# through the gateways of /")
    assert shown.lines()[0].endswith("/topology.conf, by their ssh: node[2-3]")
    assert len(shown.lines()) == 2
    assert len(tree("--unix", "--no-tree", "date").lines()) == 3


def test_they_really_come_from_the_gateway(tree: Tree, live: Site) -> None:
    """Without the gateway's own key for them nobody gets in; directly everybody does."""
    live.sh("node1", "mv /root/.ssh/id /root/.ssh/away")
    try:
        ended = tree("hostname")
        assert tree("--no-tree", "hostname").status == 0
    finally:
        live.sh("node1", "mv /root/.ssh/away /root/.ssh/id")
    assert (ended.status, ended.lines()) == (3, ["node1: node1"])
    assert len(ended.errors()) == 2
    for name, line in zip(("node2", "node3"), ended.errors(), strict=True):
        assert line.startswith(f"{name}: unreachable: root@127.")
        assert "Permission denied" in line


def test_a_node_that_is_down(tree: Tree, cluster: EmbeddedCluster) -> None:
    cluster.stop("node2")
    try:
        ended = tree("hostname; exit 255")
    finally:
        cluster.start("node2")
    assert (ended.status, ended.lines()) == (3, ["node1: node1", "node3: node3"])
    assert ended.errors() == [
        "node1: exit status 255, or ended by a signal or with its connection",
        "node2: unreachable: Connection refused",
        "node3: exit status 255, or ended by a signal or with its connection",
    ]


def test_time_limit(tree: Tree, live: Site) -> None:
    ended = tree("--timeout=2", SLEEP)
    assert (ended.status, ended.out) == (124, b"")
    assert ended.errors() == [f"node{n}: not done within 2 s" for n in (1, 2, 3)]
    assert left_behind(live) == {}


def test_ctrl_c(live: Site, python: str) -> None:
    live.configure()
    command = f"echo begun; [ $(hostname) = node2 ] || exec {SLEEP}"
    with terminal(live.directory, "dsh", command, **topology(live, python)) as shell:
        for name in live.nodes:
            shell.until(f"{name}: begun".encode())
        live.sh("node1", GONE_FROM_NODE2)  # that it is done comes to dsh behind what it has said
        shell.type(b"\x03")
        assert shell.end() == 130
    assert b"dsh: done: node2\r\ndsh: ended: node[1,3]\r\n" in shell.shown
    assert left_behind(live) == {}


def test_a_gateway_that_does_not_serve(tree: Tree) -> None:
    """Its nodes are lost, with the reason; others are not."""
    ended = tree("hostname", CLUSTERSHELL_GW_PYTHON_EXECUTABLE="/no/such/python")
    assert (ended.status, ended.lines()) == (3, ["node1: node1"])
    for name, line in zip(("node2", "node3"), ended.errors(), strict=True):
        assert line.startswith(f"{name}: unreachable: its gateway node1 cannot be used: ")
        assert line.endswith("/no/such/python: No such file or directory")


def test_a_gateway_with_an_address_of_its_own(live: Site, python: str) -> None:
    """The configuration names its address, whether it is selected or not."""
    assert live.cluster is not None
    live.nodes["gate"] = f"login ipaddress:root@{live.cluster.addresses['node1']}:{live.cluster.port}"
    live.configure()
    ended = run(live.directory, "dsh", "-n", "node2", "hostname", more=topology(live, python, "gate: node2"))
    assert (ended.status, ended.err, ended.lines()) == (0, b"", ["node2: node2"])


def test_a_gateway_whose_login_prints_and_reads(tree: Tree, live: Site) -> None:
    """Its words are no messages of ClusterShell, and it gets none of what is for others."""
    text = "echo '<channel>'; echo Welcome; printf open; while read -r -t 1 x; do echo got $x; done"
    live.sh("node1", f"echo '{text.replace(chr(39), chr(34))}' >/root/.bashrc")
    try:
        ended = tree("cat; hostname", data=b"data\n")
    finally:
        live.sh("node1", "rm /root/.bashrc")
    words = ["<channel>", "Welcome", "opendata", "node1"]  # node1 itself is not behind a gateway
    assert ended.lines() == sorted(
        [f"node1: {w}" for w in words] + [f"node{n}: {w}" for n in (2, 3) for w in ("data", f"node{n}")]
    )
    assert (ended.status, ended.err) == (0, b"")


def test_another_gateway_takes_over(live: Site, python: str) -> None:
    """node5 has no ClusterShell; what it should have gone to is gone to from node1."""
    assert live.cluster is not None
    live.nodes["node5"] = "batch"
    live.configure()
    variables = topology(live, python, "node[1,5]: node[2-3]")
    ended = run(live.directory, "dsh", "hostname", more=variables)
    assert (ended.status, ended.err) == (0, b"")
    assert ended.lines() == [f"node{n}: node{n}" for n in (1, 2, 3, 5)]


def test_a_gateway_that_is_lost(live: Site, python: str, cluster: EmbeddedCluster) -> None:
    """What its nodes are doing is not known any more."""
    live.configure()
    with terminal(live.directory, "dsh", "-n", "node[2-3]", f"echo begun; {SLEEP}", **topology(live, python)) as shell:
        for name in ("node2", "node3"):
            shell.until(f"{name}: begun".encode())
        live.sh("node1", "kill -9 $(grep -lzx 'ClusterShell[.]Gateway' /proc/[0-9]*/cmdline | cut -d/ -f3)")
        assert shell.end() == 3
    for name in ("node2", "node3"):
        assert f"{name}: unreachable: the connection to its gateway node1 ended".encode() in shell.shown
        live.sh(name, KILL)


# A gateway that begins as ClusterShell's does and then sends nonsense.
NONSENSE = """#!/bin/sh
[ "$(hostname)" = node5 ] || exec PYTHON "$@"
read -r line && read -r line
echo '<?xml version="1.0" encoding="utf-8"?><channel version="1.9"><message type="ACK" msgid="0" ack="0"></message>'
while read -r line; do case $line in *srcid=*) break ;; esac; done
id=${line#*srcid=?} id=${id%%[!0-9]*}
cat <<END
MESSAGE
END
while read -r line; do :; done
"""


class RunsCode:
    """What makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return os.mkdir, (self.path,)


def test_a_gateway_that_sends_nonsense(live: Site, python: str) -> None:
    """It is the problem of its own nodes alone: those of the other gateway, and those without one, answer."""
    assert live.cluster is not None
    live.nodes["node5"] = "batch"
    live.configure()
    variables = topology(live, "/run/gateway-python", "node1: node2\nnode5: node3")
    text = base64.b64encode(pickle.dumps(b"what node2 has never said")).decode()
    code = base64.b64encode(pickle.dumps(RunsCode(live.directory / "made"))).decode()
    failed = "its gateway node5 has failed: "
    for message, reason in (
        ('<message type="ERR" msgid="1" reason="no such thing"></message>', f"{failed}TopologyError: node5: no such"),
        (f'<message type="OUT" msgid="1" srcid="1" nodes="node3">{text}</message>', f"{failed}KeyError: 1"),
        ('<message type="ACK" msgid="x" ack="0"></message>', f"{failed}ValueError: invalid literal for int()"),
        ('<message type="ERR" msgid="1"></message>', "the connection to its gateway node5 ended"),
        (
            '<message type="RET" msgid="1" srcid="$id" nodes="node2" retcode="0"></message>',
            f"{failed}KeyError: 'node2'",
        ),
        (
            f'<message type="OUT" msgid="1" srcid="$id" nodes="node3">{code}</message>',
            f"{failed}MessageProcessingError: its payload is not a pickle of bytes",
        ),
        (
            f'<message type="OUT" msgid="1" srcid="$id" nodes="node2">{text}</message>',
            f"{failed}MessageProcessingError: it speaks for node2, which is not one of its nodes",
        ),
    ):
        script = NONSENSE.replace("PYTHON", python).replace("MESSAGE", message)
        for name in ("node1", "node5"):
            live.cluster.write(name, "/run/gateway-python", script.encode(), 0o755)
        ended = run(live.directory, "dsh", "hostname", more=variables)
        assert (ended.status, ended.lines()) == (3, ["node1: node1", "node2: node2", "node5: node5"])
        (error,) = ended.errors()
        assert error.startswith(f"node3: unreachable: {reason}")
        assert not (live.directory / "made").exists()


def test_a_topology_without_this_machine(tree: Tree, live: Site) -> None:
    file = live.directory / "topology.conf"
    file.write_text("[routes]\nelsewhere: node1\nnode1: node2\n")
    ended = tree("hostname")
    assert (ended.status, ended.out) == (2, b"")
    assert ended.errors()[0].startswith(f"{file}: ")
    assert ended.errors()[0].endswith("is not a valid root node! (--no-tree ignores it)")
    assert tree("--no-tree", "hostname").status == 0


def test_too_much_input(tree: Tree, live: Site) -> None:
    """An input without an end is refused before any node is gone to."""
    script = "yes | dsh head -n 1"
    ended = run(live.directory, "sh", "-c", script, more={"CLUSTERSHELL_CFGDIR": str(live.directory)})
    assert (ended.status, ended.out) == (2, b"")
    assert ended.errors()[0].startswith("standard input has more than 64 MiB")
