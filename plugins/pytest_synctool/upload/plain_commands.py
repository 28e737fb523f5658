"""An upload as the shell commands that a person would type on the controller. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pytest_synctool.common.shell import words
from pytest_synctool.common.ssh_address import AddressError, parse, url_host
from pytest_synctool.common.wording import printable
from pytest_synctool.model import FileState, Kind, Node
from pytest_synctool.upload.placement import Placement


def commands(placement: Placement, node: Node, masterdir: Path, written: FileState) -> Iterator[bytes]:
    """Yield the lines that bring one file of a node to its place. `written` is the state that it gets there."""
    path, relative = placement.source.destination, placement.source.relative
    place = os.path.join(os.fsencode(masterdir), relative)
    yield f"# uploading {printable(path)} to {placement.source.shown}".encode()
    existing = None if placement.same_contents else placement.existing
    if existing is not None and (existing.state.kind is not written.kind or written.kind is Kind.LINK):
        yield words(b"rm", place)
    if written.kind is Kind.LINK:
        yield words(b"ln", b"-s", written.target or b"", place)
        return
    if written.kind is Kind.DIRECTORY and placement.existing is None:
        yield words(b"mkdir", place)
    elif written.kind is not Kind.DIRECTORY and not placement.same_contents:
        yield _copy(node, path, place)
    yield words(b"chmod", b"%04o" % written.mode, place)


def _copy(node: Node, path: bytes, place: bytes) -> bytes:
    """Return the line that copies a file from a node: a comment where that is not by ssh."""
    try:
        address = parse(node.connection.partition("?")[0] if node.connection else node.address)
    except AddressError:
        return b"# copy %s of %s to %s" % (printable(path).encode(), node.name.encode(), printable(place).encode())
    user = f"{address.user}@" if address.user else ""
    port = ("-P", address.port) if address.port else ()
    origin = f"{user}{url_host(address.host).replace('%25', '%')}:"
    return words(b"scp", *(os.fsencode(word) for word in port), os.fsencode(origin) + path, place)
