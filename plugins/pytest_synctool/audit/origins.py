"""The masterdir's version of a path for each node, among the versions that nodes have. It reads only sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_synctool.audit.compare import compare, compare_absent
from pytest_synctool.audit.versions import Version
from pytest_synctool.common.nodenames import fold
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import Actual, FileState, Kind, Unknown
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Tree


@dataclass(frozen=True)
class Origins:
    """Words behind each version that name the source with this version, and lines about nodes that differ from it."""

    marks: tuple[str, ...]
    remarks: tuple[str, ...]


def origins(distinct: Sequence[Version], entries: Mapping[str, Entry]) -> Origins:
    """Compare each version with the entries of its nodes. `entries` has those of overlay/ and delete/ by node.

    ACLs, capabilities and SELinux labels are not compared.
    """
    comparison = _SourceComparison()
    marks = []
    for version in distinct:
        same: dict[str, list[str]] = {}
        for node in version.nodes:
            if node in entries and comparison.is_same(node, entries[node], version.state):
                same.setdefault(entries[node].source.shown, []).append(node)
        marks.append("".join(_mark(version, name, nodes) for name, nodes in same.items()))
    return Origins(tuple(marks), tuple(comparison.remarks()))


def _mark(version: Version, source: str, nodes: Sequence[str]) -> str:
    which = "" if len(nodes) == len(version.nodes) else f"{fold(nodes)} "
    return f", {which}as in {source}"


@dataclass
class _SourceComparison:
    """Versions compared with entries: the nodes that differ from a source, and what cannot be compared with it."""

    different: dict[str, list[str]] = field(default_factory=dict)
    errors: dict[tuple[str, str], None] = field(default_factory=dict)
    _same: dict[tuple[Entry, int], bool | None] = field(default_factory=dict)

    def is_same(self, node: str, entry: Entry, actual: Actual) -> bool:
        """Return True if a node is known to have the version of its entry."""
        key = (entry, id(actual))
        if key not in self._same:
            self._same[key] = self._compared(entry, actual)
        same = self._same[key]
        if same is False:
            self.different.setdefault(entry.source.shown, []).append(node)
        return same is True

    def _compared(self, entry: Entry, actual: Actual) -> bool | None:
        """Return None if nobody can tell."""
        if isinstance(actual, Unknown):
            return None
        if entry.tree is Tree.DELETE:
            return not compare_absent(actual)
        if entry.follow and isinstance(actual, FileState) and actual.kind is Kind.LINK:
            return None  # what it leads to was not looked at
        try:
            expected = replace(entry.expected, capabilities=None, acl=None, label=None)
        except RepositoryError as error:
            self.errors[entry.source.shown, str(error)] = None
            return None
        return not compare(expected, actual)

    def remarks(self) -> Iterator[str]:
        """Yield the lines about nodes that differ, and about sources that cannot be read."""
        yield from (f"not as in {source}: {fold(nodes)}" for source, nodes in self.different.items())
        yield from (f"not compared with {source}: {error}" for source, error in self.errors)
