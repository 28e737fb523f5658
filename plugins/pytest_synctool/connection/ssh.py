"""How ssh is called, and what it says when it fails."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pytest_synctool.common.wording import printable

SSH_FAILED: Final = 255  # ssh's own exit status for what went wrong with the connection


@dataclass(frozen=True)
class SshSettings:
    """How ssh is called. `command` is its argument list, `connect_timeout` is in seconds.

    With a `socket`, a file name, the first call opens a connection that later ones share; it ends `idle` seconds after
    the last one, and when the node does not answer any more.
    """

    command: tuple[str, ...] = ("ssh",)
    config_file: str | None = None
    identity_file: str | None = None
    connect_timeout: int = 10
    socket: str | None = None
    idle: int = 30

    def argv(self, user: str | None = None, port: str | None = None) -> list[str]:
        """The argument list up to, not including, the host name. Never asks, never loosens host key checks."""
        argv = [*self.command, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={self.connect_timeout}"]
        if self.socket is not None:
            shared = ("ControlMaster=auto", f"ControlPersist={self.idle}", f"ControlPath={self.socket}")
            argv += [word for setting in (*shared, "ServerAliveInterval=15") for word in ("-o", setting)]
        if self.config_file:
            argv += ["-F", self.config_file]
        if self.identity_file:
            argv += ["-i", self.identity_file]
        if user:
            argv += ["-l", user]
        if port:
            argv += ["-p", port]
        return argv


def failure_reason(stderr: bytes) -> str:
    """The reason in a command's error output: its last line, without what the message says anyway."""
    lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        return "the connection broke off without a word"
    last = re.sub(r"^ssh: connect to host \S+ port \d+: ", "", lines[-1].strip())
    return printable(last.encode()).rstrip(".")
