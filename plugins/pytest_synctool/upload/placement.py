"""Where in overlay/ what was found on a node belongs. No output, and no input but the digests of sources.

What the node has a source for goes there; anything else gets the node's own extension, so that nothing changes for
another node until somebody says so. An extension that is asked for takes the place of the one proposed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from pytest_synctool.audit.compare import compare
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.config.model import Config
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import Actual, Change, FileState, Kind, Node, Unknown
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.masterdir import TRIGGER, Candidate, split_extension
from pytest_synctool.repository.resolution import Repository, by_importance
from pytest_synctool.repository.source import Source, Tree, parents
from pytest_synctool.upload.node_archive import Found

_TREE: Final = Tree.OVERLAY.value.encode()


@dataclass(frozen=True, slots=True)
class Placement:
    """A place in overlay/ for something of a node.

    `source` is what would be there, with the node's state; `existing` is what is there now, and `changes` tell how the
    node's state differs from what that asks for. `nodes` are those that get it.
    """

    source: Source
    existing: Source | None
    changes: tuple[Change, ...]
    nodes: tuple[str, ...]

    @property
    def state(self) -> FileState:
        """The node's state."""
        return self.source.state

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to write."""
        return self.existing is not None and not self.changes

    @property
    def same_contents(self) -> bool:
        """Whether no more than owner, group and mode have to be changed."""
        return self.existing is not None and {change.what for change in self.changes} <= {"owner", "group", "mode"}


@dataclass(frozen=True, slots=True)
class Proposal:
    """Places, parents before what lies in them, and what people should know beside."""

    placements: tuple[Placement, ...]
    remarks: tuple[str, ...]


def propose(
    config: Config,
    repository: Repository,
    node: Node,
    above: Mapping[bytes, Actual],
    found: Sequence[Found],
    suffix: str | None = None,
) -> Proposal:
    """The places for what was found on a node, the first of which is what was asked for, parents first.

    `above` are the states of the directories above it, `suffix` is the group for the extension. Raises RepositoryError
    where it has no place.
    """
    proposer = _Proposer(config, repository, node, suffix)
    proposer.check_above(found[0].path, above)
    for each in found:
        proposer.place(each, is_asked_for=each is found[0])
    proposer.remark_left(found[0].path)
    return Proposal(tuple(proposer.placements.values()), tuple(dict.fromkeys(proposer.remarks)))


@dataclass
class _Proposer:
    config: Config
    repository: Repository
    node: Node
    suffix: str | None
    above: dict[bytes, FileState] = field(default_factory=dict)
    placements: dict[bytes, Placement] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    _left_out: set[bytes] = field(default_factory=set)
    _receivers: dict[tuple[object, ...], tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def _entries(self) -> dict[bytes, Entry]:
        return {e.destination: e for e in self.repository.entries(self.node) if e.tree is Tree.OVERLAY}

    @cached_property
    def _everyone(self) -> list[Node]:
        return [node for node in self.config.nodes.values() if not node.ignored or node.name == self.node.name]

    def check_above(self, path: bytes, above: Mapping[bytes, Actual]) -> None:
        """Raises RepositoryError unless directories lead to the path, on the node and in what the node has to have."""
        for directory in parents(path):
            entry, actual = self._entries.get(directory), above[directory]
            shown = printable(directory)
            if entry is not None and not entry.source.is_directory:
                raise RepositoryError(f"{entry.source.shown} is a {entry.source.state.kind.value}: nothing lies in it")
            if isinstance(actual, Unknown):
                raise RepositoryError(f"{self.node.name}: {shown} cannot be looked at: {actual.reason}")
            if not isinstance(actual, FileState):
                raise RepositoryError(f"{self.node.name}: {shown} is missing")
            if actual.kind is Kind.LINK and (entry is None or not entry.follow):
                raise RepositoryError(
                    f"{self.node.name}: {shown} is a symbolic link to {printable(actual.target or b'')}: "
                    "name the file by the path that it leads to"
                )
            self.above[directory] = actual

    def place(self, found: Found, *, is_asked_for: bool) -> None:
        """Find the place for something of the node. Raises RepositoryError if what was asked for has none."""
        above = found.path.rpartition(b"/")[0]
        if above in self._left_out:
            self._left_out.add(found.path)
            return
        try:
            relative = self._relative(found)
        except RepositoryError as error:
            if is_asked_for:
                raise
            self._left_out.add(found.path)
            self.remarks.append(f"left out: {error}")
            return
        placement = self._placement(found, relative)
        self.placements[found.path] = placement
        self._remark(placement)

    def _relative(self, found: Found) -> bytes:
        entry = self._entries.get(found.path)
        if found.state.kind is Kind.DIRECTORY:
            is_there = entry is not None and entry.source.is_directory
            return entry.source.relative if entry is not None and is_there else self._directory(found.path)
        if entry is not None and entry.source.is_directory:
            raise RepositoryError(
                f"{entry.source.shown} is a directory, {printable(found.path)} of {self.node.name} is not: "
                "move it away first"
            )
        if entry is not None and self.suffix is None:
            return entry.source.relative
        above, _, name = found.path.rpartition(b"/")
        directory = self._directory(above) if entry is None else os.path.dirname(entry.source.relative)
        component = name + b"._" + os.fsencode(self.suffix or self.node.name)
        self._check(found.path, component, is_directory=False)
        return directory + b"/" + component

    def _directory(self, path: bytes) -> bytes:
        """The directory of overlay/ for one of the node; it is to be made if there is none."""
        if not path:
            return _TREE
        above, _, name = path.rpartition(b"/")
        # Without an extension the name of a directory must not look as if it had one.
        component = name + b"._all" if split_extension(name)[1] is not None else name
        plain = self._directory(above) + b"/" + component
        there = {c.relative: c.source for c in self._candidates(path) if c.source is not None}
        if plain in there and not there[plain].is_directory:
            raise RepositoryError(f"{printable(plain)} is a {there[plain].state.kind.value}: nothing lies in it")
        entry = self._entries.get(path)
        if entry is not None and not entry.source.is_directory:
            raise RepositoryError(
                f"{entry.source.shown} is a {entry.source.state.kind.value}, {printable(path)} of {self.node.name} is "
                "a directory: move it away first"
            )
        if entry is not None and plain not in there:
            return entry.source.relative
        if plain not in there and path not in self.placements:
            self._check(path, component, is_directory=True)
            if path in self.above:  # else it is the node's own turn
                self.placements[path] = self._placement(Found(path, self.above[path]), plain)
        return plain

    def _check(self, path: bytes, component: bytes, *, is_directory: bool) -> None:
        """Raises RepositoryError if a name in overlay/ would not stand for the path."""
        shown = printable(path)
        if b"\n" in path:
            raise RepositoryError(f"{shown}: a newline in a file name is not supported")
        base, group = split_extension(component)
        if (rule := self.config.ignore.why((component, base), is_directory)) is not None:
            raise RepositoryError(f"{shown}: the name {printable(component)} is ignored by {rule}")
        if not is_directory and base.endswith(TRIGGER):
            raise RepositoryError(f"{shown}: the name {printable(component)} would be that of a trigger")
        if group is not None and group not in self.config.known_groups:
            raise RepositoryError(f"{shown}: {printable(component)} would be for an unknown group")

    def _candidates(self, path: bytes) -> Sequence[Candidate]:
        return self.repository.found.candidates.get((Tree.OVERLAY, path), ())

    def _placement(self, found: Found, relative: bytes) -> Placement:
        if b"\n" in (found.state.target or b""):
            raise RepositoryError(f"{printable(found.path)}: a newline in a link target is not supported")
        masterdir = os.fsencode(self.config.masterdir)
        source = Source(Tree.OVERLAY, masterdir, relative, found.path, found.state)
        existing = next((c.source for c in self._candidates(found.path) if c.relative == relative), None)
        changes: list[Change] = []
        if existing is not None and existing.is_directory is not (found.state.kind is Kind.DIRECTORY):
            raise RepositoryError(
                f"{existing.shown} is a {existing.state.kind.value}, {printable(found.path)} of {self.node.name} is a "
                f"{found.state.kind.value}: move it away first"
            )
        if existing is not None:
            given = self.repository.attributes.decide(existing, self.node.groups)
            expected = existing.expected
            changes = compare(expected if given is None else given.applied(expected), found.state)
        return Placement(source, existing, tuple(changes), self._whose(found.path, relative))

    def _whose(self, path: bytes, relative: bytes) -> tuple[str, ...]:
        """The nodes that get what lies at `relative`, were it there."""
        others = [c for c in self._candidates(path) if c.relative != relative]
        groups = tuple(split_extension(part)[1] for part in relative.split(b"/")[1:])
        mine = Candidate(groups, relative, None)
        key = (groups, *((c.groups, c.relative < relative) for c in others))
        if key not in self._receivers:
            self._receivers[key] = tuple(
                node.name for node in self._everyone if by_importance([*others, mine], node.groups)[:1] == [mine]
            )
        return self._receivers[key]

    def _remark(self, placement: Placement) -> None:
        """What is true of a place, and perhaps not meant."""
        path, shown, name = placement.source.destination, placement.source.shown, self.node.name
        if name not in placement.nodes:
            entry = self._entries.get(path)
            keeps = f"goes on using {entry.source.shown}" if entry is not None else "is not in its group"
            self.remarks.append(f"{shown} is not for {name}, which {keeps}")
        deleted = by_importance(self.repository.found.candidates.get((Tree.DELETE, path), ()), self.node.groups)
        if deleted:
            self.remarks.append(f"{printable(deleted[0].relative)} says that {printable(path)} must not exist")

    def remark_left(self, path: bytes) -> None:
        """What the node has to have below the path, and has not."""
        known = {*self.placements, *self._left_out}
        for destination, entry in self._entries.items():
            if destination.startswith(path + b"/") and destination not in known:
                self.remarks.append(f"{entry.source.shown} is not on {self.node.name}, it is left as it is")


def whom(nodes: Iterable[str], config: Config) -> str:
    """`every node`, `node[1-3]` or `no node`."""
    found = set(nodes)
    if not found:
        return "no node"
    active = {node.name for node in config.nodes.values() if not node.ignored}
    return "every node" if active <= found and len(active) > 1 else fold(found)


def in_words(placement: Placement, *, done: bool) -> str:
    """What is, or would be, done with a place, in one line."""
    path, shown, state = printable(placement.source.destination), placement.source.shown, placement.state
    would = "" if done else "would be "
    if placement.existing is None:
        if state.kind is Kind.LINK:
            what = f"a link to {printable(state.target or b'')}"
        else:
            owners = ":".join(
                str(name or number) for name, number in ((state.owner, state.uid), (state.group, state.gid))
            )
            size = f", {state.size} bytes" if state.kind is Kind.FILE else ", a directory"
            what = f"{state.mode:04o} {printable(owners.encode('utf-8', 'surrogateescape'))}{size}"
        return f"{path} {would}uploaded to {shown} ({what})"
    changes = ", ".join(f"{change.what} mismatch" for change in placement.changes)
    if placement.same_contents:
        return f"{path} {would}taken for the owner and mode of {shown} ({changes})"
    return f"{path} {would}uploaded in the place of {shown} ({changes})"
