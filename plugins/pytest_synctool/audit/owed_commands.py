"""Names of the journal's files on a node. The journal lists the commands that are owed after a change.

Each owed command has one file in the node's state directory, named after the command's path and kind. A repair writes
the file before the change and removes it when the command has succeeded, so an interrupted run loses no command. The
names reveal nothing to other users, and only root can write there. The audit looks for these files, as the repair does.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

STATE: Final = b"/var/lib/pytest-synctool"


def directory(masterdir: bytes, state: bytes = STATE) -> bytes:
    """Return the directory on a node that holds the journal of a masterdir; it has a subdirectory `owed`."""
    return os.path.join(state, _digest(masterdir)[:16])


def made_files(masterdir: bytes, state: bytes = STATE) -> bytes:
    """Return the directory on a node for made contents during a repair, where the node gets no mirror."""
    return os.path.join(state, b"made", _digest(masterdir)[:16])


def name(path: bytes, kind: str) -> bytes:
    """Return the name of the file for a path's command; `kind` is `post` or `on_update`."""
    return b"%s-%s" % (kind.encode(), _digest(path))


def owed(masterdir: bytes, path: bytes, kind: str) -> bytes:
    """Return the path of the file that exists on a node as long as a command is owed."""
    return os.path.join(directory(masterdir), b"owed", name(path, kind))


def _digest(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
