"""The ssh command: its options, its exit status for failures, and the reason in its error output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.common.wording import node_text

# The first value of an option counts for ssh, so those of the ssh command win, and these win over configuration files.
# Root of a node could use what they forbid: the administrator's keys, screen, network, and commands on this machine.
ISOLATION: Final = (
    "ForwardAgent=no",
    "ForwardX11=no",
    "GSSAPIDelegateCredentials=no",
    "PermitLocalCommand=no",
    "Tunnel=no",
)
NO_FORWARDINGS: Final = "ClearAllForwardings=yes"
# An ssh that outlives us, or waits for a node that hangs, ends after three of these without an answer, also in a login.
ALIVE: Final = "ServerAliveInterval=15"  # seconds
SSH_FAILED: Final = 255  # ssh's own exit status if the connection failed

# An option of ssh that takes a value, behind others that take none, and the value if it is in the same word.
_CLUSTER: Final = re.compile(r"-[1246aACfgGkKMnNqsTtVvXxYy]*([bBcDeEFIiJlLmoOpPQRSwW])(.*)", re.DOTALL)
_FORWARDING: Final = re.compile(r'[\s"]*(?:(?:local|remote|dynamic)forward|tunnel)\b', re.IGNORECASE)


@dataclass(frozen=True)
class SshSettings:
    """The ssh command of a run: `command` is its argument list, `connect_timeout` is in seconds."""

    command: tuple[str, ...] = ("ssh",)
    config_file: str | None = None
    identity_file: str | None = None
    connect_timeout: int = 10

    def argv(self, user: str | None = None, port: str | None = None) -> list[str]:
        """Return the argument list before the host name. ssh never asks a question and checks host keys as usual.

        It forwards nothing that `command` does not ask for, and allocates no terminal.
        """
        options = ["BatchMode=yes", f"ConnectTimeout={self.connect_timeout}", ALIVE, *ISOLATION]
        if not has_forwardings(self.command):  # ssh would clear these too
            options.append(NO_FORWARDINGS)
        argv = [*self.command, *(word for option in options for word in ("-o", option))]
        if self.config_file:
            argv += ["-F", self.config_file]
        if self.identity_file:
            argv += ["-i", self.identity_file]
        if user:
            argv += ["-l", user]
        if port:
            argv += ["-p", port]
        return [*argv, "-T"]


def has_forwardings(command: Sequence[str]) -> bool:
    """Return True if an ssh command line asks for a forwarding: by -L, -R, -D, -w, or the option of that name."""
    words = iter(command[1:])
    for word in words:
        cluster = _CLUSTER.match(word)
        if cluster is None:
            continue
        letter, value = cluster[1], cluster[2]
        if not value:
            value = next(words, "")
        if letter in "LRDw" or (letter == "o" and _FORWARDING.match(value)):
            return True
    return False


def failure_reason(stderr: bytes) -> str:
    """Return the reason in a command's error output: its last line, without a prefix that only repeats the address."""
    line = last_line(stderr)
    if not line:
        return "the connection ended without a message"
    return re.sub(r"^ssh: connect to host \S+ port \d+: ", "", line).rstrip(".")


def not_begun(status: int, *outputs: bytes) -> str:
    """Return the reason why our first command did not run on a node, with the last line of these outputs, if any."""
    line = next((line for line in map(last_line, outputs) if line), "")
    return f"the login ended with status {status} before it ran /bin/sh" + (f": {line.rstrip('.')}" if line else "")


def last_line(output: bytes) -> str:
    """Return the last line with a word in it, as text for people."""
    return node_text(output.strip().rpartition(b"\n")[2].rpartition(b"\r")[2].strip())
