"""`synctool --diff`: what differs between the master's source of a file and the copies of the nodes."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from pytest_synctool.audit.content_diff import Comparer, copies
from pytest_synctool.audit.content_verdict import Verdict, grouped
from pytest_synctool.cli import common
from pytest_synctool.cli.connections import connections_of
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.config import Config
from pytest_synctool.engine.fanout import Fanout, Turn
from pytest_synctool.errors import RemoteError, SelectionError, TransportError
from pytest_synctool.model import Node
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree


def run(config: Config, repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Show the differences. The status is 0 if there are none, 1 for some, 3 if something could not be looked at.

    Raises SynctoolError for mistakes, before any node is contacted.
    """
    wanted = _wanted(repository, nodes, arguments.diff)
    found = _Differences(config, wanted, arguments).of_nodes([node for node in nodes if wanted[node.name]])
    for path in dict.fromkeys(arguments.diff):
        left_out = [node.name for node in nodes if path not in wanted[node.name]]
        if left_out and not arguments.quiet:
            common.complain([f"{fold(left_out)}: {printable(path)} is not in the overlay tree"])
        for lines, names in grouped((name, verdicts.get(path, Verdict())) for name, verdicts in found.items()):
            for line in lines:
                print(f"{fold(names)}: {line}")
    errors: dict[str, list[str]] = {}
    for name, verdicts in found.items():
        for reason in dict.fromkeys(error for verdict in verdicts.values() for error in verdict.errors):
            errors.setdefault(reason, []).append(name)
    common.complain(f"{fold(names)}: {reason}" for reason, names in errors.items())
    if errors:
        return common.UNREACHED
    differs = any(verdict.lines for verdicts in found.values() for verdict in verdicts.values())
    return common.FINDINGS if differs else common.OK


Wanted = Mapping[str, Mapping[bytes, Entry]]


def _wanted(repository: Repository, nodes: Iterable[Node], paths: Sequence[bytes]) -> Wanted:
    """The entries of each node for these paths. Raises SelectionError for a path that no node has."""
    wanted = {
        node.name: {
            entry.destination: entry
            for entry in repository.entries(node)
            if entry.tree is Tree.OVERLAY and entry.destination in paths
        }
        for node in nodes
    }
    for path in paths:
        if not any(path in entries for entries in wanted.values()):
            raise SelectionError(f"-d: no selected node has {printable(path)} in the overlay tree (see -r)")
    return wanted


@dataclass
class _Differences:
    """Looks at nodes, many at once, and compares."""

    config: Config
    wanted: Wanted
    arguments: Namespace

    def __post_init__(self) -> None:
        common.require(self.config.diff_cmd, "diff_cmd", self.config)
        self.comparer = Comparer(self.config.diff_cmd, self.arguments.timeout)
        self.everything: bool = self.arguments.show_sensitive
        self.connections = connections_of(self.config, self.arguments)

    def of_nodes(self, nodes: Sequence[Node]) -> dict[str, Mapping[bytes, Verdict]]:
        """The verdicts on each node, by path; in the order of the nodes."""
        for node in nodes:
            for entry in self.wanted[node.name].values():
                _ = entry.expected  # what cannot be read here is told before any node is contacted
        fanout = Fanout(self._of_node, self.arguments.numproc or self.config.num_proc)
        try:
            fanout.announce(nodes)
            return {node.name: fanout.result(node) for node in nodes}
        finally:
            self.connections.processes.end_all()
            fanout.close()

    def _of_node(self, node: Node, _: Turn) -> Mapping[bytes, Verdict]:
        entries = self.wanted[node.name]
        try:
            with closing(self.connections.to(node)) as connection:
                found = copies(connection, list(entries.values()), self.arguments.timeout, everything=self.everything)
        except TransportError as error:
            return dict.fromkeys(entries, Verdict(errors=(f"unreachable: {error}",)))
        except RemoteError as error:
            return dict.fromkeys(entries, Verdict(errors=(str(error),)))
        return {
            path: self.comparer.verdict(entry, found[entry.looked_at], secrets=self.everything)
            for path, entry in entries.items()
        }
