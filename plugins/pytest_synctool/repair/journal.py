"""The journal on a node: which commands are owed after a change, whatever became of the run that made it.

A file for each, named after the path and kind of the command, lies in the node's own state directory from before the
change until the command has succeeded. Names tell nothing to others, and only root can write there.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

STATE: Final = b"/var/lib/pytest-synctool"


def directory(masterdir: bytes, state: bytes = STATE) -> bytes:
    """The directory on a node that keeps the journal of a masterdir; it has a subdirectory `owed`."""
    return os.path.join(state, _digest(masterdir)[:16])


def name(path: bytes, kind: str) -> bytes:
    """The name of what is owed: the command of a path, which is its `post` or its `on_update`."""
    return b"%s-%s" % (kind.encode(), _digest(path))


def owed(masterdir: bytes, path: bytes, kind: str) -> bytes:
    """The file on a node that is there as long as a command is owed."""
    return os.path.join(directory(masterdir), b"owed", name(path, kind))


def _digest(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
