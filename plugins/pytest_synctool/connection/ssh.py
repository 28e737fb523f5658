"""The ssh command: its options, its exit status for failures, and the reason in its error output."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pytest_synctool.common.wording import node_text

SSH_FAILED: Final = 255  # ssh's own exit status if the connection failed


@dataclass(frozen=True)
class SshSettings:
    """The ssh command of a run: `command` is its argument list, `connect_timeout` is in seconds."""

    command: tuple[str, ...] = ("ssh",)
    config_file: str | None = None
    identity_file: str | None = None
    connect_timeout: int = 10

    def argv(self, user: str | None = None, port: str | None = None) -> list[str]:
        """Return the argument list before the host name. ssh never asks a question and checks host keys as usual."""
        argv = [*self.command, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={self.connect_timeout}"]
        if self.config_file:
            argv += ["-F", self.config_file]
        if self.identity_file:
            argv += ["-i", self.identity_file]
        if user:
            argv += ["-l", user]
        if port:
            argv += ["-p", port]
        return [*argv, "-T"]


def failure_reason(stderr: bytes) -> str:
    """Return the reason in a command's error output: its last line, without a prefix that only repeats the address."""
    line = last_line(stderr)
    if not line:
        return "the connection ended without a message"
    return re.sub(r"^ssh: connect to host \S+ port \d+: ", "", line).rstrip(".")


def last_line(output: bytes) -> str:
    """Return the last line with a word in it, as text for people."""
    return node_text(output.strip().rpartition(b"\n")[2].rpartition(b"\r")[2].strip())
