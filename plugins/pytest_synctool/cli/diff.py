"""`synctool --diff`: what differs between the master's source of a file and the copies of the nodes."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pytest_synctool import fetch
from pytest_synctool.cli import common
from pytest_synctool.cli.reaching import connections_of
from pytest_synctool.config import Config
from pytest_synctool.difference import Contents, Verdict, as_lines, grouped, is_binary, judge, secret
from pytest_synctool.errors import RemoteError, SelectionError, TransportError
from pytest_synctool.fanout import Fanout, Turn
from pytest_synctool.model import Kind, Node, printable
from pytest_synctool.nodeset import fold
from pytest_synctool.repository import Entry, Repository
from pytest_synctool.source import Tree


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
        self.command: Sequence[str] = self.config.diff_cmd
        common.require(self.command, "diff_cmd", self.config)
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
            copies = self._fetch(node, list(entries.values()))
        except TransportError as error:
            return dict.fromkeys(entries, Verdict(errors=(f"unreachable: {error}",)))
        except RemoteError as error:
            return dict.fromkeys(entries, Verdict(errors=(str(error),)))
        return {path: self._verdict(entry, copies[entry.looked_at]) for path, entry in entries.items()}

    def _fetch(self, node: Node, entries: Sequence[Entry]) -> dict[bytes, fetch.Copy]:
        requests = [_request(entry, everything=self.arguments.show_sensitive) for entry in entries]
        nonce = secrets.token_hex(16).encode("ascii")
        copies: dict[bytes, fetch.Copy] = {}
        with closing(self.connections.to(node)) as connection:
            parts = [requests] if connection.script_limit is None else [[request] for request in requests]
            for part in parts:
                answer = connection.run(fetch.script(part, nonce), self.arguments.timeout)
                copies.update(fetch.parse(part, nonce, answer.stdout))
        return copies

    def _verdict(self, entry: Entry, copy: fetch.Copy) -> Verdict:
        found = judge(entry, entry.expected, copy, secrets=self.arguments.show_sensitive)
        if not isinstance(found, Contents):
            return found
        try:
            ours = _read(os.path.join(entry.source.masterdir, entry.source.relative))
            if is_binary(ours) or is_binary(found.theirs):
                return found.before + Verdict((f"{printable(entry.destination)}: binary files differ",))
            return found.before + self._compared(entry, ours, found.theirs)
        except OSError as error:
            return found.before + Verdict(errors=(f"cannot compare {entry.source.shown}: {error.strerror}",))

    def _compared(self, entry: Entry, ours: bytes, theirs: bytes) -> Verdict:
        """What diff_cmd says of two contents."""
        names = [entry.source.relative, b"node" + entry.destination]
        with tempfile.TemporaryDirectory(prefix="synctool-diff-") as directory:
            for name, content in zip(names, (ours, theirs), strict=True):
                _write(os.path.join(os.fsencode(directory), name), content)
            try:
                done = subprocess.run(
                    [*self.command, *names],
                    cwd=directory,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=self.arguments.timeout,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return Verdict(errors=(f"'{self.command[0]}' has not ended within {self.arguments.timeout:g} s",))
        if done.returncode not in (0, 1):
            # Not what it says: that may be anything.
            return Verdict(errors=(f"'{' '.join(self.command)}' failed with status {done.returncode}",))
        return Verdict(as_lines(done.stdout, names))


def _request(entry: Entry, *, everything: bool) -> fetch.Request:
    """What to ask a node for. What attributes.yaml or the master's file say is secret does not leave the node."""
    expected = entry.expected
    if expected.kind is not Kind.FILE:
        return fetch.Request(entry.looked_at, content=False)
    wanted = everything or secret(entry, expected, expected) is None
    return fetch.Request(entry.looked_at, expected.size, expected.md5, content=wanted, secrets=everything)


def _read(path: bytes) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return file.read()


def _write(path: bytes, content: bytes) -> None:
    """A file that nobody else can read, without a time that could make equal differences look different."""
    Path(os.fsdecode(path)).parent.mkdir(parents=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    os.utime(path, (0, 0))
