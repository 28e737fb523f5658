"""`synctool --diff`: the differences between a file in the masterdir and on the nodes."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_synctool.audit.content_diff import Comparer, copies
from pytest_synctool.audit.diff_report import Verdict, grouped
from pytest_synctool.cli import command
from pytest_synctool.cli.node_work import on_nodes
from pytest_synctool.cli.shared_options import require_program
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.shell import words
from pytest_synctool.common.wording import printable
from pytest_synctool.config import Config
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.model import Node
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree


def run(config: Config, repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Print the differences. Return 0 if there are none, 1 if there are some, 3 if a node or file is unknown.

    With --unix, print the commands that would show them on the nodes, and contact none.

    Raise SynctoolError for mistakes, before any node is contacted.
    """
    wanted = _wanted_entries(repository, nodes, arguments.diff)
    if arguments.unix:
        _print_commands(config, wanted)
        return command.OK
    verdicts = _Comparison(config, repository, wanted, arguments).verdicts(
        [node for node in nodes if wanted[node.name]]
    )
    _print_verdicts(verdicts, wanted, nodes, arguments)
    errors: dict[str, list[str]] = {}
    for name, of_paths in verdicts.items():
        for reason in dict.fromkeys(error for verdict in of_paths.values() for error in verdict.errors):
            errors.setdefault(reason, []).append(name)
    command.print_stderr(f"{fold(names)}: {reason}" for reason, names in errors.items())
    if errors:
        return command.UNREACHABLE
    differs = any(verdict.lines for of_paths in verdicts.values() for verdict in of_paths.values())
    return command.DRIFT if differs else command.OK


Entries = Mapping[str, Mapping[bytes, Entry]]  # by node name and destination
Verdicts = Mapping[str, Mapping[bytes, Verdict]]


def _print_commands(config: Config, wanted: Entries) -> None:
    diff_cmd = [os.fsencode(word) for word in config.diff_cmd]
    for node, entries in wanted.items():
        lines = (
            words(*diff_cmd, path, os.path.join(os.fsencode(config.masterdir), entry.source.mirrored))
            for path, entry in entries.items()
        )
        command.print_lines(f"{node}: {os.fsdecode(line)}" for line in lines)


def _print_verdicts(verdicts: Verdicts, wanted: Entries, nodes: Sequence[Node], arguments: Namespace) -> None:
    for path in dict.fromkeys(arguments.diff):
        left_out = [node.name for node in nodes if path not in wanted[node.name]]
        if left_out and not arguments.quiet:
            command.print_stderr([f"{fold(left_out)}: {printable(path)} is not in the overlay tree"])
        for lines, names in grouped((name, of_paths.get(path, Verdict())) for name, of_paths in verdicts.items()):
            command.print_lines(f"{fold(names)}: {line}" for line in lines)


def _wanted_entries(repository: Repository, nodes: Iterable[Node], paths: Sequence[bytes]) -> Entries:
    """Return the overlay entries of each node for these paths."""
    return {
        node.name: {path: entry for path, entry in _overlay(repository, node).items() if path in paths}
        for node in nodes
    }


def _overlay(repository: Repository, node: Node) -> dict[bytes, Entry]:
    """Return all overlay entries of a node by destination."""
    return {entry.destination: entry for entry in repository.entries(node) if entry.tree is Tree.OVERLAY}


@dataclass
class _Comparison:
    """The comparison of the entries with the files of many nodes at once."""

    config: Config
    repository: Repository
    wanted: Entries
    arguments: Namespace

    def __post_init__(self) -> None:
        require_program(self.config.diff_cmd, "diff_cmd", self.config)
        self.comparer = Comparer(self.config.diff_cmd, self.arguments.timeout)
        self.secrets: bool = self.arguments.show_sensitive

    def verdicts(self, nodes: Sequence[Node]) -> Verdicts:
        """Compare the nodes. Return the verdicts in the order of the nodes."""
        for node in nodes:
            for entry in self.wanted[node.name].values():
                _ = entry.expected  # raises for an unreadable source, before any node is contacted
        return on_nodes(self.config, self.arguments, nodes, self._compared, self._failed)

    def _failed(self, node: Node, reason: str) -> Mapping[bytes, Verdict]:
        return dict.fromkeys(self.wanted[node.name], Verdict(errors=(reason,)))

    def _compared(self, node: Node, connection: HostTransport) -> Mapping[bytes, Verdict]:
        entries, overlay = self.wanted[node.name], _overlay(self.repository, node)
        copied = copies(connection, list(entries.values()), overlay, self.arguments.timeout, everything=self.secrets)
        return {
            path: self.comparer.verdict(entry, copied[entry.probed_path], secrets=self.secrets)
            for path, entry in entries.items()
        }
