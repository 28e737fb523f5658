"""The rules of an attributes.yaml, and the attributes that they give to an entry."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from pytest_synctool.common import acl
from pytest_synctool.common.accounts import group_id, user_id
from pytest_synctool.model import RIGHT_LABEL, FileState, Kind
from pytest_synctool.repository.patterns import is_pattern, regex
from pytest_synctool.repository.source import Source, Tree

FILE_NAME: Final = "attributes.yaml"
EXCLUSIVE: Final = ("exclusive", "allow", "although_vital")
ATTRIBUTES: Final = (
    "owner",
    "group",
    "mode",
    "validate",
    "sensitive",
    "follow",
    "template",
    "decrypt",
    "in_place",
    "capabilities",
    "acl",
    "selinux",
    *EXCLUSIVE,
)

_FOR_LINKS: Final = ("owner", "group", "sensitive")
_FOR_DIRECTORIES: Final = ("owner", "group", "mode", "sensitive", "follow", "acl", "selinux", *EXCLUSIVE)
_FOR_FILES: Final = (
    "owner",
    "group",
    "mode",
    "validate",
    "sensitive",
    "template",
    "decrypt",
    "in_place",
    "capabilities",
    "acl",
    "selinux",
)
_FOR_OTHERS: Final = ("owner", "group", "mode", "sensitive")
LARGEST_ID: Final = 2**32 - 2  # the next number is -1 for chown, which means "leave it"


class _Exactness(IntEnum):
    """Ways in which a rule names a source, the most exact one first."""

    SOURCE = 0
    PATH = 1
    PATTERN = 2


class _Match(NamedTuple):
    """A rule that matches a source, by its position in the file."""

    exactness: _Exactness
    position: int


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes that the rules give to one entry on one node. None means that no rule has the attribute.

    `follow` is for a directory: True accepts a symbolic link to a directory instead, False replaces it. `template` and
    `decrypt` are for a file: it is rendered, and a command prints what nodes get. With `in_place` a repair writes the
    file through. `capabilities` is for a file, `acl` also for a directory; both are in their canonical forms. `selinux`
    is `restore` or None, for either. `exclusive` is for a directory: `yes` or `tree` if it may have nothing else in it,
    but for names that match the patterns `allow`; `although_vital` says so once more for a directory that a node needs.
    `origins` has a text for each attribute, with the rule that decided it: `mode 0440 by attributes.yaml:12`.
    """

    owner: str | None = None
    group: str | None = None
    mode: int | None = None
    validate: str | None = None
    sensitive: bool = False
    follow: bool | None = None
    template: bool = False
    decrypt: str | None = None
    in_place: bool | None = None
    capabilities: str | None = None
    acl: str | None = None
    selinux: str | None = None
    exclusive: str | None = None
    allow: tuple[str, ...] = ()
    although_vital: bool = False
    origins: tuple[str, ...] = ()

    def applied(self, state: FileState) -> FileState:
        """Return a state with the owner, group and mode of the rules. The mode of a symbolic link stays.

        If this machine does not know an owner or group, its number is -1.
        """
        if self.owner is not None:
            uid, owner = _account(self.owner, user_id)
            state = replace(state, uid=uid, owner=owner)
        if self.group is not None:
            gid, group = _account(self.group, group_id)
            state = replace(state, gid=gid, group=group)
        if self.mode is not None and state.kind is not Kind.LINK:
            state = replace(state, mode=self.mode)
        if self.capabilities is not None and state.kind is Kind.FILE:
            state = replace(state, capabilities=self.capabilities)
        if self.acl is not None and state.kind in (Kind.FILE, Kind.DIRECTORY):
            text = acl.of_mode(self.acl, state.mode, is_directory=state.kind is Kind.DIRECTORY)
            state = replace(state, acl=text)
        if self.selinux is not None and state.kind in (Kind.FILE, Kind.DIRECTORY):
            state = replace(state, label=RIGHT_LABEL)
        return state


def _account(word: str, number_of: Callable[[str], int | None]) -> tuple[int, str | None]:
    """Return the number and the name of an owner or group that a rule gives as either of them.

    A number is only a number: the account that has it here may have another one on a node.
    """
    if is_number(word):
        return int(word), None
    number = number_of(word)
    return -1 if number is None else number, word


def is_number(word: str) -> bool:
    """Return True if a rule gives an owner or group by number."""
    return re.fullmatch("[0-9]+", word) is not None


