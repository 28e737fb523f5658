"""The material of the benchmarks: a masterdir, and the same tree as the nodes are to have it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOP: Final = "site"  # the directory of the nodes that everything is in
_FILES_PER_DIRECTORY: Final = 20
_ONE_IN = 10  # so many files have a source for every group, where there are groups


@dataclass(frozen=True, slots=True)
class Material:
    """What was written: the configuration, the plain tree, and the paths that a node has, parents first."""

    conf: Path
    tree: Path
    directories: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths."""
        return self.directories + self.files


def write(
    directory: Path, nodes: Sequence[str], entries: int, *, groups: Sequence[str] = (), settings: Iterable[str] = ()
) -> Material:
    """Write synctool.conf and masterdir for nodes with exactly `entries` entries each; nothing in it is by chance.

    The nodes are dealt out to `groups` in turn. `settings` are further lines of the configuration. The tree has
    the sources that apply to all nodes.
    """
    dice = random.Random(1)
    directories, files = _layout(entries)
    overlay, tree = directory / "masterdir" / "overlay", directory / "tree"
    for top in (overlay, tree):
        top.mkdir(parents=True)
        for path in directories:
            _directory(top / path)
    for number, path in enumerate(files):
        special = bool(groups) and number % _ONE_IN == 0
        mode = 0o755 if number % 7 == 0 else 0o644
        for group in groups if special else ("all",):
            content = dice.randbytes(dice.randrange(200, 3000)).hex().encode() + b"\n"
            _file(overlay / f"{path}._{group}", content, mode)
            if not special:
                _file(tree / path, content, mode)
    lines = ["masterdir masterdir", *settings]
    for number, node in enumerate(nodes):
        lines.append(f"node {node} {groups[number % len(groups)] if groups else ''}".rstrip())
    conf = directory / "synctool.conf"
    conf.write_text("\n".join(lines) + "\n")
    return Material(conf, tree, tuple(f"/{path}" for path in directories), tuple(f"/{path}" for path in files))


def _layout(entries: int) -> tuple[list[str], list[str]]:
    """So many paths: one directory, directories in it, files in these."""
    below = max(0, entries - 1) // _FILES_PER_DIRECTORY
    directories = [TOP, *(f"{TOP}/service{number:02}" for number in range(below))]
    homes = directories[1:] or directories
    files = [f"{homes[number % len(homes)]}/settings-{number:04}.conf" for number in range(entries - len(directories))]
    return directories, files


def _directory(path: Path) -> None:
    path.mkdir()
    path.chmod(0o755)


def _file(path: Path, content: bytes, mode: int) -> None:
    path.write_bytes(content)
    path.chmod(mode)
