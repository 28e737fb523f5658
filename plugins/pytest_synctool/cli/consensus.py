"""`synctool --consensus`: the versions of a file over the nodes, in the masterdir or not."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_synctool.audit.content_diff import Comparer, fetched
from pytest_synctool.audit.fetch import LARGEST_DIGEST, LIMIT, Copy, FetchRequest
from pytest_synctool.audit.origins import origins
from pytest_synctool.audit.versions import Version, differ_in_contents, in_words, versions
from pytest_synctool.cli import command
from pytest_synctool.cli.node_work import on_nodes
from pytest_synctool.cli.shared_options import require_program
from pytest_synctool.common.wording import printable
from pytest_synctool.config import Config
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.model import ABSENT, Actual, FileState, Kind, Node, Unknown
from pytest_synctool.repository.entry import Entry, EntryList, lowest_followed
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.secrecy import not_public, secret
from pytest_synctool.repository.source import Tree, parents

_States = Mapping[bytes, Actual]


def run(config: Config, repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Print the versions. Return 0 if there is one of each file, 1 if there are more, 3 if a node or file is unknown.

    Raise SynctoolError for mistakes, before any node is contacted.
    """
    require_program(config.diff_cmd, "diff_cmd", config)
    return _Consensus(config, repository, nodes, arguments).print()


