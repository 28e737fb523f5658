"""`synctool --render`: the contents that a node gets for a file, as the controller makes them."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from pytest_synctool.cli import command
from pytest_synctool.cli.file_names import FileNames
from pytest_synctool.common.wording import printable
from pytest_synctool.errors import SelectionError
from pytest_synctool.model import ABSENT, Kind, Node
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.secrecy import secret
from pytest_synctool.repository.source import Tree


def run(repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Print the contents of a file for the only selected node. Raise SynctoolError if it has none."""
    if len(nodes) != 1:
        raise SelectionError(f"--render needs one node, as in -n NODE: {len(nodes)} are selected")
    path = FileNames.of(repository, nodes, {Tree.OVERLAY}).paths([arguments.render], "--render", "the overlay tree")[0]
    entry = next(e for e in repository.entries(nodes[0]) if (e.tree, e.destination) == (Tree.OVERLAY, path))
    _check(entry, show_sensitive=arguments.show_sensitive)
    content = entry.source.read()
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
    return command.OK


def _check(entry: Entry, *, show_sensitive: bool) -> None:
    """Raise SelectionError if an entry has no contents, or none that everybody may see."""
    shown = printable(entry.destination)
    if entry.source.state.kind is not Kind.FILE:
        raise SelectionError(f"--render: {shown} is a {entry.source.state.kind.value}, and has no contents")
    reason = secret(entry, entry.with_attributes(entry.source.state), ABSENT)
    if reason is not None and not show_sensitive:
        raise SelectionError(f"--render: {shown} is not shown, since {reason} (--show-sensitive shows it)")
