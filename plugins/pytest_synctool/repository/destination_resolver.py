"""The entry of one destination, for each combination of the groups that decide it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.attributes import AttributeRules
from pytest_synctool.repository.candidates import Candidate, Masterdir
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.exclusive import as_in_purge
from pytest_synctool.repository.made_contents import MadeContents
from pytest_synctool.repository.source import Destination, Source, Tree

Groups = tuple[str, ...]

_ALL: Final = frozenset({"all"})


class Resolver:
    """The resolver of one destination: its candidates, and its entry for each combination of relevant groups."""

    __slots__ = (
        *("_entries", "attributes", "candidates", "contents", "destination", "directory", "groups", "on_update"),
        *("purged", "triggers"),
    )

    def __init__(
        self,
        destination: Destination,
        masterdir: Masterdir,
        attributes: AttributeRules,
        on_update: bytes | None,
        directory: DeleteDirectory | None,
        contents: MadeContents,
    ) -> None:
        self.destination = destination
        self.candidates = masterdir.candidates[destination]
        self.triggers: Sequence[Candidate] = masterdir.triggers.get(destination, ())
        self.attributes = attributes
        self.on_update = on_update
        self.directory = directory
        self.contents = contents
        self.purged = masterdir.purged
        candidates = (*self.candidates, *self.triggers, *(() if directory is None else directory.triggers))
        groups = candidates[0].named_groups.union(*[candidate.named_groups for candidate in candidates[1:]])
        if attributes.groups:
            matching = (attributes.matching(c.source) for c in self.candidates if c.source is not None)
            groups = groups.union(group for rules in matching for rule in rules for group in rule.groups)
        # Most are for all nodes, and asked for once. A set and a dictionary for each would be most of their memory.
        self.groups = _ALL if groups == _ALL else groups
        self._entries: dict[Groups, Entry | None] | None = None if self.groups is _ALL else {}

    @property
    def may_block(self) -> bool:
        """True if the destination is not a directory on some node, so that it blocks destinations below it there."""
        if self.destination.tree is not Tree.OVERLAY:
            return False
        return any(c.source is not None and not c.source.is_directory for c in self.candidates)

    def lies_below(self, other: Resolver) -> bool:
        """Return True if this destination lies below another one in the same tree."""
        mine, others = self.destination, other.destination
        return mine.path.startswith(others.path + b"/") and mine.tree is others.tree

    def entry(self, groups: Groups) -> Entry | None:
        """Return the entry on nodes with these groups, the most important first, or None if no source applies."""
        groups = tuple([group for group in groups if group in self.groups])
        if self._entries is None:
            return self._resolve(groups)
        if groups not in self._entries:
            self._entries[groups] = self._resolve(groups)
        return self._entries[groups]

    def _resolve(self, groups: Groups) -> Entry | None:
        ranked = by_importance(self.candidates, groups)
        if not ranked or ranked[0].source is None:
            return None
        triggers = self.triggers if self.destination.tree is not Tree.TASKS else ()
        trigger = next(iter(by_importance(triggers, groups)), None) if triggers else None
        source = ranked[0].source
        attributes = self.attributes.decide(source, groups)
        if self.purged and source.is_directory and any(each.relative in self.purged for each in ranked):
            attributes = as_in_purge(attributes)
        entry = Entry(
            source,
            None if trigger is None else trigger.relative,
            attributes,
            self.on_update,
            None if self.directory is None else self.directory.entry(groups),
        )
        return entry if entry.decrypt is None or entry.is_template else self.contents.decrypted(entry)


class DeleteDirectory:
    """A directory in delete/: its triggers and its `on_update` command run after something in it was deleted."""

    def __init__(self, path: bytes, masterdir: Masterdir, on_update: bytes | None) -> None:
        self.triggers = masterdir.triggers.get(Destination(Tree.DELETE, path), [])
        top, tree = os.fsencode(masterdir.path), os.fsencode(Tree.DELETE.value)
        state = FileState(Kind.DIRECTORY, 0, 0, 0, 0)
        self._source = Source(Tree.DELETE, top, tree + path.rstrip(b"/"), path.rstrip(b"/") + b"/", state)
        self._on_update = on_update
        self._entries: dict[bytes | None, Entry] = {}

    def entry(self, groups: Groups) -> Entry | None:
        """Return what has its commands on nodes with these groups, or None if there are none."""
        trigger = next((candidate.relative for candidate in by_importance(self.triggers, groups)), None)
        if trigger is None and self._on_update is None:
            return None
        if trigger not in self._entries:
            self._entries[trigger] = Entry(self._source, trigger, on_update=self._on_update)
        return self._entries[trigger]


def by_importance(candidates: Sequence[Candidate], groups: Sequence[str]) -> list[Candidate]:
    """Return the candidates that apply to a node with these groups, the most important first.

    Candidates are compared component by component from the root of the tree. A component without an extension ranks as
    `all`. Equally important candidates are in the order of their names.
    """
    if not candidates:
        return []
    if len(candidates) == 1:  # of most destinations there is one, and it needs no rank
        return [*candidates] if candidates[0].named_groups.issubset(groups) else []
    ranks = {group: position for position, group in enumerate(groups)}
    lowest = ranks.get("all", len(groups))
    ranked = [(rank, c) for c in candidates if (rank := c.rank(ranks, lowest)) is not None]
    if len(ranked) > 1:
        ranked.sort(key=lambda pair: pair[0])
    return [candidate for _, candidate in ranked]
