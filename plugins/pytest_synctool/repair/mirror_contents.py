"""The part of a masterdir that one node gets: the files that it may see, and files made for it in place of the rest.

The part is complete in itself: a node that audits itself finds the same drift as the controller does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from pytest_synctool.model import ABSENT, Kind
from pytest_synctool.repair.mirror_script import Basis
from pytest_synctool.repository import attributes, waivers
from pytest_synctool.repository.attributes import writer
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.entry_commands import owners
from pytest_synctool.repository.secrecy import secret
from pytest_synctool.repository.source import Tree

# Bytes of a file: reading what is there, for rsync, then takes less time than most networks.
_WORTH_A_COPY: Final = 16 << 20
_MOST_OF_BASES: Final = 4000  # bytes of their names: they travel in one argument, where quotes make them longer

_OVERLAY: Final = os.fsencode(Tree.OVERLAY.value) + b"/"


@dataclass(frozen=True, slots=True)
class Secret:
    """The origin of contents that nobody may see: a file below the masterdir, and what was made of it."""

    source: bytes
    origin: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Extract:
    """The contents of one mirror. `names` are files, directories and links below the masterdir, sorted.

    `bases` are the places on the node of the largest files, which rsync may use for those that the mirror lacks.
    `made` has made files with their contents. `secret` are the names of those whose contents are in memory only, each
    with what decides them.
    """

    names: tuple[bytes, ...]
    made: Mapping[bytes, bytes]
    secret: Mapping[bytes, Secret] = field(default_factory=dict)
    bases: tuple[Basis, ...] = ()

    @property
    def has_contents(self) -> bool:
        """True if contents of files for the node are among what is made: then there is no other place for them."""
        return any(name.startswith(_OVERLAY) for name in self.made)

    def fingerprint(self, masterdir: bytes, known: dict[bytes, bytes]) -> str:
        """Return 32 hex digits that change when any of the contents does. `known` caches versions for other mirrors."""
        digest, above = hashlib.md5(usedforsecurity=False), os.path.join(masterdir, b"")
        for name in self.names:
            version = known.get(name)
            if version is None:
                version = known[name] = _version(above + name)
            digest.update(b"%s\0%s\0" % (name, version))
        for name, content in sorted(self.made.items()):
            if (hidden := self.secret.get(name)) is not None:  # others see the fingerprint, and could try contents
                content = repr((_version(os.path.join(masterdir, hidden.source)), hidden.origin)).encode()
            digest.update(b"%s\0%d\0%s" % (name, len(content), content))
        return digest.hexdigest()


def extract(entries: Sequence[Entry], scripts: Iterable[bytes] = (), waived: str = "") -> Extract:
    """Return the mirror's contents for a node with these entries; `waived` is the text of its waivers.yaml.

    Of delete/ only names matter, so empty files stand for its entries. A made attributes.yaml has the attributes of
    exactly these sources.
    """
    made = {entry.source.relative: b"" for entry in entries if entry.tree is Tree.DELETE}
    overlay = ((entry.source, entry.attributes) for entry in entries if entry.tree is Tree.OVERLAY)
    if text := writer.mirror_text(overlay):
        made[os.fsencode(attributes.FILE_NAME)] = text.encode("utf-8")
    secrets: dict[bytes, Secret] = {}
    for entry in entries:
        source = entry.source
        if source.made is not None:
            made[source.mirrored] = source.made.content
            if source.made.decrypted or secret(entry, entry.expected, ABSENT) is not None:
                secrets[source.mirrored] = Secret(source.relative, (entry.decrypt, *source.made.origin))
    if waived:
        made[os.fsencode(waivers.FILE_NAME)] = waived.encode("utf-8")
    return Extract(tuple(visible(entries, scripts)), made, secrets, _bases(entries))


def _bases(entries: Iterable[Entry]) -> tuple[Basis, ...]:
    """Return the largest files and their places on the node."""
    bases = set()
    for entry in entries:
        source, state = entry.source, entry.source.state
        is_file = state.kind is Kind.FILE and source.made is None
        if state.size >= _WORTH_A_COPY and is_file and entry.tree is Tree.OVERLAY:
            bases.add(Basis(entry.destination, source.relative, state.size))
    largest = sorted(bases, key=lambda basis: basis.size, reverse=True)
    lengths = accumulate(len(b"\n".join(basis.words)) + 1 for basis in largest)
    return tuple(basis for basis, length in zip(largest, lengths, strict=True) if length <= _MOST_OF_BASES)


def visible(entries: Iterable[Entry], scripts: Iterable[bytes] = ()) -> list[bytes]:
    """Return the names below the masterdir that a node may see, sorted: sources, triggers, tasks and scripts/.

    Of delete/ only triggers are included. Made contents are not files of the masterdir.
    """
    names = {*scripts}
    for entry in owners(entries):
        if entry.tree is not Tree.DELETE and entry.source.made is None:
            names.add(entry.source.relative)
        if entry.trigger is not None:
            names.add(entry.trigger)
    return sorted(names)


def _version(path: bytes) -> bytes:
    """Return a value that changes whenever the file changes. Not even the file's owner can set the time of a change."""
    try:
        status = os.lstat(path)
    except OSError:
        return b"gone"
    return b"%d %d %d" % (status.st_ino, status.st_size, status.st_ctime_ns)
