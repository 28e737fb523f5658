"""Places in overlay/ for files of a node. This module prints nothing, and reads nothing but the digests of sources.

A file goes to the source that the node already uses. Any other file gets the node's own extension, so nothing changes
for other nodes. The user can ask for another extension.
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
from pytest_synctool.config.model import Config, Layout
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import Actual, Change, FileState, Kind, Node, Unknown
from pytest_synctool.repository.candidates import TRIGGER, Candidate, split_extension
from pytest_synctool.repository.destination_resolver import by_importance
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.later_releases import PURGE
from pytest_synctool.repository.litter import is_litter
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import TEMPLATE, Destination, Source, Tree, parents
from pytest_synctool.upload.node_archive import NodeFile

# A directory above an uploaded file is for every node, so the word of one node does not count.
_PLAIN_DIRECTORY: Final = FileState(Kind.DIRECTORY, 0o755, 0, 0, 0, "root", "root")
_RISKY: Final = 0o6022  # setuid, setgid, and the right to write for the group and for others


@dataclass(frozen=True, slots=True)
class Placement:
    """A place in overlay/ for one file of a node.

    `source` is the new source, with the node's state. `existing` is the current source at this place, and `changes` are
    the differences between its expected state and the node's state. `nodes` are the nodes that use this place.
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
        """True if there is nothing to write."""
        return self.existing is not None and not self.changes

    @property
    def same_contents(self) -> bool:
        """True if the source exists and only its owner, group or mode can differ."""
        return self.existing is not None and {change.what for change in self.changes} <= {"owner", "group", "mode"}


@dataclass(frozen=True, slots=True)
class Proposal:
    """The places for the files of a node, parents first, and remarks for the user."""

    placements: tuple[Placement, ...]
    remarks: tuple[str, ...]


