"""The rules of an attributes.yaml, and what they decide for an entry."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pytest_synctool.common.accounts import group_id, group_name, owner_name, user_id
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository.patterns import is_pattern, regex
from pytest_synctool.repository.source import Source, Tree

FILE_NAME: Final = "attributes.yaml"
ATTRIBUTES: Final = ("owner", "group", "mode", "validate", "sensitive", "follow")

_FOR_LINKS: Final = ("owner", "group", "sensitive")
_FOR_DIRECTORIES: Final = ("owner", "group", "mode", "sensitive", "follow")
_FOR_FILES: Final = ("owner", "group", "mode", "validate", "sensitive")
_FOR_OTHERS: Final = ("owner", "group", "mode", "sensitive")
_BY_SOURCE, _BY_PATH, _BY_PATTERN = range(3)
LARGEST_ID: Final = 2**32 - 2  # one more is -1, which chown takes as "leave it"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the rules say of one entry on one node; None where they say nothing.

    `follow` is about a directory: whether a symbolic link to one does as well, or gives way to it.

    `origins` names for each decided attribute the rule that decided it: `mode 0440 by attributes.yaml:12`.
    """

    owner: str | None = None
    group: str | None = None
    mode: int | None = None
    validate: str | None = None
    sensitive: bool = False
    follow: bool | None = None
    origins: tuple[str, ...] = ()

    def applied(self, state: FileState) -> FileState:
        """The state with owner, group and mode of the rules; the mode of a link stays.

        An owner or group that this machine does not know has the number -1.
        """
        if self.owner is not None:
            uid, owner = _account(self.owner, user_id, owner_name)
            state = replace(state, uid=uid, owner=owner)
        if self.group is not None:
            gid, group = _account(self.group, group_id, group_name)
            state = replace(state, gid=gid, group=group)
        if self.mode is not None and state.kind is not Kind.LINK:
            state = replace(state, mode=self.mode)
        return state


def _account(
    word: str, number_of: Callable[[str], int | None], name_of: Callable[[int], str | None]
) -> tuple[int, str | None]:
    if is_number(word):
        return int(word), name_of(int(word))
    number = number_of(word)
    return -1 if number is None else number, word


def is_number(word: str) -> bool:
    """Whether an owner or group is given by number."""
    return re.fullmatch("[0-9]+", word) is not None


def is_account(word: str) -> bool:
    """Whether a user or group can be called so, or have this number."""
    if is_number(word):
        return len(word) <= len(str(LARGEST_ID)) and int(word) <= LARGEST_ID
    return word.isprintable() and ":" not in word and not word.startswith("-") and word == word.strip() != ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its line in the file, and as written its names (all paths or all sources), groups and attributes."""

    line: int
    names: tuple[str, ...]
    groups: tuple[str, ...] = ()
    owner: str | None = None
    group: str | None = None
    mode: int | None = None
    validate: str | None = None
    sensitive: bool | None = None
    follow: bool | None = None

    def importance(self, ranks: dict[str, int]) -> int | None:
        """The place of its most important group (`ranks` has `all`); None where it does not hold."""
        if not self.groups:
            return ranks["all"]
        return min((ranks[group] for group in self.groups if group in ranks), default=None)


@dataclass(frozen=True)
class AttributeRules:
    """The rules of a file, in their order; `path` is the file."""

    rules: tuple[Rule, ...]
    path: Path
    _exact: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _patterns: list[tuple[int, bool, re.Pattern[str]]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )
    _matched: dict[tuple[bytes, bytes], tuple[tuple[int, int], ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for position, rule in enumerate(self.rules):
            for name in rule.names:
                if not is_pattern(name):
                    self._exact.setdefault(name, []).append(position)
            if patterns := [regex(name) for name in rule.names if is_pattern(name)]:
                self._patterns.append((position, not rule.names[0].startswith("/"), re.compile("|".join(patterns))))

    @property
    def groups(self) -> frozenset[str]:
        """Every group that a rule names."""
        return frozenset(group for rule in self.rules for group in rule.groups)

    def decide(self, source: Source, groups: Sequence[str]) -> Attributes | None:
        """What the rules say of a source on a node with these groups, the most important first.

        None where no rule says anything. The groups may be those only that the rules name.
        """
        if not (matched := self._match(source)):
            return None
        ranks = {group: place for place, group in enumerate(groups)}
        ranks.setdefault("all", len(groups))
        held: list[tuple[tuple[int, int, int], Rule]] = []
        for exactness, position in matched:
            rule = self.rules[position]
            if (importance := rule.importance(ranks)) is not None:
                held.append(((exactness, importance, -position), rule))
        held.sort(key=lambda pair: pair[0])
        values: dict[str, Any] = {}
        origins = []
        for attribute in _meaningful(source.state.kind):
            winner = next((rule for _, rule in held if getattr(rule, attribute) is not None), None)
            if winner is not None:
                values[attribute] = getattr(winner, attribute)
                shown = format_value(attribute, values[attribute])
                origins.append(f"{attribute} {shown} by {self.path.name}:{winner.line}")
        return Attributes(**values, origins=tuple(origins)) if values else None

    def matching(self, source: Source) -> tuple[Rule, ...]:
        """The rules whose names match a source of overlay/, whatever their groups, in the order of the file."""
        return tuple(self.rules[position] for position in sorted(position for _, position in self._match(source)))

    def _match(self, source: Source) -> tuple[tuple[int, int], ...]:
        """How exactly which rules match, as (one of the _BY constants, place of the rule)."""
        if source.tree is not Tree.OVERLAY:
            return ()
        key = (source.relative, source.destination)
        found = self._matched.get(key)
        if found is None:
            relative, path = os.fsdecode(source.relative), os.fsdecode(source.destination)
            below = "/" + relative
            best = {
                p: _BY_PATTERN
                for p, of_source, regex in self._patterns
                if regex.fullmatch(below if of_source else path)
            }
            best.update(dict.fromkeys(self._exact.get(path, ()), _BY_PATH))
            best.update(dict.fromkeys(self._exact.get(relative, ()), _BY_SOURCE))
            found = self._matched[key] = tuple((exactness, position) for position, exactness in best.items())
        return found


NO_RULES: Final = AttributeRules((), Path(FILE_NAME))


def _meaningful(kind: Kind) -> tuple[str, ...]:
    kinds = {Kind.FILE: _FOR_FILES, Kind.LINK: _FOR_LINKS, Kind.DIRECTORY: _FOR_DIRECTORIES}
    return kinds.get(kind, _FOR_OTHERS)


def format_value(attribute: str, value: object) -> str:
    """The value of an attribute as a file would have it."""
    if attribute == "mode":
        return f"{value:04o}"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
