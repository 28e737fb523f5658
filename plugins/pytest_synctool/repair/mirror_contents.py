"""The part of a masterdir that is for one node: what it may see, and what is made for it in the place of the rest.

It is complete in itself: a node that works on itself finds the same with it as the master does with the whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_synctool.repository import attributes, waivers
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Tree


@dataclass(frozen=True, slots=True)
class Extract:
    """`names` are files, directories and links below the masterdir, sorted; `made` has others with their contents."""

    names: tuple[bytes, ...]
    made: Mapping[bytes, bytes]

    def fingerprint(self, masterdir: bytes, known: dict[bytes, bytes]) -> str:
        """32 hex digits that change when anything of it does. `known` keeps what is looked up for other extracts."""
        digest = hashlib.md5(usedforsecurity=False)
        for name in self.names:
            if name not in known:
                known[name] = _version(os.path.join(masterdir, name))
            digest.update(b"%s\0%s\0" % (name, known[name]))
        for name, content in sorted(self.made.items()):
            digest.update(b"%s\0%d\0%s" % (name, len(content), content))
        return digest.hexdigest()


def extract(entries: Sequence[Entry], scripts: Iterable[bytes] = (), waived: str = "") -> Extract:
    """What is for a node with these entries; `waived` is the text of its waivers.yaml.

    Of delete/ only the names count, so that empty files go there, and what the sources themselves cannot show is said
    by an attributes.yaml of its own, which tells of no other node's files.
    """
    made = {entry.source.relative: b"" for entry in entries if entry.tree is Tree.DELETE}
    overlay = ((entry.source, entry.attributes) for entry in entries if entry.tree is Tree.OVERLAY)
    if text := attributes.exact(overlay):
        made[os.fsencode(attributes.FILE_NAME)] = text.encode("utf-8")
    if waived:
        made[os.fsencode(waivers.FILE_NAME)] = waived.encode("utf-8")
    return Extract(tuple(visible(entries, scripts)), made)


def visible(entries: Iterable[Entry], scripts: Iterable[bytes] = ()) -> list[bytes]:
    """What a node with these entries may see below the masterdir, sorted: its sources, triggers and tasks, and scripts.

    Nothing of delete/ but triggers.
    """
    found = {*scripts}
    for entry in entries:
        if entry.tree is not Tree.DELETE:
            found.add(entry.source.relative)
        if entry.trigger is not None:
            found.add(entry.trigger)
    return sorted(found)


def _version(path: bytes) -> bytes:
    """What changes with a file, whoever changes it: not even its owner can set the time of a change."""
    try:
        found = os.lstat(path)
    except OSError:
        return b"gone"
    return b"%d %d %d" % (found.st_ino, found.st_size, found.st_ctime_ns)
