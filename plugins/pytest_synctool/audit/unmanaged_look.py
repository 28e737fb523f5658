"""The look at one node for the files that nobody manages: packages are asked, then what may differ is probed."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable

from pytest_synctool.audit import packages, unmanaged
from pytest_synctool.audit.looking import states
from pytest_synctool.common.wording import printable
from pytest_synctool.connection.exchange import Phase
from pytest_synctool.connection.transport import Transport
from pytest_synctool.model import UnmanagedFiles
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Tree


def managed_paths(entries: Iterable[Entry]) -> frozenset[bytes]:
    """Return the paths that the entries of a node manage."""
    return frozenset(entry.destination for entry in entries if entry.tree is not Tree.TASKS)


def look(directory: bytes, managed: Collection[bytes], transport: Transport, timeout: float) -> UnmanagedFiles:
    """Return the unmanaged files below a plain directory. `timeout` bounds each of two scripts, in seconds.

    Raises TransportError, and RemoteError for a node that cannot tell.
    """
    nonce = f"synctool-{secrets.token_hex(16)}".encode("ascii")
    script = packages.script(directory, nonce)
    answer = transport.run(script, timeout, Phase.PROBE, packages.LARGEST_ANSWER)
    installed = packages.parse(directory, nonce, answer.stdout)
    actual = states(transport, unmanaged.requests(installed, managed), timeout, Phase.PROBE)
    errors = []
    if not installed.is_complete:
        errors.append(f"not everything below {printable(directory)} could be looked at")
    if installed.odd_names:
        errors.append(f"{installed.odd_names:,} names below {printable(directory)} have a newline and are left out")
    return UnmanagedFiles(unmanaged.judge(installed, actual), tuple(errors))
