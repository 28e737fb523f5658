"""What is looked at: a configuration with its masterdir, and the questions that several rules ask of them.

Nodes that agree in the groups that the masterdir uses are looked at once, so that a large cluster costs little.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.config.model import Config, Place
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.masterdir import Candidate, Key
from pytest_synctool.repository.resolution import Repository, by_importance
from pytest_synctool.repository.source import Source, Tree, parents

# Some of the groups of a node, most important first, `all` last.
Groups = tuple[str, ...]

SCRIPTS = b"scripts"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is probably not meant: printable, and the message ends with what to do.

    `subject` tells the findings of a rule apart; `path` is the file that it is about, with a line where there is one.
    """

    rule: str
    subject: str
    message: str
    path: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How one destination stands on the nodes that have the same groups.

    `applying` are the sources that apply, the one that counts first; `trigger` is the trigger that counts. `blocker` is
    what is not a directory there, but stands above the destination: then nothing of it is in use.
    """

    applying: Sequence[Candidate]
    trigger: Candidate | None
    blocker: Candidate | None

    @property
    def used(self) -> Candidate | None:
        """The source that is in use on these nodes."""
        return self.applying[0] if self.applying and self.blocker is None else None


@dataclass(frozen=True, slots=True)
class ExpectedMode:
    """A mode that a source asks for: given by which attributes, and for nodes with which groups."""

    mode: int
    attributes: Attributes | None
    groups: tuple[Groups, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A configuration and its repository. Ignored nodes are part of it like all others."""

    config: Config
    repository: Repository
    _projections: dict[frozenset[str], tuple[Groups, ...]] = field(default_factory=dict, init=False, repr=False)
    _folded: dict[tuple[str, ...], str] = field(default_factory=dict, init=False, repr=False)

    # Findings

    def at(self, rule: str, subject: str, message: str, place: Place) -> Finding:
        """A finding about a line of the configuration."""
        return Finding(rule, subject, message, printable(os.fsencode(place.path)), place.line or None)

    def at_source(self, rule: str, relative: bytes, message: str, *, subject: bytes | None = None) -> Finding:
        """A finding about a name below the masterdir, which is the subject as well if no other is given."""
        shown = printable(relative if subject is None else subject)
        return Finding(rule, shown, message, printable(os.fsencode(self.path_of(relative))))

    def path_of(self, relative: bytes) -> Path:
        """The path on this machine of a name below the masterdir."""
        return self.config.masterdir / os.fsdecode(relative)

    # Nodes

    @cached_property
    def _kinds(self) -> list[tuple[Groups, list[str]]]:
        """The nodes, put together where they agree in the groups that the masterdir uses, in the same order."""
        found = self.repository.found
        used = {"all", *self.repository.attributes.groups}
        for candidates in (*found.candidates.values(), *found.triggers.values()):
            used.update(*(candidate.named_groups for candidate in candidates))
        kinds: dict[Groups, list[str]] = {}
        for node in self.config.nodes.values():
            kinds.setdefault(_projected(node.groups, used), []).append(node.name)
        return list(kinds.items())

    @cached_property
    def _kinds_of_group(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, (groups, _) in enumerate(self._kinds):
            for group in groups[:-1]:  # all are in the last one
                found.setdefault(group, []).append(number)
        return found

    def projections(self, groups: frozenset[str]) -> tuple[Groups, ...]:
        """Which of these groups (and `all`) nodes have, in which order: every combination that there is, once."""
        if groups not in self._projections:
            touched = {number for group in groups for number in self._kinds_of_group.get(group, ())}
            found = dict.fromkeys(_projected(self._kinds[number][0], groups) for number in sorted(touched))
            if len(touched) < len(self._kinds):
                found.setdefault(("all",))
            self._projections[groups] = tuple(found)
        return self._projections[groups]

    def nodes(self, groups: frozenset[str], wanted: Collection[Groups]) -> str:
        """The nodes that have one of the wanted combinations of these groups, in short form."""
        kinds = [names for kind, names in self._kinds if _projected(kind, groups) in wanted]
        names = tuple(name for each in kinds for name in each)
        if names not in self._folded:
            self._folded[names] = fold(names)
        return self._folded[names]

    # Sources

    def sources(self, *trees: Tree) -> Iterator[tuple[Candidate, Source]]:
        """The sources of some trees of the masterdir."""
        return ((candidate, source) for candidate, source in self.repository.found.sources() if source.tree in trees)

    @cached_property
    def _blocking(self) -> dict[bytes, list[Candidate]]:
        """The sources of destinations that are not a directory on every node, so that nothing may lie below them."""
        found = self.repository.found.candidates
        return {
            path: candidates
            for (tree, path), candidates in found.items()
            if tree is Tree.OVERLAY and not all(map(_is_directory, candidates))
        }

    def _above(self, key: Key) -> list[list[Candidate]]:
        tree, path = key
        if tree is not Tree.OVERLAY:
            return []
        return [self._blocking[parent] for parent in parents(path) if parent in self._blocking]

    def groups_of(self, *keys: Key) -> frozenset[str]:
        """The groups that decide what stands for destinations on a node."""
        found = self.repository.found
        groups: set[str] = set()
        for key in keys:
            for candidates in (found.candidates.get(key, ()), found.triggers.get(key, ()), *self._above(key)):
                groups.update(*(candidate.named_groups for candidate in candidates))
        return frozenset(groups)

    def standing(self, key: Key, groups: Groups) -> Standing:
        """How a destination stands on nodes with these groups."""
        found = self.repository.found
        tops = (by_importance(candidates, groups)[:1] for candidates in self._above(key))
        blocker = next((top[0] for top in tops if top and not _is_directory(top[0])), None)
        trigger = next(iter(by_importance(found.triggers.get(key, ()), groups)), None)
        return Standing(by_importance(found.candidates.get(key, ()), groups), trigger, blocker)

    def together(self, first: Key, second: Key) -> str | None:
        """The nodes on which both destinations are in use, in short form; None if there is none."""
        groups = self.groups_of(first, second)
        both = [
            each
            for each in self.projections(groups)
            if self.standing(first, each).used is not None and self.standing(second, each).used is not None
        ]
        return self.nodes(groups, both) if both else None

    def expected_modes(self, candidate: Candidate, source: Source) -> list[ExpectedMode]:
        """The modes that a source asks for on the nodes it applies to; they may differ by attributes.yaml."""
        rules = self.repository.attributes.matching(source)
        if not rules:
            return [ExpectedMode(source.state.mode, None)]
        found: dict[int, ExpectedMode] = {}
        groups = self.groups_for_modes(candidate, source)
        applying = [each for each in self.projections(groups) if by_importance([candidate], each)]
        for each in applying or [("all",)]:
            attributes = self.repository.attributes.decide(source, each)
            mode = Entry(source, None, attributes).with_attributes(source.state).mode
            known = found.get(mode, ExpectedMode(mode, attributes))
            found[mode] = ExpectedMode(mode, known.attributes, (*known.groups, *([each] if applying else [])))
        return [found[mode] for mode in sorted(found)]

    def groups_for_modes(self, candidate: Candidate, source: Source) -> frozenset[str]:
        """The groups that decide where a source applies, and with which attributes."""
        rules = self.repository.attributes.matching(source)
        return candidate.named_groups.union(group for rule in rules for group in rule.groups)

    # Programs: what root runs on the nodes

    @cached_property
    def scripts(self) -> list[bytes]:
        """Everything in scripts/ and the directory itself, below the masterdir; ignored names are left out.

        If scripts is a link, then just that: what it leads to may be anything.
        """
        top = os.fsencode(self.path_of(SCRIPTS))
        if not os.path.lexists(top):
            return []
        found, ignore = [SCRIPTS], self.config.ignore
        if self.path_of(SCRIPTS).is_symlink():
            return found
        for directory, directories, files in os.walk(top):
            directories[:] = sorted(name for name in directories if ignore.why((name,), True) is None)
            kept = [name for name in files if ignore.why((name,), False) is None]
            found += [SCRIPTS + directory[len(top) :] + b"/" + name for name in sorted([*directories, *kept])]
        return found

    @cached_property
    def triggers(self) -> list[bytes]:
        """All triggers, below the masterdir."""
        return [c.relative for candidates in self.repository.found.triggers.values() for c in candidates]

    @cached_property
    def programs(self) -> list[bytes]:
        """All triggers, tasks and scripts, below the masterdir."""
        scripts = [name for name in self.scripts if not is_directory(self.path_of(name))]
        return [*self.triggers, *(c.relative for c, _ in self.sources(Tree.TASKS)), *scripts]


def is_directory(path: Path) -> bool:
    """Whether there is a directory, rather than a link to one."""
    return os.path.isdir(path) and not path.is_symlink()


def _is_directory(candidate: Candidate) -> bool:
    return candidate.source is None or candidate.source.is_directory


def _projected(groups: Sequence[str], wanted: Collection[str]) -> Groups:
    return (*(group for group in groups if group in wanted and group != "all"), "all")


def some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def first_of(names: Sequence[str]) -> str:
    """The first of one or more names, and how many more there are, to tell findings apart."""
    first, *others = names
    return f"{first} and {len(others)} more" if others else first
