"""The memory of digests of nodes' large files (--trust-ctime): one file per node in this user's cache directory.

A run replaces a node's file as a whole. What cannot be read or parsed is forgotten: the next audit reads the files of
the node again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pytest_synctool.audit import probe, remembered
from pytest_synctool.audit.remembered import NOTHING, Remembered
from pytest_synctool.common import cache_directory
from pytest_synctool.common.wording import printable
from pytest_synctool.errors import SynctoolError, TrustError
from pytest_synctool.model import Actual, FileState, Node

_FORMAT: Final = "pytest-synctool digests"
_VERSION: Final = 1
_MOST: Final = 64 << 20  # bytes of the file of one node
_DAY: Final = 24 * 60 * 60  # seconds


@dataclass(frozen=True, slots=True)
class DigestMemory:
    """The memory of all nodes of a masterdir. A digest older than `days` is forgotten.

    `problem` is the reason why nothing can be remembered, for people.
    """

    masterdir: Path
    days: int
    place: Path | None
    problem: str = ""

    @classmethod
    def of_user(cls, masterdir: Path, days: int) -> DigestMemory:
        """Return the memory in this user's cache directory, which is made if it does not exist."""
        try:
            place = cache_directory.made(cache_directory.of_user() / "nodes")
        except (OSError, TrustError) as error:
            reason = str(error)
            if isinstance(error, OSError):
                where = "" if error.filename is None else f"{printable(os.fsencode(error.filename))}: "
                reason = f"{where}{error.strerror}"
            return cls(masterdir, days, None, f"digests cannot be remembered, all files are read: {reason}")
        return cls(masterdir, days, place)

    def of_node(self, node: Node) -> NodeMemory:
        """Return the memory of one node, as earlier audits have left it."""
        if self.place is None:
            return NodeMemory(None, {}, self.problem)
        words = (os.fsencode(self.masterdir), os.fsencode(node.name), os.fsencode(node.host_spec))
        name = hashlib.md5(b"\0".join(words), usedforsecurity=False).hexdigest()
        path = self.place / name
        now = time.time()
        known = {p: each for p, each in _read(path).items() if 0 <= now - each.read <= self.days * _DAY}
        return NodeMemory(path, known)


@dataclass
class NodeMemory:
    """The memory of one node. `path` is its file, None if it has none because of a `problem`.

    `unread` are the paths of files that the audit has not read.
    """

    path: Path | None
    known: dict[bytes, Remembered]
    problem: str = ""
    unread: set[bytes] = field(default_factory=set)
    _is_changed: bool = False

    def of(self, path: bytes) -> Remembered | None:
        """Return what is known of a large file, for the question to the node; None if nothing can be remembered."""
        return None if self.path is None else self.known.get(path, NOTHING)

    def take(self, requests: Sequence[probe.Request], answer: bytes, actual: Mapping[bytes, Actual]) -> None:
        """Take over what a node has answered about its large files. Raises RemoteError for a malformed line."""
        asked = {request.path: request for request in requests if request.remembered is not None}
        if not asked:
            return
        paths = probe.layout(requests)
        known = {path for path, request in asked.items() if request.remembered and request.remembered.stamp}
        unread = known.intersection(remembered.unread(paths, answer))
        sizes = {path: request.size for path, request in asked.items()}
        seen = dict(remembered.stamps(paths, sizes, answer))
        for path in asked:
            state = actual[path]
            md5 = state.md5 if isinstance(state, FileState) else None
            if md5 is not None and path in unread:
                self.unread.add(path)
            elif md5 is not None and path in seen and _only_root_writes(state):
                self.known[path] = Remembered(seen[path], md5, time.time())
                self._is_changed = True
            else:
                self._is_changed |= self.known.pop(path, None) is not None

    def save(self) -> None:
        """Write the file anew if there is news. A failure is the `problem`."""
        if self.path is None or not self._is_changed:
            return
        rows = [
            (path.decode("utf-8", "surrogateescape"), each.stamp.decode("ascii"), each.md5, each.read)
            for path, each in sorted(self.known.items())
        ]
        text = json.dumps({"format": _FORMAT, "version": _VERSION, "files": rows})
        try:
            cache_directory.replace(self.path, [text.encode("ascii")])
        except OSError as error:
            where = printable(os.fsencode(self.path.parent))
            self.problem = f"digests cannot be remembered in {where}: {error.strerror or error}"


def _only_root_writes(state: Actual) -> bool:
    """Return True for a file that only root can open for writing: through a mapping, ctime need not change."""
    return isinstance(state, FileState) and state.uid == 0 and not state.mode & 0o022


def _read(path: Path) -> dict[bytes, Remembered]:
    """Return what a file of a node has; nothing if others can change it, or if it is not whole."""
    try:
        document: Any = json.loads(cache_directory.read(path, _MOST))
        if document["format"] != _FORMAT or document["version"] != _VERSION:
            return {}
        return dict(map(_row, document["files"]))
    except (OSError, SynctoolError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return {}


def _row(row: Sequence[Any]) -> tuple[bytes, Remembered]:
    """Return the path and the digest of a row. Raises ValueError, TypeError or AttributeError for anything else."""
    path, stamp, md5, read = row
    each = Remembered(stamp.encode("ascii"), md5, float(read))
    if not each.is_valid:
        raise ValueError(f"not a digest: {row!r}")
    return path.encode("utf-8", "surrogateescape"), each
