"""The embedded cluster: real ssh nodes on one Linux machine, for demonstrations, tests and benchmarks.

Every node is a copy-on-write clone of the machine's root file system in its own mount, host name and process
namespaces, with its own sshd on a loopback address of its own. Needs root. Usage:

    with EmbeddedCluster(Path("/tmp/cluster"), 4) as cluster:
        subprocess.run(["ssh", "-F", cluster.ssh_config, "node3", "hostname"])

One process, the keeper, is the first process of the pid namespace of all nodes. When it ends, for whatever reason,
the kernel kills all others. All mounts are in namespaces of these processes and end with them. Nodes see only the
file system that holds `/`. Other mount points of the machine are empty directories on the nodes, as is /sys.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE

from pytest_synctool.errors import SynctoolError

# The directories that the nodes have too come first.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", os.defpath)
_BUSYBOX_PATH = "/run/busybox"
_PRIVATE = {Path("/root"), Path("/run"), Path("/tmp")}  # a tmpfs on every node
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_KEEPER = "-keeper"  # no node can have this name
_PATIENCE = 30.0  # seconds after which a step has failed
_POLL = 0.005  # seconds between two checks of a condition that has no event

# Standard input is a pidfd of the process that owns the cluster. The kernel's parent-death signal is no alternative,
# because the kernel sends it when the *thread* that started the child ends. A pipe is none either, because every
# process that the owner forks has a copy of its write end.
_WATCHER = "import select, sys; p = select.poll(); p.register(0, select.POLLIN); p.poll(int(sys.argv[1]))"

# The machine's /proc is still mounted in the keeper, so /proc/self/stat has the pid that the machine uses.
_KEEPER_SCRIPT = r"""
set -eu
read -r pid rest </proc/self/stat
echo "[pid $pid]" >&2
mount -t tmpfs -o mode=755 nodes "$CLUSTER/nodes"
cd "$CLUSTER/nodes"
for node in $NODES; do
    { unshare --mount --propagation private --uts --pid --fork --kill-child sh -c "$NODE_SCRIPT" "$node" "$@" ||
        echo 'failed to start' >&2; } </dev/null 2>>"$CLUSTER/log/$node" &
done
"""

# The first process of the node $0. It prints its pid only after the chroot, because other processes enter its root
# directory. It stays a shell, so it reaps the orphans of the node. The paths of the overlay are relative, because
# commas and colons in absolute ones would need quoting.
_NODE_SCRIPT = r"""
set -eu
read -r pid rest </proc/self/stat
echo "$0" >/proc/sys/kernel/hostname
mkdir "$0" "$0/upper" "$0/work" "$0/root"
mount -t overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" overlay "$0/root"
cd "$0/root"
mount -t proc proc proc
for private in dev:755 run:755 tmp:1777 root:700; do
    mount -t tmpfs -o "mode=${private#*:}" "${private%:*}" "${private%:*}"
done
mkdir dev/pts dev/shm run/sshd
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
(cd /dev && cp -a null zero full random urandom tty ptmx fd stdin stdout stderr "$OLDPWD/dev/") || :
cp "$CLUSTER/keys/host" "$CLUSTER/keys/id.pub" run/sshd/
for path; do
    mkdir -p ".$path"
    mount -t tmpfs -o mode=755 hidden ".$path"
done
echo "$0" >etc/hostname
# sshd without PAM accepts no key for a locked account
! grep -q '^root:!' etc/shadow || sed -i 's/^root:![^:]*:/root:*:/' etc/shadow
case " $BUSYBOX_NODES " in *" $0 "*)
    mkdir run/busybox
    chroot . "$(command -v busybox)" --install -s /run/busybox
    ln -sf "$(command -v rsync)" run/busybox/
    ln -sf "$(command -v busybox)" bin/sh
    sed -i '/^root:/s|[^:]*$|/bin/sh|' etc/passwd
esac
exec chroot . /bin/sh -c 'echo "[pid $0]" >&2; exec 2>/dev/null; while :; do sleep 3600; done' "$pid"
"""

_SSH_CONFIG = """\
Host *
  Port {port}
  User root
  IdentityFile "{keys}/id"
  IdentitiesOnly yes
  UserKnownHostsFile "{keys}/known_hosts"
  StrictHostKeyChecking yes
  BatchMode yes
  LogLevel ERROR
