"""`synctool --unmanaged`: files of nodes that no entry has and that differ from what packages installed."""

from __future__ import annotations

import secrets
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_synctool.audit import packages, unmanaged
from pytest_synctool.audit.looking import states
from pytest_synctool.cli import command
from pytest_synctool.cli.node_work import on_nodes
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.config import Config
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.model import Node
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree


@dataclass(frozen=True)
class _Report:
    """The files of a node that are reported, and in `errors` the reasons why that may not be all."""

    files: dict[bytes, unmanaged.Unmanaged] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    is_known: bool = True


def run(config: Config, repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Print the files. Return 0, whatever they are, or 3 if a node is unreachable or was not looked at completely."""
    managed = _managed(repository, nodes)
    directory: bytes = arguments.unmanaged

    def look(node: Node, connection: HostTransport) -> _Report:
        return _look(directory, managed[node.name], connection, arguments.timeout)

    reports = on_nodes(config, arguments, nodes, look, lambda _, reason: _Report(errors=(reason,), is_known=False))
    files = {name: report.files for name, report in reports.items() if report.is_known}
    lines = unmanaged.in_words(files, everything=arguments.verbose)
    command.print_lines(lines)
    errors: dict[str, list[str]] = {}
    for name, report in reports.items():
        for reason in report.errors:
            errors.setdefault(reason, []).append(name)
    fine = [name for name, report in reports.items() if not report.errors]
    if not lines and fine and not arguments.quiet:
        where = f"below {printable(directory)}"
        command.print_lines([f"{fold(fine)}: all files {where} are managed, or as packages installed them"])
    command.print_stderr(f"{fold(names)}: {reason}" for reason, names in errors.items())
    return command.UNREACHABLE if errors else command.OK


def _managed(repository: Repository, nodes: Sequence[Node]) -> dict[str, frozenset[bytes]]:
    """Return the destinations of each node's entries; nodes with the same entries share one set."""
    lists = {node.name: repository.entries(node) for node in nodes}
    destinations = {
        entries: frozenset(entry.destination for entry in entries if entry.tree is not Tree.TASKS)
        for entries in {*lists.values()}
    }
    return {name: destinations[entries] for name, entries in lists.items()}


def _look(directory: bytes, managed: frozenset[bytes], connection: HostTransport, timeout: float) -> _Report:
    nonce = f"synctool-{secrets.token_hex(16)}".encode("ascii")
    script = packages.script(directory, nonce)
    answer = connection.run(script, timeout, Phase.PROBE, packages.LARGEST_ANSWER)
    installed = packages.parse(directory, nonce, answer.stdout)
    actual = states(connection, unmanaged.requests(installed, managed), timeout, Phase.PROBE)
    errors = []
    if not installed.is_complete:
        errors.append(f"not everything below {printable(directory)} could be looked at")
    if installed.odd_names:
        errors.append(f"{installed.odd_names:,} names below {printable(directory)} have a newline and are left out")
    return _Report(unmanaged.judge(installed, actual), tuple(errors))
