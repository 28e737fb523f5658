"""Owner, group and mode of a node's file on the controller, and the rules of attributes.yaml that keep the rest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pytest_synctool.audit.compare import compare
from pytest_synctool.common.accounts import group_name, owner_name
from pytest_synctool.model import Change, FileState, Kind
from pytest_synctool.repository.attributes import AttributeRules
from pytest_synctool.repository.attributes.appender import Addition
from pytest_synctool.repository.attributes.rules import format_value, is_account, is_number
from pytest_synctool.repository.source import Source
from pytest_synctool.upload.masterdir_writer import OwnerIds

_OWNED: Final = ("owner", "group", "mode")
_UNSAFE: Final = 0o7022  # setuid, setgid, sticky, and the right to write for the group and for others


@dataclass(frozen=True, slots=True)
class WritingUser:
    """A user who writes files. What a node says of owners and modes stays off this machine's disk.

    A setuid program, or a file that another user may write, would be one here, too. attributes.yaml has the rest.
    """

    uid: int
    gid: int

    @classmethod
    def this(cls) -> WritingUser:
        """Return the user that this process acts as."""
        return cls(os.geteuid(), os.getegid())

    @property
    def owner(self) -> OwnerIds:
        """User and group of all files that this user writes."""
        return OwnerIds(self.uid, self.gid)

    def as_written(self, state: FileState) -> FileState:
        """Return the state of the file that this user writes for a state: nobody else can write it."""
        user, group = owner_name(self.uid), group_name(self.gid)
        mode = state.mode if state.kind is Kind.LINK else state.mode & ~_UNSAFE
        return replace(state, uid=self.uid, gid=self.gid, owner=user, group=group, mode=mode)


def unkept(source: Source, rules: AttributeRules, groups: Sequence[str], user: WritingUser) -> list[Change]:
    """Return the differences in owner, group and mode that an upload to `source` would cause.

    The state of `source` is the node's, `groups` are the node's groups.
    """
    attributes = rules.decide(source, groups)
    expected = user.as_written(source.state)
    return compare(expected if attributes is None else attributes.applied(expected), source.state)


def needed(source: Source, rules: AttributeRules, groups: Sequence[str], user: WritingUser) -> Addition | None:
    """Return the rule that attributes.yaml needs so that its rules alone keep owner, group and mode of the node."""
    attributes = rules.decide(source, groups)
    wrong = {change.what for change in unkept(source, rules, groups, user)}
    state = source.state
    words = {
        "owner": _account(state.owner, state.uid),
        "group": _account(state.group, state.gid),
        "mode": format_value("mode", state.mode),
    }
    settings = tuple(
        (attribute, words[attribute])
        for attribute in (_OWNED[:2] if state.kind is Kind.LINK else _OWNED)
        if attribute in wrong or attributes is None or getattr(attributes, attribute) is None
    )
    return Addition(source.relative, settings) if settings else None


def _account(name: str | None, number: int) -> str:
    """Return the name of an account, by which nodes are compared, or its number if no rule can hold the name."""
    return str(number) if name is None or is_number(name) or not is_account(name) else name
