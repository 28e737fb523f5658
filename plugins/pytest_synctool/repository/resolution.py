"""The repository: which source stands for which destination on which node.

The masterdir is walked once. A destination is resolved once for all nodes that agree in the groups that matter for it,
and a list of entries once for all that agree in the groups that the masterdir uses. The most important group wins
(documentation, "The groups a node is in").
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pytest_synctool.common.wording import printable
from pytest_synctool.config.ignore import IgnoreRules
from pytest_synctool.config.model import Config
from pytest_synctool.model import Node
from pytest_synctool.repository.attributes import FILE_NAME as ATTRIBUTES_FILE
from pytest_synctool.repository.attributes import NO_RULES, AttributeRules
from pytest_synctool.repository.attributes import load as load_attributes
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.masterdir import Candidate, Masterdir, Reason, scan
from pytest_synctool.repository.source import Destination, Tree
from pytest_synctool.repository.waivers import FILE_NAME as WAIVERS_FILE
from pytest_synctool.repository.waivers import NO_WAIVERS, Waivers
from pytest_synctool.repository.waivers import load as load_waivers

Groups = tuple[str, ...]


class _Resolver:
    """One destination of a tree: its candidates, and the entry for each choice of groups that matters."""

    def __init__(
        self, destination: Destination, masterdir: Masterdir, attributes: AttributeRules, on_update: bytes | None
    ) -> None:
        self.destination = destination
        self.candidates = masterdir.candidates[destination]
        self.triggers = masterdir.triggers.get(destination, [])
        self.attributes = attributes
        self.on_update = on_update
        self.groups = set[str]().union(*(c.named_groups for c in (*self.candidates, *self.triggers)))
        for candidate in self.candidates:
            if candidate.source is not None:
                self.groups.update(g for rule in attributes.matching(candidate.source) for g in rule.groups)
        self._entries: dict[Groups, Entry | None] = {}

    @property
    def may_block(self) -> bool:
        """Whether it is something on some node that nothing can lie below."""
        return any(c.source is not None and not c.source.is_directory for c in self.candidates)

    def lies_below(self, other: _Resolver) -> bool:
        """Whether the other one has to be a directory for this one to be there."""
        return self.destination.tree is other.destination.tree and self.destination.path.startswith(
            other.destination.path + b"/"
        )

    def entry(self, groups: Groups) -> Entry | None:
        """The entry for nodes with these groups, most important first."""
        groups = tuple(group for group in groups if group in self.groups)
        if groups not in self._entries:
            self._entries[groups] = self._resolve(groups)
        return self._entries[groups]

    def _resolve(self, groups: Groups) -> Entry | None:
        ranked = by_importance(self.candidates, groups)
        if not ranked or ranked[0].source is None:
            return None
        has_triggers = self.destination.tree is not Tree.TASKS
        trigger = next(iter(by_importance(self.triggers, groups)), None) if has_triggers else None
        source = ranked[0].source
        return Entry(
            source,
            None if trigger is None else trigger.relative,
            self.attributes.decide(source, groups),
            self.on_update,
        )


def by_importance(candidates: Sequence[Candidate], groups: Sequence[str]) -> list[Candidate]:
    """The candidates that apply to a node with these groups, the one that counts first.

    Compared component by component from the root of the tree; no extension ranks as `all`, and what is still equal in
    the order of names.
    """
    if not candidates:
        return []
    ranks = {group: position for position, group in enumerate(groups)}
    lowest = ranks.get("all", len(groups))
    ranked = [(rank, c) for c in candidates if (rank := c.rank(ranks, lowest)) is not None]
    return [candidate for _, candidate in sorted(ranked, key=lambda pair: pair[0])]


class Repository:
    """A walked masterdir. `warnings` name what was left out, and why."""

    def __init__(
        self,
        masterdir: Masterdir,
        attributes: AttributeRules = NO_RULES,
        on_update: Mapping[bytes, str] | None = None,
        waivers: Waivers = NO_WAIVERS,
    ) -> None:
        self.masterdir = masterdir
        self.attributes = attributes
        self.waivers = waivers
        self._warnings = dict.fromkeys(
            f"{printable(left.relative)}: {left.text}"
            for left in masterdir.left_out
            if left.reason is not Reason.IGNORED
        )
        # Deletions come first, then parents before what lies in them.
        order = {Tree.DELETE: 0, Tree.OVERLAY: 1, Tree.TASKS: 2}
        keys = sorted(masterdir.candidates, key=lambda key: (order[key.tree], key.path.split(b"/")))
        commands = {path: os.fsencode(text) for path, text in (on_update or {}).items()}
        self._resolvers = [
            _Resolver(key, masterdir, attributes, None if key.tree is Tree.TASKS else commands.get(key.path))
            for key in keys
        ]
        self._positions = {key: position for position, key in enumerate(keys)}
        self._by_group: dict[str, list[int]] = {}
        for position, destination in enumerate(self._resolvers):
            for group in destination.groups:
                self._by_group.setdefault(group, []).append(position)
        self._base = [destination.entry(("all",)) for destination in self._resolvers]
        self._both = [
            (p, self._positions[Destination(Tree.OVERLAY, key.path)])
            for key, p in self._positions.items()
            if key.tree is Tree.DELETE and Destination(Tree.OVERLAY, key.path) in self._positions
        ]
        self._below = self._below_blocking()
        self._resolved: dict[Groups, EntryList] = {}

    @property
    def warnings(self) -> list[str]:
        """What was left out so far; what is left out for a node is known once its entries are."""
        return list(self._warnings)

    def entries(self, node: Node) -> EntryList:
        """The entries of a node: of delete/, of overlay/ with parents first, of tasks/ in the order of names.

        One destination of a tree has one entry.
        """
        groups = tuple(group for group in node.groups if group in self._by_group)
        if groups not in self._resolved:
            self._resolved[groups] = self._resolve(groups)
        return self._resolved[groups]

    def considered(self, key: Destination, node: Node) -> tuple[list[Candidate], list[Candidate]]:
        """All sources for a destination: those that apply to a node, the one that counts first, and the others."""
        candidates = self.masterdir.candidates.get(key, [])
        applying = by_importance(candidates, node.groups)
        return applying, [candidate for candidate in candidates if candidate not in applying]

    def _resolve(self, groups: Groups) -> EntryList:
        row = list(self._base)
        for position in {position for group in groups if group != "all" for position in self._by_group[group]}:
            row[position] = self._resolvers[position].entry(groups)
        self._drop_blocked(row)
        for deleted, kept in self._both:
            # Else every --fix would undo what the last one did.
            if (entry := row[deleted]) is not None and (other := row[kept]) is not None:
                self._warn(f"{entry.source.shown}: skipped, {other.source.shown} is for the same destination")
                row[deleted] = None
        return EntryList(entry for entry in row if entry is not None)

    def _below_blocking(self) -> list[tuple[int, Sequence[int]]]:
        """Destinations that may be something other than a directory, with the positions of all that lies below."""
        found: list[tuple[int, Sequence[int]]] = []
        for position, destination in enumerate(self._resolvers):
            if destination.destination.tree is not Tree.OVERLAY or not destination.may_block:
                continue
            last = position + 1
            while last < len(self._resolvers) and self._resolvers[last].lies_below(destination):
                last += 1
            if last > position + 1:
                found.append((position, range(position + 1, last)))
        return found

    def _drop_blocked(self, row: list[Entry | None]) -> None:
        """Take out what lies inside of what is not a directory on these nodes."""
        for position, below in self._below:
            above = row[position]
            if above is None or above.source.is_directory:
                continue
            for inner in below:
                if (entry := row[inner]) is not None:
                    shown = printable(above.destination)
                    self._warn(f"{entry.source.shown}: skipped, {shown} is not a directory on some nodes")
                    row[inner] = None

    def _warn(self, message: str) -> None:
        self._warnings.setdefault(message)


def load(config: Config) -> Repository:
    """The repository of a cluster.

    Raises RepositoryError, or ConfigError for attributes.yaml or waivers.yaml, with all problems.
    """
    known = config.known_groups
    attributes = load_attributes(config.masterdir / ATTRIBUTES_FILE, known)
    waivers = load_waivers(config.masterdir / WAIVERS_FILE, config.nodes, known)
    return walk(
        config.masterdir,
        known,
        config.ignore,
        require_extension=config.require_extension,
        attributes=attributes,
        on_update={rule.path: rule.command for rule in config.on_update},
        waivers=waivers,
    )


def walk(
    masterdir: Path,
    known_groups: Collection[str],
    ignore: IgnoreRules,
    *,
    require_extension: bool = True,
    attributes: AttributeRules = NO_RULES,
    on_update: Mapping[bytes, str] | None = None,
    waivers: Waivers = NO_WAIVERS,
) -> Repository:
    """Walk a masterdir. Raises RepositoryError, naming every offender at once, as scan() does."""
    found = scan(masterdir, known_groups, ignore, require_extension=require_extension)
    return Repository(found, attributes, on_update, waivers)
