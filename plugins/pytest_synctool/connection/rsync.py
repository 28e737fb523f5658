"""Options and arguments of rsync that depend on the route to a node."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

PLAIN: Final = ("rsync",)  # the command of a site that says nothing about rsync
# Lines that rsync prints after every failure, besides the reason.
NOISE: Final = re.compile(rb"rsync error: |rsync: connection unexpectedly closed|rsync: \[\w+\] (?:write|read) error: ")

# TOKEN COMMAND...: what a login prints on standard output would break rsync's protocol, so only what comes after the
# line TOKEN goes on. After an error rsync ends its connection with a signal at once, before the other end has printed
# the reason.
_AFTER_LOGIN: Final = (
    'trap "" USR1; t=$1; shift; exec 4>&1; '
    's=$({ { "$@" 3>&- 4>&-; echo $? >&3; } | { exec 3>&-; while IFS= read -r l; do '
    '[ "$l" != "$t" ] || exec cat >&4 4>&-; done; }; } 3>&1); exit "$s"'
)


def shell_options(shell: Sequence[str], token: str) -> tuple[str, str]:
    """Return the options that make rsync call these words, with a node's name and the words of a command after them.

    The command has to print `token` as a line before anything else.
    """
    # The cat would fail if rsync is slow to read, as it is with many files, and its pipe does not block.
    return "--rsh=" + " ".join(map(_word, ("sh", "-c", _AFTER_LOGIN, "sh", token, *shell))), "--blocking-io"


def _word(word: str) -> str:
    """Return a word quoted for --rsh, whose quoting differs from that of a shell."""
    return "'" + word.replace("'", "''") + "'" if any(c in word for c in " '\"\\") or not word else word


def place(host: str, path: str) -> str:
    """Return the argument for a path on a host. An IPv6 address gets brackets."""
    return f"[{host}]:{path}" if ":" in host else f"{host}:{path}"


def node_command(rsync_cmd: Sequence[str]) -> str:
    """Return the shell text that calls rsync on the node: `--rsync-path` in the configured command, or `rsync`."""
    paths = [word.partition("=")[2] for word in rsync_cmd if word.startswith("--rsync-path=")]
    return paths[-1] if paths else "rsync"
