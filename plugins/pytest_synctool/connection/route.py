"""Routes: the one place that knows the argument lists that reach a node over ssh, in a container or chroot, or locally.

dsh and dcp run these argument lists themselves. Audits and repairs run them for the testinfra host of a node. Nothing
in this module contacts a node.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from pytest_synctool.common.prologue import PROLOGUE
from pytest_synctool.common.shell import shell_line
from pytest_synctool.common.ssh_address import AddressError
from pytest_synctool.common.ssh_address import parse as parse_address
from pytest_synctool.common.wording import TRUTHS
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.errors import TransportError
from pytest_synctool.model import Node

SCHEMES: Final = ("ssh", "docker", "podman", "kubectl", "chroot", "local")

_CONTAINER: Final = re.compile(r"[^:\[\]]+")
_SHELL: Final = ("/bin/sh", "-c")
_KUBECTL_OPTIONS: Final = ("kubeconfig", "context", "namespace", "container")

# GROUP TOKEN: ends all processes of a command, and kills those that need more than two seconds. They are in its process
# group or, where the login shell gives each command a group of its own, in its session. `TOKEN ended` says that none of
# them is left.
_STOP: Final = rb"""
ended() { echo "$token ended"; exit 0; }
fields() { # FILE: sets $id, $state, $group and $session
  read -r l 2>&- <"$1" || return
  id=${l%% *} l="${l##*\) }"
  set -- $l
  state=$1 group=$3 session=$4
}
look() { # sets $left to the processes that are left, as kill takes them
  left=
  if [ -r /proc/self/stat ]; then
    for f in /proc/[0-9]*/stat; do
      fields "$f" 2>&- || continue
      case $id:$state in "$$":* | *:Z | *:X) continue ;; esac
      [ "$group" != "$g" ] && [ "$session" != "$s" ] || left="$left $id"
    done
  elif kill -0 "-$g" 2>&-; then left=-$g
  elif kill -0 "$g" 2>&-; then left=$g; fi
  [ -n "$left" ]
}
g=$1 s=$1 token=$2 n=0
if [ -r "/proc/$g/stat" ] && fields "/proc/$g/stat" && [ "$session" -gt 1 ]; then s=$session; fi
look || ended
kill -TERM $left 2>&-
while [ "$n" -lt 20 ]; do
  look || ended
  [ "$n" -lt 10 ] || kill -KILL $left 2>&-
  sleep 0.2 2>&- || sleep 1
  n=$((n + 1))
done
echo "it does not end" >&2
exit 1
"""


class RouteKind(Enum):
    """The kinds of routes."""

    SSH = "ssh"
    CONTAINER = "container"
    CHROOT = "chroot"
    LOCAL = "local"


@dataclass(frozen=True)
class Sudo:
    """A request to run commands on nodes as another user: as `user`, or as root if it is None."""

    user: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a node.

    An argument list consists of `program`, such as `docker exec -i`, then the name `host`, then `shell`. `program` and
    `host` are empty for this machine. `shell` is empty for ssh: there the login shell of the user takes the command
    line. `sudo` are the words that run a command as another user, with `--` at the end. `socket` is the control socket
    of a shared ssh connection. `root` is the directory of a chroot.
    """

    kind: RouteKind
    program: tuple[str, ...] = ()
    host: str = ""
    shell: tuple[str, ...] = _SHELL
    sudo: tuple[str, ...] = ()
    socket: str | None = None
    root: str = ""

    @property
    def is_ssh(self) -> bool:
        """Return True for ssh."""
        return self.kind is RouteKind.SSH

    @property
    def is_container(self) -> bool:
        """Return True for docker, podman and kubectl. Their `exec` may lose the last words on standard error."""
        return self.kind is RouteKind.CONTAINER

    @property
    def node_sudo(self) -> tuple[str, ...]:
        """Return the words of sudo before a command on the node. They are empty for a chroot: it has sudo outside."""
        return () if self.kind is RouteKind.CHROOT else self.sudo

    @property
    def remote_name(self) -> str:
        """Return the name of the node for rsync and for remote_shell(). Only ssh uses it."""
        return self.host if self.is_ssh else "node"

    def argv(self, line: str) -> list[str]:
        """Return the argument list that runs a line of shell text on the node."""
        return [*self._words_before_shell(), *self.shell, line]

    def script_argv(self, *arguments: str) -> list[str] | None:
        """Return the argument list that runs a script from standard input on the node, or None for a container."""
        if self.is_container:
            return None
        shell = [*self.node_sudo, "/bin/sh", "-s", *arguments]
        return self.argv(shlex.join(shell)) if self.is_ssh else [*self._words_before_shell(), *shell]

    def _words_before_shell(self) -> list[str]:
        if self.is_ssh:
            return [*self.program, "--", self.host]
        sudo = self.sudo if self.kind is RouteKind.CHROOT else ()  # only root may call chroot
        return [*sudo, *self.program, *((self.host,) if self.host else ())]

    def line(self, command: str, token: str | None = None) -> str:
        """Return the line that runs a command, with sudo if the route has it.

        With a token the shell on the node first writes `TOKEN GROUP` to standard error, in a container to standard
        output: GROUP is the number of its process group. Every login shell understands this line.
        """
        if self.node_sudo:
            command = shlex.join([*self.node_sudo, *_SHELL, command])
        if token is None:
            return command
        return f"/bin/sh -c 'unset -f echo; echo {token} $PPID{'' if self.is_container else ' >&2'}'\n{command}"

    def stop_line(self, group: int, token: str) -> str:
        """Return the line that ends the command of this process group, and prints `TOKEN ended` when it has ended."""
        line = os.fsdecode(shell_line(PROLOGUE + _STOP, b"%d" % group, token.encode()))
        return " ".join([*map(shlex.quote, self.node_sudo), line])

    def remote_shell(self) -> tuple[str, ...]:
        """Return the words that rsync calls like ssh: the node's name and the words of a command follow them.

        As with ssh, the words of the command are one line for a shell on the node.
        """
        if self.is_ssh:
            return self.program
        words = shlex.join([*self._words_before_shell(), *self.shell])
        return ("sh", "-c", f'shift; exec {words} "$*"', "sh")

    def from_outside(self) -> Route:
        """Return the route of programs that write to a chroot from this machine; the same route for other nodes.

        So a chroot needs neither rsync nor tar.
        """
        return replace(self, kind=RouteKind.LOCAL, program=(), host="") if self.kind is RouteKind.CHROOT else self

    def over(self, socket: str) -> Route:
        """Return the same ssh route over the connection of a control socket."""
        return self._with_options(f"ControlPath={socket}", socket=socket)

    def sharing(self, socket: str, persist: str) -> Route:
        """Return the same ssh route that also opens the connection of a control socket if it does not exist.

        The connection ends when it was unused for `persist`, a time as ssh_config(5) writes it.
        """
        options = (f"ControlPath={socket}", "ControlMaster=auto", f"ControlPersist={persist}")
        return self._with_options(*options, socket=socket)

    def _with_options(self, *options: str, socket: str) -> Route:
        words = [word for option in options for word in ("-o", option)]
        return replace(self, program=(*self.program, *words), socket=socket)

    def control_argv(self, word: str) -> list[str]:
        """Return the argument list that sends `check`, `stop` or `exit` to the shared connection of an ssh route."""
        return [*self.program, "-O", word, "--", self.host]


