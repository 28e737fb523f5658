"""`synctool --upload`: a file, directory or link of a node becomes a source in overlay/."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import BinaryIO

from pytest_synctool.attributes import FILE_NAME, AttributeRules, parse
from pytest_synctool.attributes.appender import Addition, extended
from pytest_synctool.cli import common
from pytest_synctool.cli.reaching import connections_of
from pytest_synctool.config import Config
from pytest_synctool.errors import ConfigError, RemoteError, RepositoryError, SelectionError, TransportError
from pytest_synctool.fanout import Fanout, Turn
from pytest_synctool.intake import Found, Intake, read, script
from pytest_synctool.locking import MasterdirLock
from pytest_synctool.mirror import MARK
from pytest_synctool.model import ABSENT, Kind, Node, Unknown, printable
from pytest_synctool.nodeset import fold
from pytest_synctool.ownership import Writer, needed, unkept
from pytest_synctool.proposal import Placement, Proposal, in_words, propose, whom
from pytest_synctool.repository import Repository
from pytest_synctool.store import Store
from pytest_synctool.transport import Answer
from pytest_synctool.words import nearest


def run(config: Config, repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Bring a file of a node into overlay/, or tell what would be done.

    The status is 0 if that was done or is not needed, 1 if the node has no such file, 3 if it could not be looked at.
    Raises SynctoolError for mistakes, and for what cannot be done without harm.
    """
    node = _only(nodes, arguments)
    _check(config, arguments)
    shown = f"{node.name}: {printable(arguments.upload)}"
    with tempfile.TemporaryFile() as stream:
        try:
            intake, complaints = _fetch(config, node, arguments, stream)
        except (TransportError, RemoteError) as error:
            reason = f"unreachable: {error}" if isinstance(error, TransportError) else str(error)
            common.complain([f"{node.name}: {reason}"])
            return common.UNREACHED
        if isinstance(intake.state, Unknown):
            common.complain([f"{shown} cannot be looked at: {intake.state.reason}"])
            return common.UNREACHED
        if intake.state is ABSENT:
            common.complain([f"{shown} is missing"])
            return common.NOT_FOUND
        if not intake.found or intake.found[0].path != arguments.upload:
            raise RepositoryError(f"{shown} is a special file, and cannot be in overlay/")
        proposal = propose(config, repository, node, intake.above, intake.found, arguments.suffix)
        upload = _Upload(config, repository, node, intake, proposal)
        upload.check()
        if not arguments.quiet:
            print("--fix specified, applying changes" if arguments.fix else "DRY RUN, not doing any updates")
        upload.carry_out(write=arguments.fix)
    sys.stdout.flush()  # before what is said on the other stream
    special = [f"left out: {printable(path)} is a special file" for path in intake.special]
    common.complain(f"WARNING {node.name}: {remark}" for remark in (*complaints, *special, *proposal.remarks))
    return common.OK


def _only(nodes: Sequence[Node], arguments: Namespace) -> Node:
    if len(nodes) != 1:
        selected = fold(node.name for node in nodes)
        raise SelectionError(f"-u: a file is brought from one node, not from {selected}: name it with -n")
    if arguments.upload == b"/":
        raise SelectionError("-u: expected a file or directory below /, not all that the node has")
    return nodes[0]


def _check(config: Config, arguments: Namespace) -> None:
    """Raises SynctoolError for an unknown group, and for a masterdir that is not the master's."""
    suffix = arguments.suffix
    if suffix is not None and suffix not in config.known_groups:
        hint = nearest(suffix, config.known_groups) or f", see {config.path}"
        raise SelectionError(f"-s: no such group '{suffix}'{hint}")
    if os.path.lexists(config.masterdir / MARK):
        raise RepositoryError(f"{config.masterdir} is a node's copy, which the next --fix of the master replaces")


def _fetch(config: Config, node: Node, arguments: Namespace, stream: BinaryIO) -> tuple[Intake, list[str]]:
    """What the node has, and what its tar has to say. Raises TransportError, RemoteError."""
    connections = connections_of(config, arguments)

    def work(node: Node, _: Turn) -> Answer:
        with closing(connections.to(node)) as connection:
            return connection.run(script(arguments.upload), arguments.timeout, stream)

    fanout = Fanout(work, 1)  # not in this thread, so that Ctrl-C finds what is to be ended
    try:
        answer = fanout.result(node)
    finally:
        connections.processes.end_all()
        fanout.close()
    complaints = [printable(line) for line in answer.stderr.splitlines() if line.strip()]
    if answer.status != 0:
        raise RemoteError(complaints[-1] if complaints else f"the node's tar failed with status {answer.status}")
    return read(arguments.upload, stream), complaints


