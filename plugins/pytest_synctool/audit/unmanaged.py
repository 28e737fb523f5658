"""Files that differ from what packages installed and are in no entry, folded over nodes. No input or output."""

from __future__ import annotations

import os
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.audit.packages import Packages
from pytest_synctool.audit.probe_script import Request
from pytest_synctool.audit.versions import identity
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.model import (
    ABSENT,
    Actual,
    Deviation,
    FileState,
    Kind,
    Unmanaged,
    UnmanagedFiles,
    UnmanagedVersion,
)

_LARGEST_UNOWNED: Final = 1 << 20  # bytes; of larger ones only the size makes a version
# Lines about one directory; more become one. Links are made in great numbers when packages are installed.
_MOST_LINKS: Final = 10
_MOST_OTHERS: Final = 100


def requests(packages: Packages, managed: Collection[bytes]) -> list[Request]:
    """Return what a probe has to look at: all that may differ and is not at a `managed` path."""
    paths = (packages.unowned | packages.changed | packages.digests.keys()).difference(managed)
    return [Request(path, _size_to_read(packages, path)) for path in sorted(paths)]


def _size_to_read(packages: Packages, path: bytes) -> int | None:
    size = packages.files.get(path)
    return None if size is None or (path in packages.unowned and size > _LARGEST_UNOWNED) else size


def judge(packages: Packages, states: Mapping[bytes, Actual]) -> dict[bytes, Unmanaged]:
    """Return what is to be reported of a node, by path."""
    report = {}
    for path, state in states.items():
        if path in packages.unowned:
            if state is not ABSENT:
                report[path] = Unmanaged(Deviation.UNOWNED, state)
        elif state is ABSENT:
            report[path] = Unmanaged(Deviation.MISSING, state)
        elif path not in packages.files:  # on another file system
            continue
        elif path in packages.changed or not (isinstance(state, FileState) and state.md5 == packages.digests[path]):
            report[path] = Unmanaged(Deviation.CHANGED, state)
    return report


@dataclass(frozen=True, slots=True)
class UnmanagedLine:
    """A text about one or more files, the same on these nodes."""

    nodes: tuple[str, ...]
    text: str
    files: int = 1


class Gathered:
    """The unmanaged files of many nodes, equal versions once. Nodes may come in any order."""

    def __init__(self, nodes: Sequence[str]) -> None:
        """`nodes` are all nodes that may come, in their order."""
        self._nodes = nodes
        self._positions = {name: position for position, name in enumerate(nodes)}
        self._known: list[int] = []
        self._errors: dict[str, list[int]] = {}
        self._files: dict[tuple[bytes, Deviation], dict[Hashable, tuple[Actual, list[int]]]] = {}

    def take(self, node: str, of_node: UnmanagedFiles) -> None:
        """Take the files of a node."""
        position = self._positions[node]
        for reason in of_node.errors:
            self._errors.setdefault(reason, []).append(position)
        if of_node.is_known:
            self._known.append(position)
        for path, unmanaged in of_node.files.items():
            versions = self._files.setdefault((path, unmanaged.deviation), {})
            versions.setdefault(identity(unmanaged.state), (unmanaged.state, []))[1].append(position)

    @property
    def known(self) -> list[str]:
        """The nodes of which the files are known, perhaps not all of them."""
        return self._names(self._known)

    @property
    def errors(self) -> dict[str, list[str]]:
        """The nodes of which nothing or not everything is known, by the reason."""
        return {reason: self._names(positions) for reason, positions in self._errors.items()}

    @property
    def taken(self) -> list[str]:
        """The nodes that have come. Of each something is known, or a reason why not."""
        return self._names({*self._known}.union(*self._errors.values()))

    @property
    def complete(self) -> list[str]:
        """The nodes of which all files are known."""
        return self._names({*self._known}.difference(*self._errors.values()))

    def _names(self, positions: Iterable[int]) -> list[str]:
        return [self._nodes[position] for position in sorted(positions)]

    def versions(self) -> Iterator[UnmanagedVersion]:
        """Yield the versions of all files, by path, the version of most nodes first."""
        for (path, deviation), groups in sorted(self._files.items(), key=lambda item: (item[0][0], item[0][1].value)):
            ordered = sorted(groups.values(), key=lambda group: (-len(group[1]), min(group[1])))
            for number, (state, positions) in enumerate(ordered, 1):
                yield UnmanagedVersion(path, deviation, state, tuple(self._names(positions)), number, len(ordered))

    def lines(self, *, everything: bool = False) -> list[UnmanagedLine]:
        """Return a line for each version.

        Many files of one directory that belong to no package are one line for the same nodes, unless `everything`.
        """
        versions = list(self.versions())
        groups = {} if everything else _directories(versions)
        lines = []
        for version in versions:
            alike = groups.get(version.path)
            if alike is None:
                which = f", version {version.number} of {version.versions}" if version.versions > 1 else ""
                text = f"{printable(version.path)} {version.deviation.value}{which}"
                lines.append(UnmanagedLine(version.nodes, text))
            elif version is alike[0]:
                what = "symbolic links" if _is_link(version) else "files"
                directory = printable(os.path.dirname(version.path))
                text = f"{directory} has {len(alike):,} {what} that belong to no package"
                lines.append(UnmanagedLine(version.nodes, text, len(alike)))
        return lines

    def in_words(self, line: UnmanagedLine) -> str:
        """Return a line with its nodes, and how many there are of all that were looked at, if these are several."""
        of_all = f" ({len(line.nodes):,} of {len(self._known):,} nodes)" if len(self._known) > 1 else ""
        return f"{fold(line.nodes)}: {line.text}{of_all}"


def all_is_well(nodes: Sequence[str], directory: bytes) -> list[str]:
    """Return the line for nodes without unmanaged files; none if there are no such nodes."""
    where = f"below {printable(directory)}"
    return [f"{fold(nodes)}: all files {where} are managed, or as packages installed them"] if nodes else []


def _directories(versions: Iterable[UnmanagedVersion]) -> dict[bytes, list[UnmanagedVersion]]:
    """Return the files that are one line together, by path: many of one directory, the same on the same nodes."""
    of_paths: dict[bytes, list[UnmanagedVersion]] = {}
    for version in versions:
        of_paths.setdefault(version.path, []).append(version)
    groups: dict[tuple[bytes, bool, tuple[str, ...]], list[UnmanagedVersion]] = {}
    for path, (version, *others) in of_paths.items():
        if version.deviation is Deviation.UNOWNED and not others:
            groups.setdefault((os.path.dirname(path), _is_link(version), version.nodes), []).append(version)
    return {
        version.path: alike
        for (_, is_link, _), alike in groups.items()
        if len(alike) > (_MOST_LINKS if is_link else _MOST_OTHERS)
        for version in alike
    }


def _is_link(version: UnmanagedVersion) -> bool:
    return isinstance(version.state, FileState) and version.state.kind is Kind.LINK
