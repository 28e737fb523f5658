"""What a peer is asked to do, and what it has to say then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

OWNER = GROUP = "root"  # of everything


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory as it is to be: absolute path, permission bits, and the content's source, if it is a file."""

    path: str
    mode: int
    source: Path | None


@dataclass(frozen=True, slots=True)
class Task:
    """Look whether these entries are on these nodes as they should be.

    `directory` is empty: for what the peer reads. `programs` is where its programs are. `ssh_config` knows the nodes;
    `multiplexed` as well, and has ssh log in once. `python` is an interpreter on the nodes, for those who need one.
    """

    directory: Path
    programs: Path
    nodes: Sequence[str]
    entries: Sequence[Entry]
    ssh_config: Path
    multiplexed: Path
    python: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a peer said: how many (node, path) it has looked at, and which of them are not as they should be."""

    checked: int
    drifted: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Call:
    """A command to be run in the task's directory, and how to read what it prints, on standard error as well.

    `statuses` are the exit statuses with which it ends after it has looked at everything.
    """

    argv: Sequence[str]
    parse: Callable[[str], Seen]
    env: Mapping[str, str] = field(default_factory=dict)
    statuses: Sequence[int] = (0,)


@dataclass(frozen=True, slots=True)
class Peer:
    """A competitor that does so much of the work, as the whole would take too long, and the packages that it needs."""

    name: str
    packages: Sequence[str]
    prepare: Callable[[Task], Call]
    nodes: int
    entries: int


def spread(paths: Sequence[str], number: int) -> list[str]:
    """So many of the paths, or all if there are fewer, at equal distances."""
    number = min(number, len(paths))
    return [paths[index * len(paths) // number] for index in range(number)]
