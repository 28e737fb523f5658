"""Names of files on the command line: a path on a node, or the source as `-r` prints it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from pytest_synctool.common.wording import nearest, printable
from pytest_synctool.errors import SelectionError
from pytest_synctool.model import Node
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree

_TREES: Final = tuple(os.fsencode(tree.value) for tree in Tree)
_MARK: Final = b"$masterdir/"


class FileNames:
    """The names that the entries of the selected nodes have.

    A file has its path on a node, `/etc/fstab`, and its source: `/etc/fstab._all`, `overlay/etc/fstab._all`, the same
    behind `$masterdir/` or the path of the masterdir.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._masterdir = b""
        self._paths: dict[bytes, None] = {}
        self._sources: dict[bytes, bytes] = {}
        for entry in entries:
            self._masterdir = entry.source.masterdir
            self._paths[entry.destination] = None
            self._sources[entry.source.relative] = entry.destination

    @classmethod
    def of(cls, repository: Repository, nodes: Iterable[Node], trees: Collection[Tree]) -> FileNames:
        """Return the names that the entries of nodes have in some trees."""
        lists = dict.fromkeys(map(repository.entries, nodes))  # nodes alike share one
        return cls(entry for entries in lists for entry in entries if entry.tree in trees)

    def path(self, name: bytes, option: str) -> bytes | None:
        """Return the path that a name stands for, or None for a path on nodes that no entry has.

        Raises SelectionError for another name that no entry has.
        """
        if name in self._paths:
            return name
        below = name.removeprefix(_MARK).removeprefix(self._masterdir + b"/")
        for source in (below, *(tree + b"/" + below.lstrip(b"/") for tree in _TREES)):
            if source in self._sources:
                return self._sources[source]
        if name.startswith(b"/"):
            return None
        expected = "a path like /etc/fstab, or a source of a selected node like overlay/etc/fstab._all"
        raise SelectionError(f"{option}: expected {expected}, not '{printable(name)}'{self.hint(b'/' + name)}")

    def paths(self, names: Sequence[bytes], option: str, where: str, *, others: bool = False) -> list[bytes]:
        """Return the paths that names stand for. Raises SelectionError for a name that no entry has.

        With `others`, a path on nodes need not be that of an entry.
        """
        paths = []
        for name in names:
            path = self.path(name, option)
            if path is None and others:
                path = name
            if path is None:
                raise SelectionError(
                    f"{option}: no selected node has {printable(name)} in {where}{self.hint(name) or ' (see -r)'}"
                )
            paths.append(path)
        return paths

    def hint(self, name: bytes) -> str:
        """Return ` (did you mean '/etc/motd'?)`, or an empty text if no path is near."""
        return nearest(printable(name), map(printable, self._paths))
