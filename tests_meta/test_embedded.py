"""The embedded cluster, looked at from both sides: through ssh, and past it into the nodes."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pytest_synctool.demo import embedded
from pytest_synctool.demo.embedded import EmbeddedCluster, EmbeddedClusterError, missing_requirements

PLUGINS = Path(embedded.__file__).parents[1]
HIDDEN = Path("/usr/share")

pytestmark = pytest.mark.skipif(bool(missing_requirements()), reason="; ".join(missing_requirements()))
needs_busybox = pytest.mark.skipif(
    subprocess.run("command -v busybox rsync", shell=True, capture_output=True).returncode != 0,  # noqa: S602
    reason="needs busybox and rsync",
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(tmp_path_factory.mktemp("cluster"), 3, hide=[HIDDEN]) as cluster:
        yield cluster


def ssh(cluster: EmbeddedCluster, host: str, command: str) -> str:
    """What a command on a node prints, without the last newline; ssh itself must succeed."""
    argv = ["ssh", "-F", str(cluster.ssh_config), host, command]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


def mount_namespaces(cluster: EmbeddedCluster) -> set[str]:
    """Those of the keeper and of the nodes; every process of the cluster is in one of them."""
    return held({str(Path(f"/proc/{pid}/ns/mnt").readlink()) for pid, _ in cluster._inits.values()})


_HELD: list[int] = []


def held(namespaces: set[str]) -> set[str]:
    """Keep the kernel from giving the numbers of these namespaces to others, such as the nodes of another test."""
    for pid in inhabitants(namespaces):
        with suppress(OSError):  # it has ended
            _HELD.append(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY))
    return namespaces


def inhabitants(namespaces: set[str]) -> set[int]:
    """The processes in any of these mount namespaces."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "ns/mnt").readlink()) in namespaces:
                found.add(int(process.name))
        except OSError:  # it has ended
            continue
    return found


def await_end(pids: Iterable[int], seconds: float = 20) -> None:
    """Wait until none of the processes runs any more."""
    deadline = time.monotonic() + seconds
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        ended = poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
        os.close(descriptor)
        assert ended, f"process {pid} goes on"


def assert_nothing_left(directory: Path, namespaces: set[str]) -> None:
    assert namespaces
    assert not inhabitants(namespaces)
    assert str(directory) not in Path("/proc/mounts").read_text()


def test_nodes_are_reached_by_name_and_by_address(cluster: EmbeddedCluster) -> None:
    assert cluster.names == ("node1", "node2", "node3")
    for node in cluster.names:
        assert ssh(cluster, node, "hostname; cat /etc/hostname; id -u") == f"{node}\n{node}\n0"
        assert ssh(cluster, cluster.addresses[node], "hostname") == node
    assert len(set(cluster.addresses.values())) == 3
    assert all(address.startswith("127.") for address in cluster.addresses.values())


