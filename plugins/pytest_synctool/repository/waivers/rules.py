"""Waivers, and what they make of drift."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Final

from pytest_synctool.common.wording import printable_text
from pytest_synctool.model import Node, Outcome, Status
from pytest_synctool.repository.patterns import is_pattern, regex

FILE_NAME: Final = "waivers.yaml"


@dataclass(frozen=True, slots=True)
class Waiver:
    """A rule of the file: its line, destinations or patterns of them, nodes and groups, reason and last day."""

    line: int
    paths: tuple[str, ...]
    nodes: frozenset[str]
    groups: frozenset[str]
    reason: str
    expires: date

    def holds_for(self, node: Node) -> bool:
        """Whether it is about a node, whatever the day."""
        return node.name in self.nodes or not self.groups.isdisjoint(node.groups)

    @property
    def place(self) -> str:
        """`waivers.yaml:12`."""
        return f"{FILE_NAME}:{self.line}"


@dataclass(frozen=True)
class Waivers:
    """The waivers of a file, in its order; `path` is the file."""

    waivers: tuple[Waiver, ...]
    path: Path
    _regexes: list[re.Pattern[str]] = field(default_factory=list, init=False, repr=False, compare=False)
    _matched: dict[bytes, tuple[Waiver, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for waiver in self.waivers:
            texts = (regex(path) if is_pattern(path) else re.escape(path) for path in waiver.paths)
            self._regexes.append(re.compile("|".join(texts)))

    def matching(self, destination: bytes) -> tuple[Waiver, ...]:
        """Those that are about a destination, on whatever nodes."""
        if destination not in self._matched:
            path = os.fsdecode(destination)
            pairs = zip(self.waivers, self._regexes, strict=True)
            self._matched[destination] = tuple(waiver for waiver, regex in pairs if regex.fullmatch(path))
        return self._matched[destination]


NO_WAIVERS: Final = Waivers((), Path(FILE_NAME))


@dataclass(frozen=True, slots=True)
class InForce:
    """Waivers as they stand on a day."""

    waivers: Waivers
    today: date

    def expired(self, waiver: Waiver) -> bool:
        """Whether its last day is over."""
        return self.today > waiver.expires

    def waiver(self, node: Node, destination: bytes) -> Waiver | None:
        """The one that accepts drift of an entry of a node, if there is one."""
        return next((waiver for waiver in self._of(node, destination) if not self.expired(waiver)), None)

    def _of(self, node: Node, destination: bytes) -> Iterator[Waiver]:
        return (waiver for waiver in self.waivers.matching(destination) if waiver.holds_for(node))

    def applied(self, node: Node, destination: bytes, outcome: Outcome) -> Outcome:
        """The outcome of an entry: drift that a waiver accepts, or did until it has expired, says so."""
        if outcome.status is not Status.DRIFT or not self.waivers.matching(destination):
            return outcome
        if (waiver := self.waiver(node, destination)) is not None:
            told = f"{printable_text(waiver.reason)}, until {waiver.expires}, {waiver.place}"
            details = (*outcome.details, f"waived: {told}")
            return replace(outcome, status=Status.WAIVED, waiver=told, details=details)
        if (waiver := next(self._of(node, destination), None)) is not None:
            told = f"expired on {waiver.expires}: {printable_text(waiver.reason)}, {waiver.place}"
            return replace(outcome, waiver=told, details=(*outcome.details, f"waiver {told}"))
        return outcome


NOTHING_WAIVED: Final = InForce(NO_WAIVERS, date.max)
