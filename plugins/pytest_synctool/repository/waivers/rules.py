"""Waivers, and the outcomes of entries that they cover."""

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
    """A rule of the file: its line, destinations or patterns of destinations, nodes and groups, reason and last day."""

    line: int
    paths: tuple[str, ...]
    nodes: frozenset[str]
    groups: frozenset[str]
    reason: str
    expires: date

    def holds_for(self, node: Node) -> bool:
        """Return True if the waiver is for a node, expired or not."""
        return node.name in self.nodes or not self.groups.isdisjoint(node.groups)

    @property
    def place(self) -> str:
        """The file and line of the waiver: `waivers.yaml:12`."""
        return f"{FILE_NAME}:{self.line}"


@dataclass(frozen=True)
class Waivers:
    """The waivers of the file `path`, in their order."""

    waivers: tuple[Waiver, ...]
    path: Path
    _regexes: list[re.Pattern[str]] = field(default_factory=list, init=False, repr=False, compare=False)
    _matched: dict[bytes, tuple[Waiver, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for waiver in self.waivers:
            texts = (regex(path) if is_pattern(path) else re.escape(path) for path in waiver.paths)
            self._regexes.append(re.compile("|".join(texts)))

    def matching(self, destination: bytes) -> tuple[Waiver, ...]:
        """Return the waivers for a destination, on any nodes."""
        if not self.waivers:
            return ()
        if destination not in self._matched:
            self._matched[destination] = self.matching_any(destination)
        return self._matched[destination]

    def matching_any(self, path: bytes) -> tuple[Waiver, ...]:
        """Return the waivers for a path that need not be a destination, on any nodes, without keeping them."""
        text = os.fsdecode(path)
        pairs = zip(self.waivers, self._regexes, strict=True)
        return tuple(waiver for waiver, regex in pairs if regex.fullmatch(text))


NO_WAIVERS: Final = Waivers((), Path(FILE_NAME))


@dataclass(frozen=True, slots=True)
class InForce:
    """Waivers on a day, which decides whether they have expired."""

    waivers: Waivers
    today: date

    def __bool__(self) -> bool:
        """Return False if there are no waivers, expired or not."""
        return bool(self.waivers.waivers)

    def expired(self, waiver: Waiver) -> bool:
        """Return True if the last day of a waiver is over."""
        return self.today > waiver.expires

    def waiver(self, node: Node, destination: bytes) -> Waiver | None:
        """Return the waiver that accepts drift of an entry of a node, or None."""
        return next((waiver for waiver in self._of(node, destination) if not self.expired(waiver)), None)

    def waives_rogue(self, node: Node, path: bytes) -> bool:
        """Return True if a waiver accepts a path of a node that is in no entry."""
        waivers = self.waivers.matching_any(path) if self.waivers.waivers else ()
        return any(waiver.holds_for(node) and not self.expired(waiver) for waiver in waivers)

    def _of(self, node: Node, destination: bytes) -> Iterator[Waiver]:
        return (waiver for waiver in self.waivers.matching(destination) if waiver.holds_for(node))

    def applied(self, node: Node, destination: bytes, outcome: Outcome) -> Outcome:
        """Return the outcome of an entry with the waiver that accepts its drift, or accepted it until it expired."""
        if outcome.status is not Status.DRIFT or not self.waivers.matching(destination):
            return outcome
        if (waiver := self.waiver(node, destination)) is not None:
            text = f"{printable_text(waiver.reason)}, until {waiver.expires}, {waiver.place}"
            details = (*outcome.details, f"waived: {text}")
            return replace(outcome, status=Status.WAIVED, waiver=text, details=details)
        if (waiver := next(self._of(node, destination), None)) is not None:
            text = f"expired on {waiver.expires}: {printable_text(waiver.reason)}, {waiver.place}"
            return replace(outcome, waiver=text, details=(*outcome.details, f"waiver {text}"))
        return outcome


NOTHING_WAIVED: Final = InForce(NO_WAIVERS, date.max)