@dataclass
class _Upload:
    """What was found on a node, and where it is to go."""

    config: Config
    repository: Repository
    node: Node
    intake: Intake
    proposal: Proposal

    def __post_init__(self) -> None:
        self.writer = Writer.this()
        self.store = Store(self.config.masterdir)
        self.rules_file = self.config.masterdir / FILE_NAME
        self.todo: list[Placement] = [each for each in self.proposal.placements if not each.is_done]
        self.additions: list[Addition] = []
        self.content = b""

    def check(self) -> None:
        """Raises SynctoolError for what cannot be written without harm; sets what attributes.yaml has to say."""
        for each in self.todo:
            self.store.check(each.source.relative, None if each.existing is None else each.existing.state)
        rules, groups = self.repository.attributes, self.node.groups
        has_rules = os.path.lexists(self.rules_file)
        if has_rules:
            found = (needed(each.source, rules, groups, self.writer) for each in self.todo)
            self.additions = [addition for addition in found if addition is not None]
        if self.additions:
            rules = self._extended()
        for each in self.todo:
            for change in unkept(each.source, rules, groups, self.writer):
                lost = f"{each.source.shown}: {change.what} {change.found} would become {change.expected}"
                if not has_rules:
                    raise RepositoryError(
                        f"{lost} here: do it as root on a machine that knows the account, or keep an "
                        f"{FILE_NAME}, which can say so"
                    )
                given = rules.decide(each.source, groups)
                origins = ", ".join(given.origins) if given is not None else "none"
                raise RepositoryError(f"{lost}, by another rule of attributes.yaml ({origins}): correct that one")

    def _extended(self) -> AttributeRules:
        """The rules as they are to be. Raises ConfigError where none can be added."""
        if not self.rules_file.is_file() or self.rules_file.is_symlink():
            raise ConfigError(f"{self.rules_file} is not a regular file, and is not written to")
        known = self.config.known_groups
        self.content = extended(self.rules_file.read_bytes(), self.rules_file, known, self.additions)
        return parse(self.content.decode("utf-8-sig"), self.rules_file, known)

    def carry_out(self, *, write: bool) -> None:
        """Tell what has to be done, and do it with `write`."""
        words = cache(lambda nodes: whom(nodes, self.config))  # most places are for the same nodes
        with closing(MasterdirLock(self.config.masterdir)) if write else nullcontext():
            if write:
                self.check()  # nobody else changes it from now on
            if self.additions:
                if write:
                    self._write_rules()
                self._tell(f"attributes.yaml {'got' if write else 'would get'} {_rules_in_words(self.additions)}")
            for each in self.todo:
                if write:
                    self._write(each)
                self._tell(f"{in_words(each, done=write)}, for {words(each.nodes)}")
        same = len(self.proposal.placements) - len(self.todo)
        if not self.todo:
            shown = self.proposal.placements[-1].source.shown if same == 1 else "what is in overlay/"
            self._tell(f"{printable(self.intake.path)} is the same as {shown}, nothing to do")

    def _tell(self, line: str) -> None:
        print(f"{self.node.name}: {line}")

    def _write_rules(self) -> None:
        found = self.rules_file.lstat()
        owners = (found.st_uid, found.st_gid)
        self.store.file(FILE_NAME.encode(), BytesIO(self.content), stat.S_IMODE(found.st_mode), owners)

    def _write(self, each: Placement) -> None:
        relative, state, owners = each.source.relative, each.state, self.writer.owners(each.state)
        if each.same_contents:
            self.store.attributes(relative, state, owners)
        elif state.kind is Kind.DIRECTORY:
            self.store.directory(relative, state.mode, owners)
        elif state.kind is Kind.LINK:
            self.store.link(relative, state.target or b"", owners)
        else:
            with self.intake.open(Found(each.source.destination, state)) as content:
                self.store.file(relative, content, state.mode, owners)


def _rules_in_words(additions: Sequence[Addition]) -> str:
    """`a rule for overlay/etc/fstab._node1 (mode 0600)`."""
    if len(additions) > 1:
        return f"rules for {len(additions)} sources"
    said = ", ".join(f"{attribute} {word}" for attribute, word in additions[0].said)
    return f"a rule for {printable(additions[0].relative)} ({said})"
