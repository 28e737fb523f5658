"""One upload: check first that nothing would be lost, then write rules and files."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from pytest_synctool.common.console import shown
from pytest_synctool.common.wording import printable
from pytest_synctool.config import Config
from pytest_synctool.errors import ConfigError, RepositoryError
from pytest_synctool.model import Kind, Node
from pytest_synctool.repository.attributes import FILE_NAME, AttributeRules, parse
from pytest_synctool.repository.attributes.appender import Addition, append_rules
from pytest_synctool.repository.lock import MasterdirLock
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.upload.masterdir_writer import MasterdirWriter, OwnerIds
from pytest_synctool.upload.node_archive import NodeArchive, NodeFile
from pytest_synctool.upload.ownership import WritingUser, needed, unkept
from pytest_synctool.upload.placement import Placement, Proposal, in_words, node_names_in_words
from pytest_synctool.upload.plain_commands import commands


@dataclass
class Upload:
    """The files of a node and their places in overlay/. With `unix`, the steps are printed as shell commands."""

    config: Config
    repository: Repository
    node: Node
    archive: NodeArchive
    proposal: Proposal
    unix: bool = False

    def __post_init__(self) -> None:
        self.user = WritingUser.this()
        self.writer = MasterdirWriter(self.config.masterdir)
        self.rules_file = self.config.masterdir / FILE_NAME
        self.pending: list[Placement] = [each for each in self.proposal.placements if not each.is_done]
        self.additions: list[Addition] = []
        self.new_rules = b""

    def check(self) -> None:
        """Raise SynctoolError if the upload would lose anything; set the rules that attributes.yaml needs."""
        for each in self.pending:
            self.writer.check(each.source.relative, None if each.existing is None else each.existing.state)
        rules, groups = self.repository.attributes, self.node.groups
        has_rules = os.path.lexists(self.rules_file)
        additions = (
            needed(each.source, rules, groups, self.user)
            for each in self.pending
            if has_rules or unkept(each.source, rules, groups, self.user)
        )
        self.additions = [addition for addition in additions if addition is not None]
        if self.additions:
            rules = self._extended()
        for each in self.pending:
            for change in unkept(each.source, rules, groups, self.user):
                lost = f"{each.source.shown}: {change.what} {change.found} would become {change.expected}"
                attributes = rules.decide(each.source, groups)
                origins = ", ".join(attributes.origins) if attributes is not None else "none"
                raise RepositoryError(f"{lost}, by another rule of attributes.yaml ({origins}): correct that rule")

    def _extended(self) -> AttributeRules:
        """Return the rules with the additions. Raises ConfigError if the file cannot be extended."""
        present = b""
        if os.path.lexists(self.rules_file):
            if not self.rules_file.is_file() or self.rules_file.is_symlink():
                raise ConfigError(f"{self.rules_file} is not a regular file, so no rules can be added to it")
            present = self.rules_file.read_bytes()
        known = self.config.known_groups
        self.new_rules = append_rules(present, self.rules_file, known, self.additions)
        return parse(self.new_rules.decode("utf-8-sig"), self.rules_file, known)

    def run(self, *, write: bool) -> None:
        """Print every step of the upload, and do it if `write`."""
        words = cache(lambda nodes: node_names_in_words(nodes, self.config))  # most places are for the same nodes
        with closing(MasterdirLock(self.config.masterdir)) if write else nullcontext():
            if write:
                self.check()  # again, because from now on nobody else changes the masterdir
            if self.additions:
                if write:
                    self._write_rules()
                line = f"attributes.yaml {'got' if write else 'would get'} {_rules_in_words(self.additions)}"
                self._print(f"# {line}" if self.unix else line)
            for each in self.pending:
                if write:
                    self._write(each)
                if self.unix:
                    state = self.user.as_written(each.state)
                    for text in commands(each, self.node, self.config.masterdir, state):
                        self._print(os.fsdecode(text))
                else:
                    self._print(f"{in_words(each, done=write)}, for {words(each.nodes)}")
        if not self.pending and not self.unix:
            placements = self.proposal.placements
            shown = placements[-1].source.shown if len(placements) == 1 else "what is in overlay/"
            self._print(f"{printable(self.archive.path)} is the same as {shown}, nothing to do")

    def _print(self, line: str) -> None:
        print(shown(line if self.unix else f"{self.node.name}: {line}"))  # commands are for this machine

    def _write_rules(self) -> None:
        mode, owner = 0o644, self.user.owner
        if os.path.lexists(self.rules_file):
            current = self.rules_file.lstat()
            mode, owner = stat.S_IMODE(current.st_mode), OwnerIds(current.st_uid, current.st_gid)
        self.writer.file(FILE_NAME.encode(), BytesIO(self.new_rules), mode, owner)

    def _write(self, each: Placement) -> None:
        relative, state, owner = each.source.relative, self.user.as_written(each.state), self.user.owner
        if each.same_contents:
            self.writer.attributes(relative, state, owner)
        elif state.kind is Kind.DIRECTORY:
            self.writer.directory(relative, state.mode, owner)
        elif state.kind is Kind.LINK:
            self.writer.link(relative, state.target or b"", owner)
        else:
            with self.archive.open(NodeFile(each.source.destination, state)) as content:
                self.writer.file(relative, content, state.mode, owner)


def _rules_in_words(additions: Sequence[Addition]) -> str:
    """Return `a rule for overlay/etc/fstab._node1 (mode 0600)`, or the number of rules if there are several."""
    if len(additions) > 1:
        return f"rules for {len(additions)} sources"
    settings = ", ".join(f"{attribute} {word}" for attribute, word in additions[0].attributes)
    return f"a rule for {printable(additions[0].relative)} ({settings})"
