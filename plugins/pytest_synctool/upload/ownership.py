"""Whom and which mode a node's file has when it is written here, and what attributes.yaml has to say beside."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pytest_synctool.audit.compare import compare
from pytest_synctool.common.accounts import group_id, group_name, owner_name, user_id
from pytest_synctool.model import Change, FileState, Kind
from pytest_synctool.repository.attributes import AttributeRules
from pytest_synctool.repository.attributes.appender import Addition
from pytest_synctool.repository.attributes.rules import is_account, is_number, written
from pytest_synctool.repository.source import Source

_OWNED: Final = ("owner", "group", "mode")


@dataclass(frozen=True, slots=True)
class Writer:
    """A user that writes files: root may give them to anybody, others to their own groups."""

    uid: int
    gid: int
    groups: frozenset[int]

    @classmethod
    def this(cls) -> Writer:
        """The user that this process acts as."""
        return cls(os.geteuid(), os.getegid(), frozenset((*os.getgroups(), os.getegid())))

    def owners(self, state: FileState) -> tuple[int, int]:
        """User and group, by number, of what is written for a state: those of its names, else of its numbers."""
        uid = user_id(state.owner) if state.owner is not None else None
        gid = group_id(state.group) if state.group is not None else None
        uid, gid = state.uid if uid is None else uid, state.gid if gid is None else gid
        if self.uid == 0:
            return uid, gid
        return self.uid, gid if gid in self.groups else self.gid

    def as_written(self, state: FileState) -> FileState:
        """The state as it will be found here."""
        uid, gid = self.owners(state)
        return replace(state, uid=uid, gid=gid, owner=owner_name(uid), group=group_name(gid))


def unkept(source: Source, rules: AttributeRules, groups: Sequence[str], writer: Writer) -> list[Change]:
    """What of owner, group and mode of a node's file would be lost.

    The state of `source` is the node's, `groups` are the node's groups.
    """
    given = rules.decide(source, groups)
    expected = writer.as_written(source.state)
    return compare(expected if given is None else given.applied(expected), source.state)


def needed(source: Source, rules: AttributeRules, groups: Sequence[str], writer: Writer) -> Addition | None:
    """What has to be said in a file of rules, so that they alone give a node's file what it has on the node."""
    given = rules.decide(source, groups)
    wrong = {change.what for change in unkept(source, rules, groups, writer)}
    state = source.state
    words = {
        "owner": _account(state.owner, state.uid),
        "group": _account(state.group, state.gid),
        "mode": written("mode", state.mode),
    }
    said = tuple(
        (attribute, words[attribute])
        for attribute in (_OWNED[:2] if state.kind is Kind.LINK else _OWNED)
        if attribute in wrong or given is None or getattr(given, attribute) is None
    )
    return Addition(source.relative, said) if said else None


def _account(name: str | None, number: int) -> str:
    """The name, by which nodes are compared, or the number where there is none that a rule can hold."""
    return str(number) if name is None or is_number(name) or not is_account(name) else name
