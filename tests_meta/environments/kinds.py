"""The kinds of nodes, and the cluster that has one node of each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import Site


@dataclass(frozen=True)
class Environment:
    """A kind of node: the name of the node, and how docs/environments.md calls it.

    `prepare` is shell text that makes the node one of this kind. `needs` has the programs that this takes, with their
    Debian packages; the first one is what is tried. With `server`, the text starts an ssh server at $ADDRESS and $PORT,
    and prints its host key.
    """

    name: str
    title: str
    prepare: str = ":"
    needs: Mapping[str, str] = field(default_factory=dict)
    is_busybox: bool = False
    server: bool = False
    is_container: bool = False

    @property
    def missing(self) -> list[str]:
        """The packages that this machine lacks."""
        return [package for program, package in self.needs.items() if shutil.which(program, path=_PATH) is None]

    @property
    def version(self) -> str:
        """The package that is tried and its version, for people."""
        return next(map(_version, self.needs.values()), "")


_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Root's .bashrc is read before each command: the node's programs come first, what they lack comes from behind.
_USERLAND: Final = """
mkdir -p /run/other && cd /run/other
for name in $(PROGRAM | grep -oE '[a-z0-9]+'); do
  case $name in sh | bash) ;; *) [ ! -x "/usr/bin/$name" ] || ln -sf /usr/bin/PROGRAM "$name" ;; esac
done
echo 'PATH=/run/other:$PATH' >/root/.bashrc
"""
_KEY: Final = "mkdir -p /root/.ssh && cp /run/sshd/id.pub /root/.ssh/authorized_keys"
_DROPBEAR: Final = f"""{_KEY}
{{ dropbearkey -t ed25519 -f /run/dropbear
dropbear -r /run/dropbear -p "$ADDRESS:$PORT" -P /run/dropbear.pid; }} >&2
dropbearkey -y -f /run/dropbear | grep ^ssh-
"""
# tinyssh serves one connection, on its standard streams.
_SERVE: Final = """
import os, socket, subprocess, sys
listening = socket.create_server((sys.argv[1], int(sys.argv[2])))
if os.fork():
    os._exit(0)
null = os.open("/dev/null", os.O_RDWR)
for descriptor in range(3):
    os.dup2(null, descriptor)
servers = []
while True:
    connection = listening.accept()[0]
    servers = [server for server in servers if server.poll() is None]
    servers.append(subprocess.Popen(sys.argv[3:], stdin=connection, stdout=connection))
    connection.close()
"""
_TINYSSH: Final = f"""{_KEY}
{{ tinysshd-makekey /run/tinyssh
setsid python3 -Ic '{_SERVE}' "$ADDRESS" "$PORT" tinysshd /run/tinyssh; }} >&2
tinysshd-printkey /run/tinyssh | grep ^ssh-
"""


def _userland(program: str, title: str, package: str) -> Environment:
    return Environment(package, title, _USERLAND.replace("PROGRAM", program), {program: package})


def _shell(program: str, package: str) -> Environment:
    prepare = f"ln -sf $(command -v {program}) /bin/sh.new && mv -f /bin/sh.new /bin/sh"
    return Environment(f"sh-{program}", f"{program} as /bin/sh", prepare, {program: package})


ENVIRONMENTS: Final = (
    Environment("gnu", "GNU coreutils, dash as /bin/sh, OpenSSH"),
    _userland("coreutils", "uutils", "rust-coreutils"),
    _userland("toybox", "toybox", "toybox"),
    Environment("busybox", "BusyBox alone, and rsync", needs={"busybox": "busybox-static"}, is_busybox=True),
    Environment(
        "busybox-tar",
        "BusyBox alone, without rsync",
        "rm /run/busybox/rsync",
        {"busybox": "busybox-static"},
        is_busybox=True,
    ),
    *(
        _shell(*both)
        for both in (
            ("bash", "bash"), ("busybox", "busybox-static"), ("ksh93", "ksh93u+m"), ("mksh", "mksh"), ("zsh", "zsh")
        )
    ),
    Environment("dropbear", "dropbear as ssh server", _DROPBEAR, {"dropbear": "dropbear-bin"}, server=True),
    Environment(
        "tinyssh",
        "tinyssh as ssh server",
        _TINYSSH,
        {"tinysshd": "tinysshd", "python3": "python3"},
        server=True,
    ),
    Environment("no-rsync", "no rsync", "rm $(command -v rsync)"),
    Environment("noexec", "the masterdir on a file system that is mounted noexec", "mount -o remount,noexec /tmp"),
    Environment(
        "container", "docker, podman, kubectl: exec, no rsync", "rm $(command -v rsync)", is_container=True
    ),
)  # fmt: skip
# What stands for the exec of a container: it loses standard error, as podman sometimes does.
_EXEC: Final = """#!/bin/sh
while [ "$1" != /bin/sh ]; do shift; done
exec nsenter --target=PID --mount --uts --pid --root --wd "$@" 2>/dev/null
"""


def _version(package: str) -> str:
    shown = subprocess.run(["dpkg-query", "-Wf${Version}", package], capture_output=True, text=True, check=False)
    number = re.search(r"\d+(\.\w+)*", shown.stdout.partition(":")[2] or shown.stdout)
    return f"{package} {number[0]}" if number else package


@contextmanager
def running(site: Site, environments: Sequence[Environment]) -> Iterator[Mapping[str, str]]:
    """Start a node of each kind and make them the nodes of a site. Yield the environment of commands for them."""
    names = [each.name for each in environments]
    busybox = [each.name for each in environments if each.is_busybox]
    with (
        TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as short,  # sockets need a short name
        EmbeddedCluster(Path(short, "cluster"), names, busybox=busybox) as cluster,
    ):
        tools = Path(short, "tools")
        site.cluster = cluster
        site.nodes = {each.name: _prepared(each, cluster, tools) for each in environments}
        yield {"PATH": f"{tools}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": short}


def _prepared(kind: Environment, cluster: EmbeddedCluster, tools: Path) -> str:
    """Prepare a node; return its groups and connection as synctool.conf has them."""
    address, port = cluster.addresses[kind.name], cluster.port + 1
    printed = cluster.run(kind.name, f"ADDRESS={address} PORT={port}\n{kind.prepare}").stdout.decode()
    if kind.is_container:
        tools.mkdir(exist_ok=True)
        (tools / "podman").write_text(_EXEC.replace("PID", str(cluster.process(kind.name))))
        (tools / "podman").chmod(0o755)
        return f"all-kinds connection:podman://{kind.name}"
    if not kind.server:
        return "all-kinds"
    with (cluster.directory / "keys/known_hosts").open("a") as known:
        known.write(f"[{address}]:{port} {printed}")
    return f"all-kinds connection:ssh://root@{address}:{port}"