"""

_SSHD_OPTIONS = """\
-D -e -f /dev/null -h /run/sshd/host -oAuthorizedKeysFile=/run/sshd/id.pub -oPermitRootLogin=prohibit-password
-oUsePAM=no -oUseDNS=no -oPidFile=none -oLogLevel=VERBOSE -oMaxStartups=1000
-oMaxSessions=1000 "-oSubsystem=sftp internal-sftp"
"""


class EmbeddedClusterError(SynctoolError):
    """The embedded cluster cannot be started or used; the message has the reason."""


class EmbeddedCluster:
    """A cluster of ssh nodes. `directory` is created if missing, and holds the ssh_config, keys and logs.

    `nodes` is the number of the nodes (node1, node2...) or their names. On every node /tmp, /run, /root, `directory`
    and each directory in `hide` are empty. Other files of the machine are visible. On nodes in `busybox`, sh and the
    commands of a session are BusyBox. The cluster ends with the process that started it, and at the latest `lifetime`
    seconds after up(). Raises ValueError for invalid arguments.

    `addresses` has the IPv4 address of each node by name. Until up(), it is empty and `port` is 0.
    """

    def __init__(
        self,
        directory: Path,
        nodes: int | Sequence[str] = 4,
        *,
        hide: Sequence[Path] = (),
        busybox: Collection[str] = (),
        lifetime: float = 3600.0,
    ) -> None:
        names = [f"node{i}" for i in range(1, nodes + 1)] if isinstance(nodes, int) else nodes
        if not names or len(set(names)) < len(names) or not all(map(_NODE_NAME.fullmatch, names)):
            raise ValueError(f"nodes need host names, at least one and each once: {names}")
        if not set(busybox) <= set(names) or lifetime <= 0 or Path("/") in hide:
            raise ValueError("busybox must name nodes, lifetime be positive and hide spare the root directory")
        self.directory = directory.resolve()
        if set('"\\$\n').intersection(str(self.directory)):
            raise ValueError(f"ssh_config cannot hold such a path: {self.directory}")
        self.names = tuple(names)
        self.ssh_config = self.directory / "ssh_config"
        self._logs = self.directory / "log"
        self.addresses: dict[str, str] = {}
        self.port = 0
        self._busybox = frozenset(busybox)
        self._hidden = {path.resolve() for path in hide} - _PRIVATE
        if not any(self.directory.is_relative_to(path) for path in _PRIVATE | self._hidden):
            self._hidden.add(self.directory)  # it holds the private keys
        self._lifetime = lifetime
        self._outer: subprocess.Popen[bytes] | None = None  # the keeper's parent
        self._inits: dict[str, tuple[int, Path]] = {}  # name: pid and pid namespace, of the keeper as well

    def up(self) -> None:
        """Start all nodes and return when every sshd listens.

        Raises EmbeddedClusterError if the machine lacks a requirement, or if a node fails or needs over 30 seconds.
        In this case no process of the cluster stays.
        """
        if self._outer is not None:
            raise EmbeddedClusterError("the cluster is up already")
        absent = [f"{name} is not installed" for name in ("busybox", "rsync") if not _find(name)]
        if missing := missing_requirements() + (absent if self._busybox else []):
            raise EmbeddedClusterError("; ".join(missing))
        try:
            self.addresses, self.port = _choose_addresses(self.names)
            self._write_files()
            self._start_keeper()
            self._start_daemons(self.names)
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End all processes and mounts of the cluster, if there are any. `directory` stays.

        Raises TimeoutExpired if a process still runs 30 seconds after SIGKILL.
        """
        if (outer := self._outer) is None:
            return
        if outer.poll() is None:  # so the keeper's pid cannot belong to another process
            os.kill(self._inits.get(_KEEPER, (outer.pid, None))[0], signal.SIGKILL)
            outer.wait(_PATIENCE)  # the kernel lets the keeper end after all others
        self._outer, self._inits = None, {}

    def __enter__(self) -> EmbeddedCluster:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def wait(self) -> None:
        """Wait until the cluster ends by itself."""
        if self._outer is not None:
            self._outer.wait()

    def run(
        self, node: str, command: str, *, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a shell command inside a node, without ssh. This works on frozen and stopped nodes too.

        Returns when no process holds the output open. With `check`, raises CalledProcessError for an exit status other
        than 0. Kills the command and raises TimeoutExpired after `timeout` seconds. Raises EmbeddedClusterError if the
        node does not exist or is not up.
        """
        done = self._enter(node, ["/bin/sh", "-c", command], timeout=timeout)
        done.args = command
        if check:
            done.check_returncode()
        return done

    def write(self, node: str, path: str | bytes, data: bytes, mode: int = 0o644) -> None:
        """Write a file inside a node and create missing parents. `path` is absolute, `mode` has permission bits.

        Raises ValueError for a relative path, CalledProcessError if the file cannot be written.
        """
        if not (raw := os.fsencode(path)).startswith(b"/"):
            raise ValueError(f"not an absolute path: {raw!r}")
        script = 'mkdir -p -- "${1%/*}/" && cat >"$1" && chmod "$2" "$1"'
        self._enter(node, ["/bin/sh", "-c", script, "sh", raw, f"{mode:o}"], data).check_returncode()

    def process(self, node: str) -> int:
        """Return the number of the first process of a node that is up, for nsenter(1)."""
        return self._inits[node][0]

    def freeze(self, node: str) -> None:
        """Stop the node's processes with SIGSTOP. The kernel then accepts connections, but no process answers."""
        self.run(node, "kill -STOP -1")

    def thaw(self, node: str) -> None:
        """Continue the processes of a frozen node."""
        self.run(node, "kill -CONT -1")

    def stop(self, node: str) -> None:
        """Kill the node's processes and return when its address refuses connections. Its files stay."""
        self.run(node, "kill -KILL -1 2>&- || :")  # some shells fail where no process is left
        deadline = time.monotonic() + _PATIENCE
        while self._listens(node):
            if time.monotonic() > deadline:
                raise EmbeddedClusterError(f"{node} still listens")
            time.sleep(_POLL)

    def start(self, node: str) -> None:
        """Start the sshd of a stopped node and return when it listens. A node that listens stays as it is."""
        self.run(node, ":")  # raises if the cluster is not up
        if not self._listens(node):
            self._start_daemons([node])

    def _write_files(self) -> None:
        """Write keys and ssh settings, and create the directories that the keeper uses."""
        keys = self.directory / "keys"
        shutil.rmtree(self._logs, ignore_errors=True)
        for directory in (keys, self._logs, self.directory / "nodes"):
            directory.mkdir(parents=True, exist_ok=True)
        for key in (keys / "id", keys / "host"):
            if not key.exists():
                command = [_find("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "embedded", "-f", str(key)]
                subprocess.run(command, stdin=DEVNULL, stdout=DEVNULL, check=True)
        public = " ".join((keys / "host.pub").read_text().split()[:2])
        known = (f"[{address}]:{self.port} {public}\n" for address in self.addresses.values())
        (keys / "known_hosts").write_text("".join(known))
        hosts = (f"Host {name}\n  HostName {address}\n" for name, address in self.addresses.items())
        settings = _SSH_CONFIG.format(port=self.port, keys=str(keys).replace("%", "%%"))
        self.ssh_config.write_text("".join(hosts) + settings)

    def _start_keeper(self) -> None:
        """Start the keeper, which starts the first process of every node."""
        milliseconds = min(int(self._lifetime * 1000), 2**31 - 1)
        watch = shlex.join(["exec", sys.executable, "-I", "-S", "-c", _WATCHER, str(milliseconds)])
        command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        command += ["sh", "-c", _KEEPER_SCRIPT + watch, "keeper", *map(str, sorted(self._hidden))]
        env = {"PATH": _PATH, "CLUSTER": str(self.directory), "NODES": " ".join(self.names)}
        env |= {"NODE_SCRIPT": _NODE_SCRIPT, "BUSYBOX_NODES": " ".join(self._busybox)}
        with (self._logs / _KEEPER).open("wb") as log, os.fdopen(os.pidfd_open(os.getpid()), "rb") as owner:
            self._outer = subprocess.Popen(
                command, env=env, stdin=owner, stdout=log, stderr=log, start_new_session=True, umask=0o022
            )
        for names in [_KEEPER], self.names:  # the keeper first, because down() needs its pid if a node fails
            for name, pid in self._await(r"\[pid (\d+)\]\n", dict.fromkeys(names, 0)).items():
                self._inits[name] = int(pid), Path(f"/proc/{pid}/ns/pid").resolve()

    def _start_daemons(self, nodes: Sequence[str]) -> None:
        """Start sshd on nodes without one, and wait until all of them listen."""
        lengths = {node: (self._logs / node).stat().st_size for node in nodes}
        for node in nodes:
            command = [_find("setsid"), "--fork", _find("sshd"), *shlex.split(_SSHD_OPTIONS)]
            command += ["-p", str(self.port), f"-oListenAddress={self.addresses[node]}"]
            if node in self._busybox:
                command += [f"-oSetEnv=PATH={_BUSYBOX_PATH}"]
            with (self._logs / node).open("ab") as log:
                self._enter(node, command, out=log.fileno())
        self._await("(Server listening)", lengths)

    def _await(self, pattern: str, offsets: Mapping[str, int]) -> dict[str, str]:
        """Wait until a pattern is in the log of each node, and return its group by node. `offsets` are in bytes."""
        matches: dict[str, str] = {}
        deadline = time.monotonic() + _PATIENCE
        while len(matches) < len(offsets):
            ended = self._outer is None or self._outer.poll() is not None
            for name in offsets.keys() - matches.keys():
                log = self._logs / name
                text = log.read_bytes()[offsets[name] :].decode(errors="replace") if log.exists() else ""
                if match := re.search(pattern, text):
                    matches[name] = match[1]
                elif ended or time.monotonic() > deadline or re.search("failed to (start|exec)|Cannot bind any", text):
                    last = "".join(f"\n  {line}" for line in text.splitlines()[-5:])
                    raise EmbeddedClusterError(f"{name.strip('-')} did not start{last}")
            time.sleep(_POLL)
        return matches

    def _enter(
        self, node: str, argv: Sequence[str | bytes], data: bytes = b"", timeout: float = 60, out: int = PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program in the namespaces and the root directory of a node. `out` gets all its output."""
        pid, namespace = self._inits.get(node, (0, None))
        # If another process has this pid now, nsenter would leave the node.
        if Path(f"/proc/{pid}/ns/pid").resolve() != namespace:
            raise EmbeddedClusterError(f"{node} is not up")
        argv = [_find("nsenter"), f"--target={pid}", "--mount", "--uts", "--pid", "--root", "--wd", *argv]
        env = {"HOME": "/root", "PATH": _BUSYBOX_PATH if node in self._busybox else _PATH}
        with subprocess.Popen(
            argv, env=env, stdin=PIPE, stdout=out, stderr=out, start_new_session=True, umask=0o022
        ) as process:
            try:
                stdout, stderr = process.communicate(data, timeout)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)  # killing nsenter alone would leave the program running
                raise
        return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)

    def _listens(self, node: str) -> bool:
        with socket.socket() as client:
            client.settimeout(1)  # a frozen node accepts a limited number of connections
            return client.connect_ex((self.addresses[node], self.port)) != errno.ECONNREFUSED


def missing_requirements() -> list[str]:
    """Return the reasons why this machine cannot run an embedded cluster, one sentence each, or an empty list."""
    if not hasattr(os, "pidfd_open"):
        return ["the embedded cluster needs Linux"]
    tools = ("ssh", "sshd", "ssh-keygen", "unshare", "nsenter", "setsid", "chroot", "mount")
    missing = [f"{name} is not installed" for name in tools if not _find(name)]
    if os.geteuid() != 0:
        missing.append("the embedded cluster needs root")
    if not missing:
        command = ["unshare", "--mount", "--propagation", "private", "--uts", "--pid", "--fork", "sh", "-c"]
        script = "mount -t tmpfs none /tmp && cd /tmp && mkdir upper work root &&"
        script += "mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root"
        probe = subprocess.run([*command, script], env={"PATH": _PATH}, capture_output=True)
        if probe.returncode:
            missing.append(f"cannot mount an overlayfs in a namespace: {os.fsdecode(probe.stderr).strip()}")
    return missing


def _find(tool: str) -> str:
    """Return the path of a program, on the machine and on the nodes, or an empty text if it is missing."""
    return shutil.which(tool, path=_PATH) or ""


def _choose_addresses(names: Sequence[str]) -> tuple[dict[str, str], int]:
    """Choose addresses 127.x.y.1, 127.x.y.2 and so on with random x and y, and a port that is free on all of them."""
    dice = random.SystemRandom()  # a seed set by a test run must not give two clusters the same address
    for _ in range(100):
        second, third = dice.randrange(16, 255), dice.randrange(256 - len(names) // 254)
        addresses = {name: f"127.{second}.{third + i // 254}.{i % 254 + 1}" for i, name in enumerate(names)}
        port = dice.randrange(20000, 32000)  # below the range of outgoing connections
        with suppress(OSError):
            for address in addresses.values():
                socket.create_server((address, port)).close()
            return addresses, port
    raise EmbeddedClusterError("no port is free on the addresses of the nodes")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a cluster in the foreground until it is interrupted, and print the path of its ssh_config."""
    parser = argparse.ArgumentParser(prog="python -m pytest_synctool.demo.embedded", description=main.__doc__)
    parser.add_argument("verb", choices=["up"])
    parser.add_argument("number", type=int, metavar="N", help="number of nodes")
    parser.add_argument("directory", type=Path, metavar="DIR", help="for ssh_config, keys and logs")
    parser.add_argument("--lifetime", type=float, default=3600.0, metavar="SECONDS")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cluster = EmbeddedCluster(arguments.directory, arguments.number, lifetime=arguments.lifetime)
        with suppress(KeyboardInterrupt), cluster:
            print(cluster.ssh_config, flush=True)
            cluster.wait()
    except (EmbeddedClusterError, OSError, ValueError) as error:
        print(f"embedded cluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
