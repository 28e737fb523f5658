"""The unmanaged files of a node as plain values, which xdist can send from a worker to the controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_synctool.model import ABSENT, Actual, Deviation, FileState, Kind, Unknown, Unmanaged, UnmanagedFiles


def packed(unmanaged: UnmanagedFiles) -> tuple[object, ...]:
    """Return the plain values."""
    files = [(path, each.deviation.name, _packed_state(each.state)) for path, each in unmanaged.files.items()]
    return files, list(unmanaged.errors), unmanaged.is_known


def unpacked(values: Sequence[Any]) -> UnmanagedFiles:
    """Return the argument of packed()."""
    files, errors, is_known = values
    by_path = {path: Unmanaged(Deviation[name], _unpacked_state(state)) for path, name, state in files}
    return UnmanagedFiles(by_path, tuple(errors), is_known)


def _packed_state(state: Actual) -> object:
    """Return a state as plain values. Names of accounts are bytes: xdist sends no text that is not Unicode."""
    if isinstance(state, FileState):
        names = [name and name.encode("utf-8", "surrogateescape") for name in (state.owner, state.group)]
        return (state.kind.name, state.mode, state.size, state.uid, state.gid, *names, state.md5, state.target)
    return state.reason if isinstance(state, Unknown) else None


def _unpacked_state(packed: Any) -> Actual:
    if packed is None:
        return ABSENT
    if isinstance(packed, str):
        return Unknown(packed)
    kind, mode, size, uid, gid, owner, group, md5, target = packed
    owner, group = (name and name.decode("utf-8", "surrogateescape") for name in (owner, group))
    return FileState(Kind[kind], mode, size, uid, gid, owner, group, md5, target)
