"""Options and arguments of rsync that depend on the route to a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# After an error rsync ends its connection with this signal at once, before the other end has printed the reason.
_IGNORE_SIGNAL: Final = 'trap "" USR1; '


def shell_option(shell: Sequence[str]) -> str:
    """Return the option that makes rsync call these words, with a node's name and the words of a command after them."""
    return "--rsh=" + " ".join(map(_word, ("sh", "-c", f'{_IGNORE_SIGNAL}exec "$@"', "sh", *shell)))


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
