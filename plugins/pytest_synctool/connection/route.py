"""How a command line reaches a node: over ssh, into a container or a chroot, or just here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_synctool.common.wording import TRUTHS
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

_HOST: Final = re.compile(r"(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?")
_SHELL: Final = ("/bin/sh", "-c")

# Ends the processes of a command: all that have not left its process group. What does not end in two seconds is killed.
_STOP: Final = (
    "g=-{0}; kill -TERM $g 2>/dev/null || {{ g={0}; kill -TERM $g 2>/dev/null; }} || exit 0; "
    "n=0; while [ $n -lt 10 ]; do kill -0 $g 2>/dev/null || exit 0; sleep 0.2 || sleep 1; n=$((n+1)); done; "
    "kill -KILL $g 2>/dev/null || :"
)


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a node. `shell` are the words before its `host`, by which ssh or its like is called.

    `shell` and `host` are empty where there is neither; `within` are the words that come behind.
    """

    shell: tuple[str, ...] = ()
    host: str = ""
    within: tuple[str, ...] = _SHELL
    is_ssh: bool = False
    sudo: tuple[str, ...] = ()

    def argv(self, line: str) -> list[str]:
        """What to run here so that a line of shell text is run there, for plain ssh by the user's login shell."""
        if self.is_ssh:
            return [*self.shell, "--", self.host, line]
        return [*self.shell, *((self.host,) if self.host else ()), *self.within, line]

    def line(self, command: str, token: str | None = None) -> str:
        """The line for a command. With a token the shell there first says `TOKEN GROUP` on standard error.

        GROUP is the number of its process group. Every login shell understands the words for that.
        """
        if self.sudo:
            command = shlex.join([*self.sudo, "--", *_SHELL, command])
        return command if token is None else f"/bin/sh -c 'echo {token} $PPID >&2'\n{command}"

    def stop_line(self, group: int) -> str:
        """The line that ends the command of this process group."""
        return self.line(_STOP.format(group))


def route_to(node: Node, settings: SshSettings) -> Route:
    """The way to a node, by its address or its `connection:`; nothing is contacted.

    Raises TransportError for a connection that dsh and dcp do not know.
    """
    if node.connection is None:
        return _ssh(node.address, settings)
    try:
        url = urlsplit(node.connection)
    except ValueError as error:  # which hosts it refuses depends on the version of Python
        raise TransportError(f"connection {node.connection}: {error}") from error
    options = dict(parse_qsl(url.query))
    user, _, place = url.netloc.rpartition("@")
    user = unquote(user.partition(":")[0])
    match = _HOST.fullmatch(place)
    if match is None or place.startswith("-") or user.startswith("-"):
        raise TransportError(f"connection {node.connection}: '{url.netloc}' is no host")
    sudo = _sudo(options)
    if url.scheme == "ssh":
        return _ssh(match[1] or match[2], settings, user, match[3], sudo)
    if url.scheme in ("docker", "podman"):
        return Route((url.scheme, "exec", "-i", *(["-u", user] if user else [])), place, sudo=sudo)
    if url.scheme == "kubectl":
        given = [f"--{n}={options[n]}" for n in ("kubeconfig", "context", "namespace", "container") if n in options]
        return Route(("kubectl", *given, "exec", "-i"), place, ("--", *_SHELL), sudo=sudo)
    if url.scheme == "chroot":
        return Route(("chroot",), node.connection.partition("://")[2].partition("?")[0], sudo=sudo)
    if url.scheme == "local":
        return Route(sudo=sudo)
    raise TransportError(
        f"dsh and dcp cannot use a connection {url.scheme}://, only ssh, docker, podman, kubectl, chroot and local"
    )


def _ssh(
    host: str, settings: SshSettings, user: str = "", port: str | None = None, sudo: tuple[str, ...] = ()
) -> Route:
    if not host or host.startswith("-"):
        raise TransportError(f"'{host}' is no host")
    return Route((*settings.argv(user or None, port), "-T"), host, (), is_ssh=True, sudo=sudo)


def _sudo(options: Mapping[str, str]) -> tuple[str, ...]:
    if not TRUTHS.get(options.get("sudo", "no").lower(), False):
        return ()
    return ("sudo", "-n", *(("-u", options["sudo_user"]) if options.get("sudo_user") else ()))
