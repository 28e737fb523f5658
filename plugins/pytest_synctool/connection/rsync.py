"""How rsync wants to be told how it reaches a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# rsync ends its connection with a signal as soon as something is wrong, whatever the other end has yet to say.
_LISTEN: Final = 'trap "" USR1; '


def shell_option(shell: Sequence[str]) -> str:
    """Return the option that makes rsync call these words, with a node's name and the words of a command after them."""
    return "--rsh=" + " ".join(map(_word, ("sh", "-c", f'{_LISTEN}exec "$@"', "sh", *shell)))


def _word(word: str) -> str:
    """A word as rsync's --rsh understands it, which is not quite as a shell does."""
    return "'" + word.replace("'", "''") + "'" if any(c in word for c in " '\"\\") or not word else word


def place(host: str, path: str) -> str:
    """A path on a host; an IPv6 address is told from what comes behind it by brackets."""
    return f"[{host}]:{path}" if ":" in host else f"{host}:{path}"


def node_command(rsync_cmd: Sequence[str]) -> str:
    """What the node calls rsync, as the configuration's command says; that is shell text."""
    given = [word.partition("=")[2] for word in rsync_cmd if word.startswith("--rsync-path=")]
    return given[-1] if given else "rsync"
