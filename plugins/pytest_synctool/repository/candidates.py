"""The names of a walked masterdir: the sources and triggers of each destination, and what was left out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from pytest_synctool.repository.digests import Digests
from pytest_synctool.repository.source import TEMPLATE, Destination, Source, by_component

_SEPARATOR: Final = b"._"
TRIGGER: Final = b".post"


class Candidate(NamedTuple):
    """A source or trigger with the group of each component of its path, which is None for one without an extension.

    It is a tuple because a masterdir has many, and a tuple is made faster than a dataclass.
    """

    groups: tuple[str | None, ...]
    relative: bytes
    source: Source | None  # None for a trigger

    @property
    def named_groups(self) -> frozenset[str]:
        """The groups in the extensions of the path."""
        return _named(self.groups)

    def rank(self, ranks: Mapping[str, int], lowest: int) -> tuple[tuple[int, ...], bytes] | None:
        """Return a sort key, the smallest for the most important candidate, or None if the candidate does not apply.

        `ranks` has the position of each group of a node. `lowest` is that of a component without an extension.
        """
        positions = []
        for group in self.groups:
            position = lowest if group is None else ranks.get(group)
            if position is None:
                return None
            positions.append(position)
        return tuple(positions), by_component(self.relative)


@lru_cache(maxsize=1024)
def _named(groups: tuple[str | None, ...]) -> frozenset[str]:
    return frozenset(group for group in groups if group is not None)


class Reason(Enum):
    """Reasons for which the walk leaves a name out."""

    NO_EXTENSION = "no group extension"
    EMPTY_EXTENSION = "empty group extension"
    UNKNOWN_GROUP = "unknown group"
    SPECIAL_FILE = "special file"
    LITTER = "litter"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A name that the walk left out. `destination` is the path that it would define.

    `cause` is the reason in words, without a verb: `unknown group 'bacth'`, or the rule by which a name is ignored.
    """

    relative: bytes
    destination: bytes
    reason: Reason
    cause: str

    @property
    def text(self) -> str:
        """The reason with its verb: `ignored by RULE`, or `skipped, CAUSE`."""
        return f"ignored by {self.cause}" if self.reason is Reason.IGNORED else f"skipped, {self.cause}"


@dataclass
class Masterdir:
    """A walked masterdir: the candidates and the triggers of each destination, and the names that were left out.

    `purged` are the directories of purge/ that make their destinations exclusive, below the masterdir.
    """

    path: Path
    digests: Digests = field(default_factory=Digests)
    candidates: dict[Destination, list[Candidate]] = field(default_factory=dict)
    triggers: dict[Destination, list[Candidate]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    purged: set[bytes] = field(default_factory=set)

    def sources(self) -> Iterator[tuple[Candidate, Source]]:
        """Yield all sources with their candidates, destination by destination."""
        for candidates in self.candidates.values():
            for candidate in candidates:
                if candidate.source is not None:
                    yield candidate, candidate.source


def split_extension(name: bytes) -> tuple[bytes, str | None]:
    """Split `fstab._node5` into its name and its group, which is None if there is no extension."""
    base, separator, group = name.rpartition(_SEPARATOR)
    return (base, _decoded(group)) if separator else (name, None)


@lru_cache(maxsize=1024)  # many names have the same few extensions, and keep one text
def _decoded(group: bytes) -> str:
    return os.fsdecode(group)


def split_template(name: bytes) -> tuple[bytes, str | None, bool]:
    """Split `ntp.conf._template._batch` into `ntp.conf` and `batch`; any other name as split_extension() does.

    The last value is True for a template.
    """
    base, group = (name, None) if name.endswith(TEMPLATE) else split_extension(name)
    stem = base.removesuffix(TEMPLATE)
    return (stem, group, True) if stem != base else (base, group, False)