def is_account(word: str) -> bool:
    """Return True if a word is a possible name or number of a user or group."""
    if is_number(word):
        return len(word) <= len(str(LARGEST_ID)) and int(word) <= LARGEST_ID
    return word.isprintable() and ":" not in word and not word.startswith("-") and word == word.strip() != ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it is in the file: its line, its names (all paths or all sources), groups and attributes."""

    line: int
    names: tuple[str, ...]
    groups: tuple[str, ...] = ()
    owner: str | None = None
    group: str | None = None
    mode: int | None = None
    validate: str | None = None
    sensitive: bool | None = None
    follow: bool | None = None
    template: bool | None = None
    decrypt: str | None = None
    in_place: bool | None = None
    capabilities: str | None = None
    acl: str | None = None
    selinux: str | None = None
    exclusive: str | None = None
    allow: tuple[str, ...] | None = None
    although_vital: bool | None = None

    def importance(self, ranks: dict[str, int]) -> int | None:
        """Return the rank of the rule's most important group, or None if it is not for the node. `ranks` has `all`."""
        if not self.groups:
            return ranks["all"]
        return min((ranks[group] for group in self.groups if group in ranks), default=None)


@dataclass(frozen=True)
class AttributeRules:
    """The rules of the file `path`, in their order."""

    rules: tuple[Rule, ...]
    path: Path
    _exact: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _patterns: list[tuple[int, bool, re.Pattern[str]]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )
    _matched: dict[tuple[bytes, bytes], tuple[_Match, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for position, rule in enumerate(self.rules):
            for name in rule.names:
                if not is_pattern(name):
                    self._exact.setdefault(name, []).append(position)
            if patterns := [regex(name) for name in rule.names if is_pattern(name)]:
                self._patterns.append((position, not rule.names[0].startswith("/"), re.compile("|".join(patterns))))

    @cached_property
    def groups(self) -> frozenset[str]:
        """All groups that rules name."""
        return frozenset(group for rule in self.rules for group in rule.groups)

    @property
    def has_templates(self) -> bool:
        """True if a rule makes templates."""
        return any(rule.template for rule in self.rules)

    @cached_property
    def has_exclusive(self) -> bool:
        """True if a rule makes directories exclusive."""
        return any(rule.exclusive is not None for rule in self.rules)

    def decide(self, source: Source, groups: Sequence[str]) -> Attributes | None:
        """Return the attributes of a source on a node with these groups, or None if no rule gives any.

        `groups` has the most important group first. Groups that no rule names may be missing.
        """
        if not (matched := self._match(source)):
            return None
        ranks = {group: place for place, group in enumerate(groups)}
        ranks.setdefault("all", len(groups))
        applying: list[tuple[tuple[int, int, int], Rule]] = []
        for exactness, position in matched:
            rule = self.rules[position]
            if (importance := rule.importance(ranks)) is not None:
                applying.append(((exactness, importance, -position), rule))
        applying.sort(key=lambda pair: pair[0])
        values: dict[str, Any] = {}
        origins = []
        for attribute in _meaningful(source.state.kind):
            winner = next((rule for _, rule in applying if getattr(rule, attribute) is not None), None)
            if winner is not None:
                values[attribute] = getattr(winner, attribute)
                shown = format_value(attribute, values[attribute])
                origins.append(f"{attribute} {shown} by {self.path.name}:{winner.line}")
        return Attributes(**values, origins=tuple(origins)) if values else None

    def matching(self, source: Source) -> tuple[Rule, ...]:
        """Return the rules that match a source of overlay/ on any nodes, in the order of the file."""
        return tuple(self.rules[position] for position in sorted(position for _, position in self._match(source)))

    def hides(self, path: bytes) -> bool:
        """Return True if a rule for any nodes that names this path forbids to show the contents there."""
        source = Source(Tree.OVERLAY, b"", b"", path, FileState(Kind.FILE, 0, 0, 0, 0))
        return any(rule.sensitive or rule.decrypt is not None for rule in self.matching(source))

    def _match(self, source: Source) -> tuple[_Match, ...]:
        if source.tree is not Tree.OVERLAY or not self.rules:
            return ()
        key = (source.relative, source.destination)
        matches = self._matched.get(key)
        if matches is None:
            relative, path = os.fsdecode(source.relative), os.fsdecode(source.destination)
            below = "/" + relative
            best = {
                p: _Exactness.PATTERN
                for p, of_source, regex in self._patterns
                if regex.fullmatch(below if of_source else path)
            }
            best.update(dict.fromkeys(self._exact.get(path, ()), _Exactness.PATH))
            best.update(dict.fromkeys(self._exact.get(relative, ()), _Exactness.SOURCE))
            matches = self._matched[key] = tuple(_Match(exactness, position) for position, exactness in best.items())
        return matches


NO_RULES: Final = AttributeRules((), Path(FILE_NAME))


def _meaningful(kind: Kind) -> tuple[str, ...]:
    kinds = {Kind.FILE: _FOR_FILES, Kind.LINK: _FOR_LINKS, Kind.DIRECTORY: _FOR_DIRECTORIES}
    return kinds.get(kind, _FOR_OTHERS)


def format_value(attribute: str, value: object) -> str:
    """Return the value of an attribute as text for a file of rules."""
    if attribute == "mode":
        return f"{value:04o}"
    if isinstance(value, tuple):
        return ", ".join(value)
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