def test_an_unknown_host_key_is_refused(cluster: EmbeddedCluster, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    argv = ["ssh", "-F", str(cluster.ssh_config), "-o", f"UserKnownHostsFile={empty}", "node1", "true"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert done.returncode == 255
    assert b"Host key verification failed" in done.stderr


def test_nodes_have_private_directories(cluster: EmbeddedCluster, tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    for node in cluster.names:
        assert cluster.run(node, "ls -A /tmp /root").stdout == b"/root:\n\n/tmp:\n"
        assert cluster.run(node, "stat -c %a / /tmp /run /root").stdout == b"755\n1777\n755\n700\n"
        assert cluster.run(node, f"test -e {tmp_path}/secret", check=False).returncode == 1
        assert any(HIDDEN.iterdir())
        assert cluster.run(node, f"ls -A {HIDDEN}").stdout == b""


def test_what_a_node_writes_is_its_own(cluster: EmbeddedCluster) -> None:
    for path in ("/etc/embedded", "/dev/shm/embedded", "/tmp/embedded"):
        cluster.write("node1", path, b"one")
        assert cluster.run("node1", f"cat {path}").stdout == b"one"
        assert cluster.run("node2", f"test -e {path}", check=False).returncode == 1
        assert not Path(path).exists()


def test_processes_of_a_node_are_its_own(cluster: EmbeddedCluster) -> None:
    assert cluster.run("node1", f"test -e /proc/{os.getpid()}", check=False).returncode == 1


@pytest.mark.parametrize("path", ["/srv/a b/c'd\n$(e)", b"/srv/\xff\xfe", "/-n"])
def test_write_takes_any_name(cluster: EmbeddedCluster, path: str | bytes) -> None:
    content = bytes(range(256)) * 1000
    cluster.write("node2", path, content, 0o4750)
    quoted = os.fsdecode(path).replace("'", "'\\''")
    assert cluster.run("node2", f"cat '{quoted}'").stdout == content
    assert cluster.run("node2", f"stat -c %a '{quoted}'").stdout == b"4750\n"


def test_write_says_when_it_cannot(cluster: EmbeddedCluster) -> None:
    with pytest.raises(ValueError, match="absolute"):
        cluster.write("node1", "tmp/x", b"")
    with pytest.raises(subprocess.CalledProcessError):
        cluster.write("node1", "/etc", b"")


def test_run_returns_output_and_status(cluster: EmbeddedCluster) -> None:
    done = cluster.run("node1", "pwd; cat etc/hostname; echo oops >&2; exit 3", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"/\nnode1\n", b"oops\n")
    with pytest.raises(subprocess.CalledProcessError, match="exit 3"):
        cluster.run("node1", "exit 3")
    with pytest.raises(EmbeddedClusterError, match="node9 is not up"):
        cluster.run("node9", "true")


def test_run_kills_what_takes_too_long(cluster: EmbeddedCluster) -> None:
    before = inhabitants(mount_namespaces(cluster))
    with pytest.raises(subprocess.TimeoutExpired):
        cluster.run("node1", "sleep 1000 | sleep 1000", timeout=0.2)
    await_end(inhabitants(mount_namespaces(cluster)) - before)


def test_a_frozen_node_takes_connections_but_does_not_answer(cluster: EmbeddedCluster) -> None:
    cluster.freeze("node2")
    try:
        with socket.create_connection((cluster.addresses["node2"], cluster.port), 5) as connection:
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)
        assert cluster.run("node2", "hostname").stdout == b"node2\n"
        assert ssh(cluster, "node1", "hostname") == "node1"
    finally:
        cluster.thaw("node2")
    assert ssh(cluster, "node2", "hostname") == "node2"


def test_a_stopped_node_refuses_connections_and_keeps_its_files(cluster: EmbeddedCluster) -> None:
    ssh(cluster, "node3", "echo etc >/etc/kept; echo tmp >/tmp/kept")
    cluster.stop("node3")
    cluster.stop("node3")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((cluster.addresses["node3"], cluster.port), 5)
    assert cluster.run("node3", "cat /etc/kept").stdout == b"etc\n"
    cluster.start("node3")
    cluster.start("node3")
    assert ssh(cluster, "node3", "cat /etc/kept /tmp/kept") == "etc\ntmp"


def test_a_frozen_node_can_be_stopped(cluster: EmbeddedCluster) -> None:
    cluster.freeze("node3")
    cluster.stop("node3")
    cluster.start("node3")
    assert ssh(cluster, "node3", "hostname") == "node3"


def test_many_logins_at_once(cluster: EmbeddedCluster) -> None:
    argv = ["ssh", "-F", str(cluster.ssh_config), "node1", "hostname"]
    logins = [
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(40)
    ]
    assert {login.communicate(timeout=60) for login in logins} == {(b"node1\n", b"")}


def test_two_clusters_at_once(cluster: EmbeddedCluster, tmp_path: Path) -> None:
    with EmbeddedCluster(tmp_path, ["web", "db-1.example"]) as other:
        assert not set(other.addresses.values()) & set(cluster.addresses.values())
        assert ssh(other, "db-1.example", "hostname") == "db-1.example"
        assert ssh(cluster, "node1", "hostname") == "node1"


@needs_busybox
def test_a_busybox_node_has_no_gnu_tools(tmp_path: Path) -> None:
    with EmbeddedCluster(tmp_path / "cluster", 2, busybox=["node2"]) as cluster:
        # This shell may find its own applets without looking at PATH, so `command -v` need not give a path.
        script = 'for file in /proc/$$/exe /bin/sh "$PATH/md5sum" "$PATH/find"; do readlink -f "$file"; done'
        shown = ssh(cluster, "node2", f"stat --help 2>&1 | head -n 1; {script}").splitlines()
        assert shown[0].startswith("BusyBox")
        assert len(shown) == 5
        assert all(line.endswith("busybox") for line in shown[1:])
        assert "BusyBox" in ssh(cluster, "node2", "echo x | env xargs md5sum --help 2>&1; :")
        assert ssh(cluster, "node2", "for tool in bash numfmt python3; do command -v $tool; done; :") == ""
        assert "BusyBox" not in ssh(cluster, "node1", "stat --help 2>&1 | head -n 1")
        (tmp_path / "file").write_text("content")
        transport = f"ssh -F {cluster.ssh_config}"
        subprocess.run(["rsync", "-e", transport, tmp_path / "file", "node2:/srv/"], check=True, timeout=30)
        assert cluster.run("node2", "cat /srv/file").stdout == b"content"
        cluster.freeze("node2")
        cluster.stop("node2")
        cluster.start("node2")
        assert ssh(cluster, "node2", "echo $PATH") == "/run/busybox"
    assert "BusyBox" not in subprocess.run(["stat", "--help"], capture_output=True, text=True).stdout


def test_down_leaves_nothing_and_up_starts_afresh(tmp_path: Path) -> None:
    cluster = EmbeddedCluster(tmp_path, 2)
    cluster.down()
    cluster.up()
    with pytest.raises(EmbeddedClusterError, match="already"):
        cluster.up()
    namespaces = mount_namespaces(cluster)
    assert len(namespaces) == 3
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    cluster.write("node1", "/etc/gone", b"")
    cluster.run("node1", "setsid sleep 1000 >/dev/null 2>&1 &")
    cluster.freeze("node1")
    cluster.down()
    assert_nothing_left(tmp_path, namespaces)
    cluster.down()
    with pytest.raises(EmbeddedClusterError, match="node1 is not up"):
        cluster.run("node1", "true")
    with pytest.raises(EmbeddedClusterError, match="node1 is not up"):
        cluster.start("node1")
    with cluster:
        assert ssh(cluster, "node1", "test -e /etc/gone || hostname") == "node1"


def test_the_umask_of_the_user_does_not_matter(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        with EmbeddedCluster(tmp_path / "cluster", 1) as cluster:
            cluster.write("node1", "/srv/new/file", b"", 0o640)
            script = "umask; stat -c %a / /tmp /run /dev/null /srv/new /srv/new/file"
            assert ssh(cluster, "node1", script).split() == ["0022", "755", "1777", "755", "666", "755", "640"]
    finally:
        os.umask(umask)


def test_nodes_outlive_the_thread_that_started_them(tmp_path: Path) -> None:
    cluster = EmbeddedCluster(tmp_path, 1)
    thread = threading.Thread(target=cluster.up)
    thread.start()
    thread.join()
    with pytest.raises(subprocess.TimeoutExpired):
        cluster._outer.wait(0.2)  # type: ignore[union-attr]
    try:
        assert ssh(cluster, "node1", "hostname") == "node1"
    finally:
        cluster.down()


OWNER = """
import os, signal, sys
from pathlib import Path
from pytest_synctool.demo.embedded import EmbeddedCluster
cluster = EmbeddedCluster(Path(sys.argv[1]), 2)
cluster.up()
if os.fork():  # a child that lives on must not keep the cluster
    print(*(os.readlink(f"/proc/{pid}/ns/mnt") for pid, _ in cluster._inits.values()), flush=True)
sys.stdin.read()
"""


def test_nodes_end_with_their_owner(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path],
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout
        namespaces = held(set(owner.stdout.readline().split()))
        processes = inhabitants(namespaces)
        assert len(processes) >= 8  # the keeper and its parent, then sshd, first process and its parent of each
        owner.kill()
        await_end(processes)
        assert_nothing_left(tmp_path, namespaces)


def test_nodes_end_when_their_time_is_over(tmp_path: Path) -> None:
    with EmbeddedCluster(tmp_path, 1, lifetime=0.6) as cluster:
        namespaces = mount_namespaces(cluster)
        cluster.freeze("node1")
        cluster.wait()
        assert_nothing_left(tmp_path, namespaces)
        with pytest.raises(EmbeddedClusterError, match="node1 is not up"):
            cluster.run("node1", "true")


@pytest.mark.parametrize("hidden", ["/usr", "/usr/sbin"])
def test_what_had_been_started_is_taken_down_on_failure(tmp_path: Path, hidden: str) -> None:
    cluster = EmbeddedCluster(tmp_path, 2, hide=[Path(hidden)])
    began = time.monotonic()
    with pytest.raises(EmbeddedClusterError, match=r"node[12] did not start\n.*No such file"):
        cluster.up()
    assert time.monotonic() - began < 10
    mine = {pid for pid in Path("/proc").glob("[0-9]*") if f"CLUSTER={tmp_path}\0" in environment_of(pid)}
    assert not mine
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


def environment_of(process: Path) -> str:
    try:
        return (process / "environ").read_text(errors="replace")
    except OSError:
        return ""


def test_unusable_arguments(tmp_path: Path) -> None:
    for names in (0, -1, [], ["a", "a"], ["a b"], ["../a"], ["-a"], [""], ["x" * 64]):
        with pytest.raises(ValueError, match="host names"):
            EmbeddedCluster(tmp_path, names)
    with pytest.raises(ValueError, match="busybox"):
        EmbeddedCluster(tmp_path, 1, busybox=["node2"])
    with pytest.raises(ValueError, match="lifetime"):
        EmbeddedCluster(tmp_path, 1, lifetime=0)
    with pytest.raises(ValueError, match="root directory"):
        EmbeddedCluster(tmp_path, 1, hide=[Path("/")])
    with pytest.raises(ValueError, match="path"):
        EmbeddedCluster(tmp_path / 'a"b', 1)


def test_missing_requirements_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 1000)
        patch.setattr(embedded, "_find", lambda tool: "" if tool == "sshd" else "/usr/bin/" + tool)
        assert missing_requirements() == ["sshd is not installed", "the embedded cluster needs root"]
        with pytest.raises(EmbeddedClusterError, match="sshd is not installed; the embedded"):
            EmbeddedCluster(tmp_path, 1).up()
    with monkeypatch.context() as patch:
        patch.delattr(os, "pidfd_open")
        assert missing_requirements() == ["the embedded cluster needs Linux"]


@pytest.mark.parametrize("directory", ["with space", "100%h", "comma,colon:", "ünï'"])
def test_directories_with_special_characters(tmp_path: Path, directory: str) -> None:
    with EmbeddedCluster(tmp_path / directory, 1) as cluster:
        assert ssh(cluster, "node1", "hostname") == "node1"


@pytest.mark.parametrize("interruption", [signal.SIGINT, signal.SIGTERM])
def test_command_line(tmp_path: Path, interruption: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pytest_synctool.demo.embedded", "up", "2", tmp_path],
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == f"{tmp_path}/ssh_config\n"
        done = subprocess.run(
            ["ssh", "-F", tmp_path / "ssh_config", "node2", "readlink /proc/self/ns/mnt"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        namespaces = held({done.stdout.strip()})
        process.send_signal(interruption)
        assert process.wait(30) == 0
    assert_nothing_left(tmp_path, namespaces)


def test_command_line_tells_what_is_wrong(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest_synctool.demo.embedded", "up", "0", tmp_path],
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "embedded cluster: nodes need host names, at least one and each once: []\n"
