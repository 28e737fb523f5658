"""The versions of a path over many nodes: nodes with the same state together, the most first. No input or output."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import account, in_brackets, printable
from pytest_synctool.model import Absent, Actual, FileState, Kind, Unknown


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a path, and the nodes that have it, in their order."""

    state: Actual
    nodes: tuple[str, ...]


def versions(states: Iterable[tuple[str, Actual]]) -> list[Version]:
    """Group nodes by the state of a path: the version of most nodes first, else in the order of the nodes.

    Type, contents, link target, owner, group and mode make a version. What is unknown comes last, by its reason.
    """
    groups: dict[Hashable, tuple[Actual, list[str]]] = {}
    for node, state in states:
        groups.setdefault(identity(state), (state, []))[1].append(node)
    ordered = sorted(groups.values(), key=lambda group: (isinstance(group[0], Unknown), -len(group[1])))
    return [Version(state, tuple(nodes)) for state, nodes in ordered]


def identity(state: Actual) -> Hashable:
    """Return what is equal for the states of one version."""
    if not isinstance(state, FileState):
        return state
    owners = state.owner or state.uid, state.group or state.gid
    if state.kind is Kind.LINK:
        return state.kind, owners, state.target
    contents = (state.size, state.md5) if state.kind is Kind.FILE else None
    return state.kind, owners, state.mode, contents


def differ_in_contents(first: Version, second: Version) -> bool:
    """Return True if both are regular files with different contents."""
    one, other = first.state, second.state
    if not (isinstance(one, FileState) and isinstance(other, FileState)):
        return False
    return one.kind is other.kind is Kind.FILE and (one.size, one.md5) != (other.size, other.md5)


def in_words(distinct: Sequence[Version], marks: Sequence[str] | None = None, *, hides_targets: bool) -> list[str]:
    """Return a line for each version: its nodes, its state, and its text of `marks`. Digests are never shown.

    With `hides_targets`, link targets are not shown either.
    """
    numbers: dict[tuple[int, str | None], int] = {}
    for version in distinct:
        if isinstance(version.state, FileState) and version.state.kind is Kind.FILE:
            numbers.setdefault((version.state.size, version.state.md5), len(numbers) + 1)
    lines = []
    for version, mark in zip(distinct, marks or [""] * len(distinct), strict=True):
        words = _state_in_words(version.state, numbers, hides_targets=hides_targets)
        lines.append(f"{fold(version.nodes)}: {words}{in_brackets(version.nodes)}{mark}")
    return lines


def _state_in_words(state: Actual, numbers: Mapping[tuple[int, str | None], int], *, hides_targets: bool) -> str:
    if isinstance(state, Absent):
        return "missing"
    if isinstance(state, Unknown):
        return f"unknown: {state.reason}"
    owner, group = account(state.owner, state.uid), account(state.group, state.gid)
    words = [state.kind.value, f"owner {owner}", f"group {group}"]
    if state.kind is Kind.LINK:
        words.append("the target is not shown" if hides_targets else f"target {printable(state.target or b'')}")
        return ", ".join(words)
    words.append(f"mode {state.mode:04o}")
    if state.kind is Kind.FILE:
        words.append(f"{state.size:,} byte{'' if state.size == 1 else 's'}")
        if len(numbers) > 1:
            words.append(f"contents {numbers[state.size, state.md5]}")
    return ", ".join(words)