@dataclass
class _Consensus:
    """The versions of the files of a command line."""

    config: Config
    repository: Repository
    nodes: Sequence[Node]
    arguments: Namespace
    _overlays: dict[EntryList, Mapping[bytes, Entry]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.paths = tuple(dict.fromkeys(self.arguments.consensus))
        self.by_name = {node.name: node for node in self.nodes}
        for node in self.nodes:
            self._overlay(node)  # raises for a mistake in the masterdir
        self.sensitive = {path: self._sensitive(path) for path in self.paths}

    def print(self) -> int:
        """Look at the nodes, and print the versions. Return the exit status."""
        states = on_nodes(self.config, self.arguments, self.nodes, self._look, self._failed)
        distinct = {path: versions((node, of_paths[path]) for node, of_paths in states.items()) for path in self.paths}
        hidden = {path: self._hidden(path, distinct[path], states) for path in self.paths}
        contents = self._contents({path: distinct[path] for path in self.paths if hidden[path] is None})
        errors = False
        for path in self.paths:
            hides_targets = self.sensitive[path] is not None and not self.arguments.show_sensitive
            ours = origins(distinct[path], self._entries_at(path))
            lines = in_words(distinct[path], ours.marks, hides_targets=hides_targets)
            count = f"{len(lines)} version{'' if len(lines) == 1 else 's'}"
            command.print_lines([f"{printable(path)}: {count}", *(f"    {line}" for line in (*lines, *ours.remarks))])
            errors |= not self._print_difference(path, distinct[path], hidden[path], contents)
        if errors or any(isinstance(version.state, Unknown) for each in distinct.values() for version in each):
            return command.UNREACHABLE
        return command.DRIFT if any(len(each) > 1 for each in distinct.values()) else command.OK

    def _entries_at(self, path: bytes) -> Mapping[str, Entry]:
        """Return the entry of each node that has one at a path, in overlay/ or delete/."""
        lists = {node.name: self.repository.entries(node) for node in self.nodes}
        at_path = {
            entries: next((e for e in entries if e.destination == path and e.tree is not Tree.TASKS), None)
            for entries in {*lists.values()}
        }
        return {name: entry for name, entries in lists.items() if (entry := at_path[entries]) is not None}

    def _overlay(self, node: Node) -> Mapping[bytes, Entry]:
        """Return all overlay entries of a node by destination."""
        entries = self.repository.entries(node)
        if entries not in self._overlays:
            self._overlays[entries] = {entry.destination: entry for entry in entries if entry.tree is Tree.OVERLAY}
        return self._overlays[entries]

    def _request(self, node: Node, path: bytes, *, digest: bool) -> FetchRequest:
        through = lowest_followed(parents(path), self._overlay(node))
        secrets = digest or self.arguments.show_sensitive
        return FetchRequest(path, digest=digest, secrets=secrets, through=through)

    def _look(self, node: Node, connection: HostTransport) -> _States:
        """Return the states of the paths, and of the directories above them."""
        above = dict.fromkeys(each for path in self.paths for each in parents(path) if each not in self.paths)
        requests = [FetchRequest(each, content=False) for each in above]
        requests += [self._request(node, path, digest=True) for path in self.paths]
        copies = fetched(connection, requests, self.arguments.timeout)
        return {path: _state(copy) for path, copy in copies.items()} | {path: copies[path].state for path in above}

    def _failed(self, _: Node, reason: str) -> _States:
        return dict.fromkeys(self.paths, Unknown(reason))

    def _sensitive(self, path: bytes) -> str | None:
        """Return the reason why the masterdir keeps the contents of a path secret, or None."""
        if self.repository.attributes.hides(path):
            return "attributes.yaml says so"
        for overlay in self._overlays.values():
            entry = overlay.get(path)
            reason = entry and secret(entry, entry.with_attributes(entry.source.state), ABSENT)
            if reason:
                return reason
        return None

    def _hidden(self, path: bytes, distinct: Sequence[Version], states: Mapping[str, _States]) -> str | None:
        """Return the reason why the difference between the first two versions must not be shown, or None."""
        if self.arguments.show_sensitive:
            return None
        if self.sensitive[path] is not None:
            return self.sensitive[path]
        nodes = [version.nodes[0] for version in distinct[:2]]
        above = (_entered(states[node], each) for node in nodes for each in parents(path))
        return not_public(((states[node][path], f"the file of {node}") for node in nodes), above)

    def _contents(self, distinct: Mapping[bytes, Sequence[Version]]) -> dict[str, Mapping[bytes, Copy]]:
        """Fetch the contents of the first two versions of each file whose contents differ, by node and path."""
        wanted: dict[str, list[bytes]] = {}
        for path, each in distinct.items():
            if len(each) > 1 and differ_in_contents(*each[:2]):
                for version in each[:2]:
                    if isinstance(version.state, FileState) and version.state.size <= LIMIT:
                        wanted.setdefault(version.nodes[0], []).append(path)

        def fetch(node: Node, connection: HostTransport) -> Mapping[bytes, Copy]:
            requests = [self._request(node, path, digest=False) for path in wanted[node.name]]
            return fetched(connection, requests, self.arguments.timeout)

        def failed(node: Node, reason: str) -> Mapping[bytes, Copy]:
            return {path: Copy(ABSENT, None, reason) for path in wanted[node.name]}

        return on_nodes(self.config, self.arguments, [self.by_name[name] for name in wanted], fetch, failed)

    def _print_difference(
        self, path: bytes, distinct: Sequence[Version], hidden: str | None, contents: Mapping[str, Mapping[bytes, Copy]]
    ) -> bool:
        """Print the difference between the contents of the first two versions. Return False if it cannot be made."""
        if len(distinct) < 2 or not differ_in_contents(*distinct[:2]):
            return True
        if hidden is not None:
            reason = f"since {hidden} (--show-sensitive shows them)"
            command.print_lines([f"{printable(path)}: contents are not shown, {reason}"])
            return True
        if any(isinstance(version.state, FileState) and version.state.size > LIMIT for version in distinct[:2]):
            command.print_lines([f"{printable(path)}: contents of more than {LIMIT:,} bytes are not shown"])
            return True
        files = []
        for version in distinct[:2]:
            node = version.nodes[0]
            content = contents[node][path].content
            if content is None or not _is_of(content, version.state):
                reason = contents[node][path].complaint or "it changed while it was looked at"
                command.print_stderr([f"{node}: {printable(path)} could not be read: {reason}"])
                return False
            files.append((node.encode() + path, content))
        verdict = Comparer(self.config.diff_cmd, self.arguments.timeout).of_files(path, *files)
        command.print_lines(verdict.lines)
        command.print_stderr(f"{printable(path)}: {error}" for error in verdict.errors)
        return not verdict.errors


def _entered(states: _States, directory: bytes) -> Actual:
    """Return the state of a directory above a path. Nobody knows who may enter the one that a link leads to."""
    state = states.get(directory)
    is_directory = isinstance(state, FileState) and state.kind is Kind.DIRECTORY
    return state if state is not None and is_directory else Unknown("it is no directory")


def _is_of(content: bytes, state: Actual) -> bool:
    """Return True if these are the contents of a state."""
    return isinstance(state, FileState) and hashlib.md5(content, usedforsecurity=False).hexdigest() == state.md5


def _state(copy: Copy) -> Actual:
    """Return the state of a copy with its digest; a file without a digest is unknown, and never like another."""
    state = copy.state
    if not isinstance(state, FileState) or state.kind is not Kind.FILE or state.md5 is not None:
        return state
    if state.size > LARGEST_DIGEST:
        return Unknown(f"{state.size:,} bytes: more than {LARGEST_DIGEST:,} are not compared")
    return Unknown(f"could not be read: {copy.complaint or 'it changed while it was looked at'}")
