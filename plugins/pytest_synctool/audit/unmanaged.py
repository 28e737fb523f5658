"""Files that differ from what packages installed and are in no entry, folded over nodes. No input or output."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
from typing import Final

from pytest_synctool.audit.packages import Packages
from pytest_synctool.audit.probe_script import Request
from pytest_synctool.audit.versions import versions
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.model import ABSENT, Actual, FileState, Kind

_LARGEST_UNOWNED: Final = 1 << 20  # bytes; of larger ones only the size makes a version
# Lines about one directory; more become one. Links are made in great numbers when packages are installed.
_MOST_LINKS: Final = 10
_MOST_OTHERS: Final = 100


class Deviation(Enum):
    """Reasons why a file is not what a package installed."""

    UNOWNED = "belongs to no package"
    CHANGED = "differs from its package"
    MISSING = "is missing, and belongs to a package"

    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """The reason why a file of a node is reported, and its state."""

    deviation: Deviation
    state: Actual


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


def in_words(reports: Mapping[str, Mapping[bytes, Unmanaged]], *, everything: bool = False) -> list[str]:
    """Return lines about the reports of nodes: each file once for all nodes that have the same version.

    Many files of one directory that belong to no package are one line for the same nodes, unless `everything` is True.
    """
    by_path: dict[bytes, dict[Deviation, list[tuple[str, Actual]]]] = {}
    for node, report in reports.items():
        for path, unmanaged in report.items():
            by_path.setdefault(path, {}).setdefault(unmanaged.deviation, []).append((node, unmanaged.state))
    groups = {} if everything else _directories(by_path)
    lines: list[str] = []
    for path, deviations in sorted(by_path.items(), key=itemgetter(0)):
        if path not in groups:
            lines += _lines(path, deviations, reports)
        elif path == groups[path][0]:
            what = "symbolic links" if _is_link(deviations) else "files"
            text = f"{printable(os.path.dirname(path))} has {len(groups[path]):,} {what} that belong to no package"
            lines.append(f"{fold(_nodes_of(deviations))}: {text}{_of_all(_nodes_of(deviations), reports)}")
    return lines


_Deviations = Mapping[Deviation, list[tuple[str, Actual]]]


def _lines(path: bytes, deviations: _Deviations, reports: Mapping[str, object]) -> Iterator[str]:
    for deviation, states in deviations.items():
        distinct = versions(states)
        for number, version in enumerate(distinct, 1):
            which = f", version {number} of {len(distinct)}" if len(distinct) > 1 else ""
            text = f"{printable(path)} {deviation.value}{which}"
            yield f"{fold(version.nodes)}: {text}{_of_all(version.nodes, reports)}"


def _directories(by_path: Mapping[bytes, _Deviations]) -> dict[bytes, list[bytes]]:
    """Return the files that are one line together, by each of them: many of one directory, with the same nodes."""
    groups: dict[tuple[bytes, bool, tuple[str, ...]], list[bytes]] = {}
    for path, deviations in sorted(by_path.items(), key=itemgetter(0)):
        if [*deviations] == [Deviation.UNOWNED] and len(versions(deviations[Deviation.UNOWNED])) == 1:
            key = os.path.dirname(path), _is_link(deviations), _nodes_of(deviations)
            groups.setdefault(key, []).append(path)
    return {
        path: paths
        for (_, is_link, _), paths in groups.items()
        if len(paths) > (_MOST_LINKS if is_link else _MOST_OTHERS)
        for path in paths
    }


def _is_link(deviations: _Deviations) -> bool:
    """Return True if a file of no package is a symbolic link on the first of its nodes."""
    state = deviations[Deviation.UNOWNED][0][1]
    return isinstance(state, FileState) and state.kind is Kind.LINK


def _nodes_of(deviations: _Deviations) -> tuple[str, ...]:
    return tuple(node for states in deviations.values() for node, _ in states)


def _of_all(nodes: Collection[str], reports: Mapping[str, object]) -> str:
    """Return ` (2 of 3 nodes)`, or an empty text if one node was looked at."""
    return f" ({len(nodes)} of {len(reports)} nodes)" if len(reports) > 1 else ""