def route_to(node: Node, settings: SshSettings, sudo: Sudo | None = None) -> Route:
    """Return the route to a node, from its address or its `connection:`. The latter may request sudo, too.

    Raise TransportError for a connection that is not one of SCHEMES.
    """
    if node.connection is None:
        return ssh_route(node.address, settings, sudo=_sudo_words({}, sudo))
    try:
        url = urlsplit(node.connection)
    except ValueError as error:  # which hosts it refuses depends on the version of Python
        raise TransportError(f"connection {node.connection}: {error}") from error
    options = dict(reversed(parse_qsl(url.query)))  # as in testinfra, the first of several counts
    words = _sudo_words(options, sudo)
    if url.scheme == "ssh":
        try:
            address = parse_address(node.connection.partition("?")[0])
        except AddressError as error:
            raise TransportError(f"connection {node.connection}: {error}") from error
        return ssh_route(address.host, settings, address.user, address.port, words)
    if url.scheme == "local":
        return Route(RouteKind.LOCAL, sudo=words)
    if url.scheme == "chroot":
        root = node.connection.partition("://")[2].partition("?")[0]
        if not root or root.startswith("-"):
            raise TransportError(f"connection {node.connection}: '{root}' is no directory")
        return Route(RouteKind.CHROOT, ("chroot",), root, sudo=words, root=root)
    user, _, place = url.netloc.rpartition("@")
    if not _CONTAINER.fullmatch(place) or place.startswith("-") or user.startswith("-"):
        raise TransportError(f"connection {node.connection}: '{url.netloc}' is no host")
    if url.scheme in ("docker", "podman"):
        program = (url.scheme, "exec", "-i", *(("-u", user) if user else ()))
        return Route(RouteKind.CONTAINER, program, place, sudo=words)
    if url.scheme == "kubectl":
        chosen = [f"--{name}={options[name]}" for name in _KUBECTL_OPTIONS if name in options]
        return Route(RouteKind.CONTAINER, ("kubectl", *chosen, "exec", "-i"), place, ("--", *_SHELL), sudo=words)
    known = f"{', '.join(SCHEMES[:-1])} and {SCHEMES[-1]}"
    raise TransportError(f"dsh and dcp cannot use a connection {url.scheme}://, only {known}")


def ssh_route(
    host: str,
    settings: SshSettings,
    user: str | None = None,
    port: str | None = None,
    sudo: tuple[str, ...] = (),
) -> Route:
    """Return the ssh route to a host. Raise TransportError if its name is empty or would be an option of ssh."""
    if not host or host.startswith("-"):
        raise TransportError(f"'{host}' is no host")
    return Route(RouteKind.SSH, tuple(settings.argv(user, port)), host, (), sudo)


def _sudo_words(options: Mapping[str, str], sudo: Sudo | None) -> tuple[str, ...]:
    """Return the words of sudo that a connection's options, or `sudo` for all nodes, request. It asks no password."""
    if sudo is None and not TRUTHS.get(options.get("sudo", "no").lower(), False):
        return ()
    user = options.get("sudo_user") or (sudo.user if sudo is not None else None)
    return ("sudo", "-n", *(("-u", user) if user else ()), "--")
