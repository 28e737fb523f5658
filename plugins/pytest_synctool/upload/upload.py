"""An upload carried out: what would be lost is checked first, then rules and files are written."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from pytest_synctool.common.wording import printable
from pytest_synctool.config import Config
from pytest_synctool.errors import ConfigError, RepositoryError
from pytest_synctool.model import Kind, Node
from pytest_synctool.repository.attributes import FILE_NAME, AttributeRules, parse
from pytest_synctool.repository.attributes.appender import Addition, extended
from pytest_synctool.repository.lock import MasterdirLock
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.upload.masterdir_writer import Store
from pytest_synctool.upload.node_archive import Found, Intake
from pytest_synctool.upload.ownership import Writer, needed, unkept
from pytest_synctool.upload.placement import Placement, Proposal, in_words, whom


@dataclass
class Upload:
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