def propose(
    config: Config,
    repository: Repository,
    node: Node,
    above: Mapping[bytes, Actual],
    files: Sequence[NodeFile],
    suffix: str | None = None,
) -> Proposal:
    """Return the places for the files of a node.

    The first of `files` is the one that the user asked for; the others are below it, parents first. `above` are the
    states of the directories above it. `suffix` is the group for the extension. Raises RepositoryError if there is no
    place for the first file.
    """
    proposer = _Proposer(config, repository, node, suffix)
    requested = files[0]
    proposer.check_above(requested.path, above)
    for each in files:
        proposer.place(each, is_requested=each is requested)
    proposer.remark_missing(requested.path)
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
    _skipped: set[bytes] = field(default_factory=set)
    _using: dict[tuple[object, ...], tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def _entries(self) -> dict[bytes, Entry]:
        return {e.destination: e for e in self.repository.entries(self.node) if e.tree is Tree.OVERLAY}

    @cached_property
    def _tops(self) -> list[bytes]:
        tree = Tree.OVERLAY.value
        return [os.fsencode(name) for name in self.config.directories.get(tree, (tree,))]

    @cached_property
    def _candidate_nodes(self) -> list[Node]:
        return [node for node in self.config.nodes.values() if not node.ignored or node.name == self.node.name]

    def check_above(self, path: bytes, above: Mapping[bytes, Actual]) -> None:
        """Raise RepositoryError unless everything above the path is a directory, on the node and in overlay/."""
        for directory in parents(path):
            entry, actual = self._entries.get(directory), above[directory]
            shown = printable(directory)
            if entry is not None and not entry.source.is_directory:
                kind = entry.source.state.kind.value
                raise RepositoryError(f"{entry.source.shown} is a {kind}, so nothing can be below it")
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

    def place(self, file: NodeFile, *, is_requested: bool) -> None:
        """Find the place for a file. Raises RepositoryError if the requested file has none."""
        above = file.path.rpartition(b"/")[0]
        if above in self._skipped:
            self._skipped.add(file.path)
            return
        try:
            relative = self._relative(file)
        except RepositoryError as error:
            if is_requested:
                raise
            self._skipped.add(file.path)
            self.remarks.append(f"left out: {error}")
            return
        placement = self._placement(file, relative)
        self.placements[file.path] = placement
        self._remark(placement)

    def _relative(self, file: NodeFile) -> bytes:
        entry = self._entries.get(file.path)
        if file.state.kind is Kind.DIRECTORY:
            is_used = entry is not None and entry.source.is_directory
            return entry.source.relative if entry is not None and is_used else self._directory(file.path)
        if entry is not None and entry.source.is_directory:
            raise RepositoryError(
                f"{entry.source.shown} is a directory, {printable(file.path)} of {self.node.name} is not: "
                "move it away first"
            )
        if entry is not None and self.suffix is None:
            return entry.source.relative
        above, _, name = file.path.rpartition(b"/")
        directory = self._directory(above) if entry is None else os.path.dirname(entry.source.relative)
        component = name + b"._" + os.fsencode(self.suffix or self.node.name)
        if self._is_purged(directory):
            if self.suffix is not None:
                raise RepositoryError(f"{printable(directory)}: names in {PURGE}/ have no groups: leave out -s")
            component = name
        self._check(file.path, component, is_directory=False, is_purged=component == name)
        return directory + b"/" + component

    def _is_purged(self, directory: bytes) -> bool:
        return self.config.layout is Layout.GROUPS and directory.startswith(os.fsencode(PURGE) + b"/")

    def _directory(self, path: bytes) -> bytes:
        """Return the name in overlay/ of a directory of the node. Plan to create it if it is missing."""
        if not path:
            return self._tops[0] + b"/all" if self.config.layout is Layout.GROUPS else self._tops[0]
        entry = self._entries.get(path)
        if entry is not None and entry.source.is_directory and self._is_purged(entry.source.relative):
            return entry.source.relative
        above, _, name = path.rpartition(b"/")
        # A directory needs the extension `all` only if its own name looks like one with an extension.
        directory = self._directory(above)
        is_purged = self._is_purged(directory)
        component = name + b"._all" if split_extension(name)[1] is not None and not is_purged else name
        plain = directory + b"/" + component
        sources = {c.relative: c.source for c in self._candidates(path) if c.source is not None}
        if plain in sources and not sources[plain].is_directory:
            kind = sources[plain].state.kind.value
            raise RepositoryError(f"{printable(plain)} is a {kind}, so nothing can be below it")
        if entry is not None and not entry.source.is_directory:
            raise RepositoryError(
                f"{entry.source.shown} is a {entry.source.state.kind.value}, {printable(path)} of {self.node.name} is "
                "a directory: move it away first"
            )
        if entry is not None and plain not in sources:
            return entry.source.relative
        if plain not in sources and path not in self.placements:
            self._check(path, component, is_directory=True, is_purged=is_purged)
            if path in self.above:  # otherwise place() handles the directory itself
                self.placements[path] = self._placement(NodeFile(path, _PLAIN_DIRECTORY), plain)
                self._remark_above(path, self.above[path], plain)
        return plain

    def _check(self, path: bytes, component: bytes, *, is_directory: bool, is_purged: bool) -> None:
        """Raise RepositoryError if a name in overlay/ would not become this path on the node."""
        shown = printable(path)
        if b"\n" in path:
            raise RepositoryError(f"{shown}: a newline in a file name is not supported")
        base, group = split_extension(component)
        if (rule := self.config.ignore.why((component, base), is_directory)) is not None:
            raise RepositoryError(f"{shown}: the name {printable(component)} is ignored by {rule}")
        if is_purged:  # a name there is that on the node, whatever it looks like
            return
        if is_litter(Tree.OVERLAY, component, base):
            raise RepositoryError(f"{shown}: the name {printable(component)} would be left out as that of an editor")
        if not is_directory and base.endswith(TRIGGER):
            raise RepositoryError(f"{shown}: the name {printable(component)} would be that of a trigger")
        if not is_directory and base.endswith(TEMPLATE):
            raise RepositoryError(f"{shown}: the name {printable(component)} would be that of a template")
        if group is not None and group not in self.config.known_groups:
            raise RepositoryError(f"{shown}: {printable(component)} would be for an unknown group")

    def _candidates(self, path: bytes) -> Sequence[Candidate]:
        return self.repository.masterdir.candidates.get(Destination(Tree.OVERLAY, path), ())

    def _placement(self, file: NodeFile, relative: bytes) -> Placement:
        if b"\n" in (file.state.target or b""):
            raise RepositoryError(f"{printable(file.path)}: a newline in a link target is not supported")
        masterdir = os.fsencode(self.config.masterdir)
        source = Source(Tree.OVERLAY, masterdir, relative, file.path, file.state)
        self._check_contents(source)
        existing = next((c.source for c in self._candidates(file.path) if c.relative == relative), None)
        changes: list[Change] = []
        if existing is not None and existing.is_directory is not (file.state.kind is Kind.DIRECTORY):
            raise RepositoryError(
                f"{existing.shown} is a {existing.state.kind.value}, {printable(file.path)} of {self.node.name} is a "
                f"{file.state.kind.value}: move it away first"
            )
        if existing is not None:
            attributes = self.repository.attributes.decide(existing, self.node.groups)
            expected = existing.expected
            changes = compare(expected if attributes is None else attributes.applied(expected), file.state)
        return Placement(source, existing, tuple(changes), self._nodes_using(file.path, relative))

    def _check_contents(self, source: Source) -> None:
        """Raise RepositoryError if nodes would not get the contents of a source as they are."""
        known = next((c.source for c in self._candidates(source.destination) if c.relative == source.relative), None)
        entry = Entry(known or source, None, self.repository.attributes.decide(source, self.node.groups))
        if entry.is_template or entry.decrypt is not None:
            what = "is a template" if entry.is_template else "has to be encrypted"
            raise RepositoryError(f"{source.shown} {what}: what a node has cannot be put there")

    def _nodes_using(self, path: bytes, relative: bytes) -> tuple[str, ...]:
        """Return the nodes that would use a source at `relative`."""
        others = [c for c in self._candidates(path) if c.relative != relative]
        is_purged = self._is_purged(relative)
        top = next(top for top in (*self._tops, os.fsencode(PURGE)) if relative.startswith(top + b"/"))
        names = relative.removeprefix(top + b"/").split(b"/")
        first = [os.fsdecode(names.pop(0))] if self.config.layout is Layout.GROUPS else []
        groups = (*first, *(None if is_purged else split_extension(name)[1] for name in names))
        mine = Candidate(groups, relative, None)
        key = (groups, *((c.groups, c.relative < relative) for c in others))
        if key not in self._using:
            self._using[key] = tuple(
                node.name for node in self._candidate_nodes if by_importance([*others, mine], node.groups)[:1] == [mine]
            )
        return self._using[key]

    def _remark_above(self, path: bytes, state: FileState, relative: bytes) -> None:
        """Add a remark about a directory that is not as on the node: it is for other nodes, too."""
        if compare(_PLAIN_DIRECTORY, state):
            plain, shown = _owner_and_mode(_PLAIN_DIRECTORY), printable(relative)
            self.remarks.append(
                f"{printable(path)} is {_owner_and_mode(state)} on {self.node.name}, but {shown} gets {plain}: "
                "correct it if the nodes should have something else"
            )

    def _remark(self, placement: Placement) -> None:
        """Add remarks about a place that the user may not expect."""
        path, shown, name = placement.source.destination, placement.source.shown, self.node.name
        is_risky = placement.state.kind is not Kind.LINK and placement.state.mode & _RISKY
        if is_risky and not placement.is_done and {*placement.nodes} - {name}:
            nodes = node_names_in_words(placement.nodes, self.config)
            self.remarks.append(f"{printable(path)} is {_owner_and_mode(placement.state)}, and will be for {nodes}")
        if name not in placement.nodes:
            entry = self._entries.get(path)
            keeps = f"goes on using {entry.source.shown}" if entry is not None else "is not in its group"
            self.remarks.append(f"{shown} is not for {name}, which {keeps}")
        deleted = by_importance(
            self.repository.masterdir.candidates.get(Destination(Tree.DELETE, path), ()), self.node.groups
        )
        if deleted:
            self.remarks.append(f"{printable(deleted[0].relative)} says that {printable(path)} must not exist")

    def remark_missing(self, path: bytes) -> None:
        """Add remarks about entries below the path that are missing from the node."""
        known = {*self.placements, *self._skipped}
        for destination, entry in self._entries.items():
            if destination.startswith(path + b"/") and destination not in known:
                self.remarks.append(f"{entry.source.shown} is not on {self.node.name}, it is left as it is")


def node_names_in_words(nodes: Iterable[str], config: Config) -> str:
    """Return `every node`, `node[1-3]` or `no node`."""
    names = set(nodes)
    if not names:
        return "no node"
    active = {node.name for node in config.nodes.values() if not node.ignored}
    return "every node" if active <= names and len(active) > 1 else fold(names)


def _owner_and_mode(state: FileState) -> str:
    """Return `0755 root:root`."""
    owners = ":".join(str(name or number) for name, number in ((state.owner, state.uid), (state.group, state.gid)))
    return f"{state.mode:04o} {printable(owners.encode('utf-8', 'surrogateescape'))}"


def in_words(placement: Placement, *, done: bool) -> str:
    """Return one line about the upload to a place; with `done` in the past tense."""
    path, shown, state = printable(placement.source.destination), placement.source.shown, placement.state
    would = "" if done else "would be "
    if placement.existing is None:
        if state.kind is Kind.LINK:
            details = f"a link to {printable(state.target or b'')}"
        else:
            size = f", {state.size} bytes" if state.kind is Kind.FILE else ", a directory"
            details = f"{_owner_and_mode(state)}{size}"
        return f"{path} {would}uploaded to {shown} ({details})"
    changes = ", ".join(f"{change.what} mismatch" for change in placement.changes)
    if placement.same_contents:
        return f"{path} {would}uploaded to {shown}, owner and mode only ({changes})"
    return f"{path} {would}uploaded in the place of {shown} ({changes})"
