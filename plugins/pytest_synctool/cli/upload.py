"""`synctool --upload`: a copy of a file, directory or link of a node as a source in overlay/."""

from __future__ import annotations

import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, Final

from pytest_synctool.audit import looking
from pytest_synctool.cli import command
from pytest_synctool.cli.connections import connections_of
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import nearest, node_text, printable
from pytest_synctool.config import Config
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.engine.fanout import Fanout, Turn
from pytest_synctool.errors import AnswerTooLong, RemoteError, RepositoryError, SelectionError, TransportError
from pytest_synctool.model import ABSENT, Node, Unknown
from pytest_synctool.repair.mirror_script import MARK
from pytest_synctool.repository.entry import lowest_followed
from pytest_synctool.repository.resolution import Repository, load
from pytest_synctool.repository.source import Tree, parents
from pytest_synctool.upload.node_archive import LARGEST_ANSWER, NodeArchive, check_unchanged, read, script, second_look
from pytest_synctool.upload.placement import propose
from pytest_synctool.upload.upload import Upload

_MOST_COMPLAINTS: Final = 20


def run(config: Config, repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Copy files of a node into overlay/, or without -f print the steps.

    Return 0 if the sources were written or are the same already, 1 if the node has no such file, 3 if the node or a
    file is unknown. Raise SynctoolError for mistakes, and if an upload would lose owners, modes or other sources: the
    files that come later on the command line are then not looked at.
    """
    node = _only_node(nodes, arguments)
    _check(config, arguments)
    uploads = _Uploads(config, node, arguments)
    status = command.OK
    for number, path in enumerate(dict.fromkeys(arguments.upload)):
        if number and arguments.fix:
            repository = load(config)  # the upload before may have added what is above this file
        status = max(status, uploads.one(repository, path))
    return status


@dataclass
class _Uploads:
    """The uploads of one call, from one node."""

    config: Config
    node: Node
    arguments: Namespace
    owes_headline: bool = True

    def one(self, repository: Repository, path: bytes) -> int:
        """Copy one file, link or directory. Return as run()."""
        node, arguments = self.node, self.arguments
        shown = f"{node.name}: {printable(path)}"
        overlay = {entry.destination: entry for entry in repository.entries(node) if entry.tree is Tree.OVERLAY}
        through = lowest_followed(parents(path), overlay)
        with tempfile.TemporaryFile() as stream:
            try:
                archive, complaints = _fetch(self.config, node, path, arguments, through, stream)
            except (TransportError, RemoteError) as error:
                is_reached = isinstance(error, (RemoteError, AnswerTooLong))
                reason = str(error) if is_reached else f"unreachable: {error}"
                command.print_stderr([f"{node.name}: {reason}"])
                return command.UNREACHABLE
            if isinstance(archive.state, Unknown):
                command.print_stderr([f"{shown} cannot be looked at: {archive.state.reason}"])
                return command.UNREACHABLE
            if archive.state is ABSENT:
                command.print_stderr([f"{shown} is missing"])
                return command.NOT_FOUND
            if not archive.files or archive.files[0].path != path:
                raise RepositoryError(f"{shown} is a special file, and cannot be in overlay/")
            proposal = propose(self.config, repository, node, archive.above, archive.files, arguments.suffix)
            upload = Upload(self.config, repository, node, archive, proposal, unix=arguments.unix)
            upload.check()
            self._print_headline()
            upload.run(write=arguments.fix)
        sys.stdout.flush()  # before the warnings on standard error
        special = [f"left out: {printable(path)} is a special file" for path in archive.special]
        command.print_stderr(f"WARNING {node.name}: {remark}" for remark in (*complaints, *special, *proposal.remarks))
        return command.OK

    def _print_headline(self) -> None:
        if self.owes_headline and not (self.arguments.quiet or self.arguments.unix):
            print("--fix specified, applying changes" if self.arguments.fix else "DRY RUN, not doing any updates")
        self.owes_headline = False


def _only_node(nodes: Sequence[Node], arguments: Namespace) -> Node:
    if len(nodes) != 1:
        selected = fold(node.name for node in nodes)
        raise SelectionError(f"-u: a file is brought from one node, not from {selected}: name it with -n")
    if b"/" in arguments.upload:
        raise SelectionError("-u: expected a file or directory below /, not / itself")
    return nodes[0]


def _check(config: Config, arguments: Namespace) -> None:
    """Raise SynctoolError for an unknown group, and for a masterdir that is the mirror on a node."""
    suffix = arguments.suffix
    if suffix is not None and suffix not in config.known_groups:
        hint = nearest(suffix, config.known_groups) or f", see {config.path}"
        raise SelectionError(f"-s: no such group '{suffix}'{hint}")
    if os.path.lexists(config.masterdir / MARK):
        raise RepositoryError(f"{config.masterdir} is a node's mirror, which the next --fix of the controller replaces")


def _fetch(
    config: Config, node: Node, path: bytes, arguments: Namespace, through: bytes, stream: BinaryIO
) -> tuple[NodeArchive, list[str]]:
    """Write the node's archive to `stream`. Return its contents and the messages of the node's tar.

    Of the directories above only `through` may be a symbolic link.

    Raise TransportError and RemoteError.
    """
    connections = connections_of(config, arguments)

    def work(node: Node, _: Turn) -> tuple[NodeArchive, list[str]]:
        with closing(connections.to(node)) as connection:
            text = script(path, through)
            answer = connection.run(text, arguments.timeout, Phase.UPLOAD, LARGEST_ANSWER, stream)
            complaints = [node_text(line) for line in answer.stderr.splitlines() if line.strip()][-_MOST_COMPLAINTS:]
            if answer.status != 0:
                reason = "; ".join(complaints[-2:]) or f"the node's tar failed with status {answer.status}"
                raise RemoteError(reason)
            archive = read(path, stream)
            look = second_look(archive, through)
            check_unchanged(archive, looking.states(connection, look, arguments.timeout, Phase.UPLOAD))
            return archive, complaints

    fanout = Fanout(work, 1)  # in another thread, so that Ctrl-C can end its processes
    try:
        return fanout.result(node)
    finally:
        connections.processes.end_all()
        fanout.close()
