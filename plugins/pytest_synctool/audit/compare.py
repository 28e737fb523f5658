"""Comparison of expected and actual states, in words that an administrator reads at a glance."""

from __future__ import annotations

from typing import Final

from pytest_synctool.common.wording import account, printable
from pytest_synctool.model import ABSENT, MISSING, Absent, Change, FileState, Kind, SELinuxLabel

_MISSING: Final = {kind: Change(MISSING, kind.value, "nothing") for kind in Kind}


def compare(expected: FileState, actual: FileState | Absent) -> list[Change]:
    """Return the differences between the expected and the actual state; empty when they agree.

    The type is compared first. If it agrees, these are compared: the size, and MD5 only where sizes agree; the link
    target; owner and group by name, or by number where a name is unknown on either side; the permission bits.
    """
    if actual is expected:
        return []
    if actual is ABSENT:
        return [_MISSING[expected.kind]]
    if expected.kind is not actual.kind:
        return [Change("type", expected.kind.value, actual.kind.value)]
    return [*_content(expected, actual), *_ownership(expected, actual)]


def _content(expected: FileState, actual: FileState) -> list[Change]:
    if expected.kind is Kind.LINK and expected.target != actual.target:
        return [Change("link target", printable(expected.target or b""), printable(actual.target or b""))]
    if expected.kind is not Kind.FILE:
        return []
    if expected.size != actual.size:
        return [Change("file size", f"{expected.size} bytes", f"{actual.size} bytes")]
    if expected.md5 != actual.md5:
        return [Change("MD5", str(expected.md5), str(actual.md5))]
    return []


def _ownership(expected: FileState, actual: FileState) -> list[Change]:
    changes = []
    if not _same(expected.owner, actual.owner, expected.uid, actual.uid):
        changes.append(Change("owner", account(expected.owner, expected.uid), account(actual.owner, actual.uid)))
    if not _same(expected.group, actual.group, expected.gid, actual.gid):
        changes.append(Change("group", account(expected.group, expected.gid), account(actual.group, actual.gid)))
    if expected.kind is not Kind.LINK and expected.mode != actual.mode:
        changes.append(Change("mode", f"{expected.mode:04o}", f"{actual.mode:04o}"))
    if expected.capabilities is not None and expected.capabilities != actual.capabilities:
        changes.append(Change("capabilities", expected.capabilities, str(actual.capabilities)))
    if expected.acl is not None and expected.acl != actual.acl:
        changes.append(Change("ACL", expected.acl, printable(str(actual.acl).encode("utf-8", "replace"))))
    if expected.label is not None:
        is_, wanted = actual.label or SELinuxLabel("unknown", expected.label.wanted)
        if is_ != wanted:
            changes.append(Change("SELinux label", wanted, is_))
    return changes


def _same(expected_name: str | None, actual_name: str | None, expected_id: int, actual_id: int) -> bool:
    if expected_name is None or actual_name is None:
        return expected_id == actual_id
    return expected_name == actual_name


def compare_owed(actual: FileState | Absent) -> list[Change]:
    """Return the difference for a command that a node owes; empty if it owes none. `actual` is the journal's file."""
    return [] if actual is ABSENT else [Change("owed", "nothing", "a command that has not run since a change")]


def compare_absent(actual: FileState | Absent) -> list[Change]:
    """Return the difference for a path that must not exist; empty if it does not."""
    if actual is ABSENT:
        return []
    shown = actual.kind.value + (" (directories are never deleted)" if actual.kind is Kind.DIRECTORY else "")
    return [Change("must not exist", "nothing", shown)]
