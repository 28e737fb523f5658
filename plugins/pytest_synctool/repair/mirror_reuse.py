"""Files of a push by tar that the node has already: in its mirror, or from a push that was cut off."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Final

from pytest_synctool.audit import looking, probe
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.connection.transport import Transport
from pytest_synctool.errors import RemoteError, TransportError
from pytest_synctool.model import Actual, FileState, Kind
from pytest_synctool.repository.digests import Digests

PART: Final = b".synctool-part"  # below the mirror: what came of a push that was cut off


def present(
    transport: Transport, masterdir: bytes, names: Sequence[bytes], digests: Digests, deadline: float
) -> dict[bytes, bytes]:
    """Return the names below the node's mirror of files that need not be sent, by their names below the masterdir.

    Size, digest, owner and mode are as a push would make them. The node is asked once. Raises TransportError.
    """
    sources = _files(masterdir, names)
    requests = [
        probe.Request(os.path.join(masterdir, inside), sources[name].st_size)
        for name in sources
        for inside in _places(name)
    ]
    try:
        actual = looking.states(transport, requests, deadline, Phase.PUSH)
    except RemoteError as error:
        raise TransportError(str(error)) from error
    same: dict[bytes, bytes] = {}
    for name, source in sources.items():
        for inside in _places(name):
            state = actual[os.path.join(masterdir, inside)]
            if name not in same and _is_same(os.path.join(masterdir, name), source, state, digests):
                same[name] = inside
    return same


def _places(name: bytes) -> tuple[bytes, bytes]:
    return os.path.join(PART, name), name


def _files(masterdir: bytes, names: Sequence[bytes]) -> dict[bytes, os.stat_result]:
    """Return the regular files among these names. One that is gone is left out, as the push does."""
    files: dict[bytes, os.stat_result] = {}
    for name in names:
        try:
            status = os.lstat(os.path.join(masterdir, name))
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            files[name] = status
    return files


def _is_same(path: bytes, source: os.stat_result, actual: Actual, digests: Digests) -> bool:
    if not isinstance(actual, FileState) or actual.kind is not Kind.FILE or actual.md5 is None:
        return False
    if (actual.mode, actual.uid, actual.gid) != (stat.S_IMODE(source.st_mode), source.st_uid, source.st_gid):
        return False
    try:
        return digests.of(path) == (actual.size, actual.md5)
    except OSError:
        return False
