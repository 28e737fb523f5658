"""`synctool --unmanaged`: files of nodes that no entry has and that differ from what packages installed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from pytest_synctool.audit.unmanaged import Gathered, all_is_well
from pytest_synctool.audit.unmanaged_look import look, managed_paths
from pytest_synctool.cli import command
from pytest_synctool.cli.node_work import on_nodes
from pytest_synctool.common.nodenames import fold
from pytest_synctool.config import Config
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.model import Node, UnmanagedFiles
from pytest_synctool.repository.resolution import Repository


def run(config: Config, repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Print the files. Return 0, whatever they are, or 3 if a node is unreachable or was not looked at completely."""
    managed = _managed(repository, nodes)
    directory: bytes = arguments.unmanaged

    def look_at(node: Node, connection: HostTransport) -> UnmanagedFiles:
        return look(directory, managed[node.name], connection, arguments.timeout)

    def failed(_: Node, reason: str) -> UnmanagedFiles:
        return UnmanagedFiles.unknown(reason)

    gathered = Gathered([node.name for node in nodes])
    for name, files in on_nodes(config, arguments, nodes, look_at, failed).items():
        gathered.take(name, files)
    lines = [gathered.in_words(line) for line in gathered.lines(everything=arguments.verbose)]
    if not (lines or arguments.quiet):
        lines = all_is_well(gathered.complete, directory)
    command.print_lines(lines)
    command.print_stderr(f"{fold(names)}: {reason}" for reason, names in gathered.errors.items())
    return command.UNREACHABLE if gathered.errors else command.OK


def _managed(repository: Repository, nodes: Sequence[Node]) -> dict[str, frozenset[bytes]]:
    """Return the managed paths of each node; nodes with the same entries share one set."""
    lists = {node.name: repository.entries(node) for node in nodes}
    paths = {entries: managed_paths(entries) for entries in {*lists.values()}}
    return {name: paths[entries] for name, entries in lists.items()}
