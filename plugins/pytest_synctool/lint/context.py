"""The context of a rule: a configuration, its masterdir, and the questions that several rules ask about them.

Nodes that agree in the groups used by the masterdir are examined once, so a large cluster costs little.
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
from pytest_synctool.repository.candidates import Candidate
from pytest_synctool.repository.destination_resolver import by_importance
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Destination, Source, Tree, parents

# Some of the groups of a node, most important first, `all` last.
Groups = tuple[str, ...]

SCRIPTS = b"scripts"


@dataclass(frozen=True, slots=True)
class Finding:
    """One probable mistake. All texts are printable, and `message` ends with the remedy.

    `subject` distinguishes the findings of one rule. `path` is the file that the finding is about, `line` a line in it.
    """

    rule: str
    subject: str
    message: str
    path: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class ResolvedDestination:
    """The names in the masterdir that matter for one destination, on nodes with the same groups.

    `applying` are the sources that apply, most important first. `trigger` is the trigger that would run. `blocker` is a
    source that is not a directory, for a path above the destination: the destination is then not used.
    """

    applying: Sequence[Candidate]
    trigger: Candidate | None
    blocker: Candidate | None

    @property
    def used(self) -> Candidate | None:
        """The source that these nodes use."""
        return self.applying[0] if self.applying and self.blocker is None else None


@dataclass(frozen=True, slots=True)
class ExpectedMode:
    """A mode that a source asks for, the attributes that set it, and the groups of the nodes concerned."""

    mode: int
    attributes: Attributes | None
    groups: tuple[Groups, ...] = ()


@dataclass(frozen=True, slots=True)
class _NodeKind:
    """The nodes that agree in `groups`, the groups that the masterdir uses."""

    groups: Groups
    names: list[str]


@dataclass(frozen=True)
class LintContext:
    """A configuration and its repository. Ignored nodes count like all others."""

    config: Config
    repository: Repository
    _combinations: dict[frozenset[str], tuple[Groups, ...]] = field(default_factory=dict, init=False, repr=False)
    _folded: dict[tuple[str, ...], str] = field(default_factory=dict, init=False, repr=False)

    # Findings

    def finding(self, rule: str, subject: str, message: str, place: Place) -> Finding:
        """Return a finding about a line of a file."""
        return Finding(rule, subject, message, printable(os.fsencode(place.path)), place.line or None)

    def source_finding(self, rule: str, relative: bytes, message: str, *, subject: bytes | None = None) -> Finding:
        """Return a finding about a name below the masterdir. The name is the subject unless `subject` is set."""
        shown = printable(relative if subject is None else subject)
        return Finding(rule, shown, message, printable(os.fsencode(self.path_of(relative))))

    def path_of(self, relative: bytes) -> Path:
        """Return the absolute path of a name below the masterdir."""
        return self.config.masterdir / os.fsdecode(relative)

    # Nodes

    @cached_property
    def _kinds(self) -> list[_NodeKind]:
        names = self.repository.masterdir
        used = {"all", *self.repository.attributes.groups}
        for candidates in (*names.candidates.values(), *names.triggers.values()):
            used.update(*(candidate.named_groups for candidate in candidates))
        kinds: dict[Groups, _NodeKind] = {}
        for node in self.config.nodes.values():
            groups = _restricted(node.groups, used)
            kinds.setdefault(groups, _NodeKind(groups, [])).names.append(node.name)
        return list(kinds.values())

    @cached_property
    def _kinds_of_group(self) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = {}
        for number, kind in enumerate(self._kinds):
            for group in kind.groups[:-1]:  # the last one is `all`, which every node has
                numbers.setdefault(group, []).append(number)
        return numbers

    def combinations(self, groups: frozenset[str]) -> tuple[Groups, ...]:
        """Return every combination of these groups that some node has, each once and in the node's order.

        Every combination ends with `all`.
        """
        if groups not in self._combinations:
            touched = {number for group in groups for number in self._kinds_of_group.get(group, ())}
            combined = dict.fromkeys(_restricted(self._kinds[number].groups, groups) for number in sorted(touched))
            if len(touched) < len(self._kinds):
                combined.setdefault(("all",))
            self._combinations[groups] = tuple(combined)
        return self._combinations[groups]

    def nodes(self, groups: frozenset[str], wanted: Collection[Groups]) -> str:
        """Return the nodes that have one of the wanted combinations of these groups, as a node set."""
        kinds = [kind.names for kind in self._kinds if _restricted(kind.groups, groups) in wanted]
        names = tuple(name for each in kinds for name in each)
        if names not in self._folded:
            self._folded[names] = fold(names)
        return self._folded[names]

    # Sources

    def sources(self, *trees: Tree) -> Iterator[tuple[Candidate, Source]]:
        """Return the sources in some trees of the masterdir."""
        return (
            (candidate, source) for candidate, source in self.repository.masterdir.sources() if source.tree in trees
        )

    @cached_property
    def _blocking(self) -> dict[bytes, list[Candidate]]:
        """The sources of destinations that are not directories on every node."""
        candidates_of = self.repository.masterdir.candidates
        return {
            path: candidates
            for (tree, path), candidates in candidates_of.items()
            if tree is Tree.OVERLAY and not all(map(_is_directory, candidates))
        }

    def _above(self, key: Destination) -> list[list[Candidate]]:
        tree, path = key
        if tree is not Tree.OVERLAY:
            return []
        return [self._blocking[parent] for parent in parents(path) if parent in self._blocking]

    def groups_of(self, *keys: Destination) -> frozenset[str]:
        """Return the groups that decide which sources and triggers a node uses for some destinations."""
        names = self.repository.masterdir
        groups: set[str] = set()
        for key in keys:
            for candidates in (names.candidates.get(key, ()), names.triggers.get(key, ()), *self._above(key)):
                groups.update(*(candidate.named_groups for candidate in candidates))
        return frozenset(groups)

    def resolve(self, key: Destination, groups: Groups) -> ResolvedDestination:
        """Resolve a destination for nodes with these groups."""
        names = self.repository.masterdir
        tops = (by_importance(candidates, groups)[:1] for candidates in self._above(key))
        blocker = next((top[0] for top in tops if top and not _is_directory(top[0])), None)
        trigger = next(iter(by_importance(names.triggers.get(key, ()), groups)), None)
        return ResolvedDestination(by_importance(names.candidates.get(key, ()), groups), trigger, blocker)

    def nodes_with_both(self, first: Destination, second: Destination) -> str | None:
        """Return the nodes that use a source for both destinations, as a node set, or None if there are none."""
        groups = self.groups_of(first, second)
        both = [
            each
            for each in self.combinations(groups)
            if self.resolve(first, each).used is not None and self.resolve(second, each).used is not None
        ]
        return self.nodes(groups, both) if both else None

    def expected_modes(self, candidate: Candidate, source: Source) -> list[ExpectedMode]:
        """Return the modes that a source asks for on its nodes, lowest first.

        attributes.yaml can set different modes on different nodes.
        """
        if not self.repository.attributes.matching(source):
            return [ExpectedMode(source.state.mode, None)]
        modes: dict[int, ExpectedMode] = {}
        for each, attributes in self._attributes_by_groups(candidate, source):
            mode = Entry(source, None, attributes).with_attributes(source.state).mode
            known = modes.get(mode, ExpectedMode(mode, attributes))
            modes[mode] = ExpectedMode(mode, known.attributes, (*known.groups, *([] if each is None else [each])))
        return [modes[mode] for mode in sorted(modes)]

    def attributes_of(self, candidate: Candidate, source: Source) -> list[Attributes | None]:
        """Return the attributes that attributes.yaml gives to a source, which may differ on different nodes."""
        if not self.repository.attributes.matching(source):
            return [None]
        return list(dict.fromkeys(attributes for _, attributes in self._attributes_by_groups(candidate, source)))

    def _attributes_by_groups(
        self, candidate: Candidate, source: Source
    ) -> Iterator[tuple[Groups | None, Attributes | None]]:
        """Yield the attributes of a source on each kind of its nodes; once, with None, if it has no nodes."""
        groups = self.groups_for_modes(candidate, source)
        decide, applies = self.repository.attributes.decide, False
        for each in self.combinations(groups):
            if by_importance([candidate], each):
                applies = True
                yield each, decide(source, each)
        if not applies:
            yield None, decide(source, ("all",))

    def groups_for_modes(self, candidate: Candidate, source: Source) -> frozenset[str]:
        """Return the groups that decide where a source applies, and with which attributes."""
        rules = self.repository.attributes.matching(source)
        return candidate.named_groups.union(group for rule in rules for group in rule.groups)

    @cached_property
    def rendered(self) -> list[tuple[Source, list[str]]]:
        """The templates as rendered for all nodes that use them, with the names of these nodes."""
        is_called_so = self.repository.attributes.has_templates
        if not is_called_so and not any(source.is_template for _, source in self.sources(Tree.OVERLAY)):
            return []
        nodes: dict[Entry, list[str]] = {}
        for node in self.config.nodes.values():
            for entry in self.repository.entries(node):
                if entry.is_template:
                    nodes.setdefault(entry, []).append(node.name)
        return [(entry.source, names) for entry, names in nodes.items()]

    # Programs that root runs on the nodes

    @cached_property
    def scripts(self) -> list[bytes]:
        """The directory scripts/ and everything in it, as names below the masterdir, without ignored names.

        If scripts is a link, the list holds only the link, because its target can be anything.
        """
        top = os.fsencode(self.path_of(SCRIPTS))
        if not os.path.lexists(top):
            return []
        names, ignore = [SCRIPTS], self.config.ignore
        if self.path_of(SCRIPTS).is_symlink():
            return names
        for directory, directories, files in os.walk(top):
            directories[:] = sorted(name for name in directories if ignore.why((name,), True) is None)
            kept = [name for name in files if ignore.why((name,), False) is None]
            names += [SCRIPTS + directory[len(top) :] + b"/" + name for name in sorted([*directories, *kept])]
        return names

    @cached_property
    def triggers(self) -> list[bytes]:
        """All triggers, as names below the masterdir."""
        return [c.relative for candidates in self.repository.masterdir.triggers.values() for c in candidates]

    @cached_property
    def programs(self) -> list[bytes]:
        """All triggers, tasks and scripts, as names below the masterdir."""
        scripts = [name for name in self.scripts if not is_directory(self.path_of(name))]
        return [*self.triggers, *(c.relative for c, _ in self.sources(Tree.TASKS)), *scripts]


def is_directory(path: Path) -> bool:
    """Return True if a path is a directory and no link to one."""
    return os.path.isdir(path) and not path.is_symlink()


def _is_directory(candidate: Candidate) -> bool:
    return candidate.source is None or candidate.source.is_directory


def _restricted(groups: Sequence[str], wanted: Collection[str]) -> Groups:
    return (*(group for group in groups if group in wanted and group != "all"), "all")


def some(names: Sequence[str]) -> str:
    """Return up to three names, and the number of the others."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def first_of(names: Sequence[str]) -> str:
    """Return the first of one or more names, and the number of the others."""
    first, *others = names
    return f"{first} and {len(others)} more" if others else first
