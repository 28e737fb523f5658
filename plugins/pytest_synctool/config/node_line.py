"""The configuration of a node: one line of it, or several if commands of include_nodes print the node too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pytest_synctool.config.model import Place


@dataclass(frozen=True, slots=True)
class NodeLine:
    """The groups and specifiers of a node. `places` are its lines, without repetition; each group has its line too."""

    places: tuple[Place, ...]
    groups: Mapping[str, Place]
    specifiers: Mapping[str, str]

    @property
    def place(self) -> Place:
        """The first line."""
        return self.places[0]

    def joined(self, later: NodeLine) -> Joined:
        """Return the node with the groups of both, the own ones first, and what does not go together.

        Two lines of a file that no command prints do not go together.
        """
        here = later.place
        if not here.printed and (own := [place for place in self.places if not place.printed]):
            return Joined(self, [f"is defined twice, first {own[0].seen_from(here)}"], None)
        problems = [
            f"has {key}:{value} here and {key}:{self.specifiers[key]} {self.place.seen_from(here)}"
            for key, value in later.specifiers.items()
            if self.specifiers.get(key, value) != value
        ]
        is_new = all((place.path, place.line) != (here.path, here.line) for place in self.places)
        places = (*self.places, here) if is_new else self.places
        groups = {**self.groups, **{name: here for name in later.groups if name not in self.groups}}
        joined = NodeLine(places, groups, {**later.specifiers, **self.specifiers})
        return Joined(joined, problems, self._needless(later, joined))

    def _needless(self, later: NodeLine, joined: NodeLine) -> Place | None:
        """Return the one of two lines that is in a file, if the node were the same without it."""
        if not later.place.printed:
            own, other = later, self
        elif not self.place.printed and len(self.places) == 1:
            own, other = self, later
        else:
            return None
        same = list(other.groups) == list(joined.groups) and other.specifiers.items() >= own.specifiers.items()
        return own.place if same else None


class Joined(NamedTuple):
    """A node, and the reasons why its lines do not go together. `needless` is a line of a file that adds nothing."""

    line: NodeLine
    problems: list[str]
    needless: Place | None
