"""Stale waivers: those whose drift is gone, as the results of a whole run show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.wording import printable_text
from pytest_synctool.model import Node
from pytest_synctool.report.nodeids import encode
from pytest_synctool.report.record import EntryName, NodeRecord, StaleWaiver
from pytest_synctool.repository.entry import EntryList
from pytest_synctool.repository.exclusive import can_match
from pytest_synctool.repository.source import Tree
from pytest_synctool.repository.waivers.rules import InForce, Waiver

# The checks that find drift of any kind. One of the site may find another, so it must not be left out either.
_KINDS: Final = ("overlay", "delete", "exclusive")


def stale(
    in_force: InForce,
    nodes: Iterable[Node],
    entries_of: Callable[[Node], EntryList],
    records: Mapping[str, NodeRecord],
) -> list[StaleWaiver]:
    """Return the waivers that have not expired and waive no drift any more, in the order of the file.

    `nodes` are all nodes that waivers may name, `records` the results of a run on some of them. A waiver that covers an
    entry that the run did not look at, or that is unknown, is never stale. Nor is it if a test of the entry was
    left out.
    """
    coverage = _Coverage(in_force, entries_of, records)
    all_nodes = list(nodes)
    return [
        StaleWaiver(waiver.place, tuple(names), _message(waiver, names))
        for waiver in in_force.waivers.waivers
        if not in_force.expired(waiver) and (names := coverage.useless_on(waiver, all_nodes))
    ]


def _message(waiver: Waiver, nodes: Sequence[str]) -> str:
    paths = ", ".join(waiver.paths)
    differs = "differs" if len(waiver.paths) == 1 else "differ"
    on = f"on {nodes[0]}" if len(nodes) == 1 else f"on any of {fold(nodes)}"
    return printable_text(f"{paths} no longer {differs} {on}: remove this waiver ({waiver.reason})")


class _Coverage:
    """The entries that waivers cover. Nodes share lists of entries and of tests; a waiver visits each list once."""

    def __init__(
        self,
        in_force: InForce,
        entries_of: Callable[[Node], EntryList],
        records: Mapping[str, NodeRecord],
    ) -> None:
        self._in_force = in_force
        self._entries_of = entries_of
        self._records = records
        self._covered: dict[tuple[int, EntryList], frozenset[str]] = {}
        self._positions: dict[tuple[SharedList[EntryName], frozenset[str]], frozenset[int] | None] = {}

    def useless_on(self, waiver: Waiver, nodes: Sequence[Node]) -> list[str]:
        """Return the nodes that a waiver covers; none if it waives drift on one of them, or might."""
        covered = []
        for node in nodes:
            if not waiver.holds_for(node) or not (names := self._names(waiver, self._entries_of(node))):
                continue
            record = self._records.get(node.name)
            if record is None or record.error is not None or not names.isdisjoint(record.left_out):
                return []
            tests = self._tests(record.entries, names)
            if tests is None or any(position in tests for position, _ in record.results):
                return []
            covered.append(node.name)
        return covered

    def _names(self, waiver: Waiver, entries: EntryList) -> frozenset[str]:
        """Return the names of the tests of those entries that a waiver covers."""
        key = (waiver.line, entries)
        if key not in self._covered:
            matching = self._in_force.waivers.matching
            covered = {
                encode(entry.destination)
                for entry in entries
                if entry.tree is not Tree.TASKS and waiver in matching(entry.destination)
            }
            for contents in entries.exclusive:
                if any(can_match(path, contents) for path in waiver.paths):
                    covered.add(encode(contents.destination))
            self._covered[key] = frozenset(covered)
        return self._covered[key]

    def _tests(self, entries: SharedList[EntryName], names: frozenset[str]) -> frozenset[int] | None:
        """Return the positions of the tests with these names; None if the suite's check did not run for all."""
        key = (entries, names)
        if key not in self._positions:
            names_by_position = {
                position: entry.name
                for position, entry in enumerate(entries)
                if entry.name in names and not entry.is_command
            }
            compared = {entry.name for entry in entries if entry.kind in _KINDS}
            self._positions[key] = frozenset(names_by_position) if names <= compared else None
        return self._positions[key]
