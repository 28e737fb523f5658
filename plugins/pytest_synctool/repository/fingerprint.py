"""What a run goes by, in digests, so that two machines can tell whether they go by the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from pytest_synctool.common.wording import printable
from pytest_synctool.config import Config
from pytest_synctool.config.ignore import IgnoreRules
from pytest_synctool.config.model import OnUpdate
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind, Node
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree

_SCRIPTS: Final = "scripts"
_MOST_NAMED: Final = 3

Fingerprint = Mapping[str, str]
"""Digests by what they are of, in words: of the configuration, or of a path below the masterdir."""


def of_configuration(config: Config, nodes: Iterable[Node]) -> Fingerprint:
    """Of all that a configuration says, wherever it stands, and of the nodes that are selected."""
    said = [(f.name, _plain(getattr(config, f.name))) for f in fields(config) if f.compare and f.name != "path"]
    return {"the configuration": digest(said), "the selected nodes": digest([n.name for n in nodes])}


def of_masterdir(config: Config, repository: Repository, nodes: Iterable[Node]) -> Fingerprint:
    """Of every entry that one of the nodes has, with its content and attributes, and of what may be run for it.

    Every file that counts is read once.
    """
    lists = set(map(repository.entries, nodes))  # nodes alike share one list
    entries = {entry for entries in lists for entry in entries}
    found: dict[str, list[object]] = {}
    for entry in entries:
        found.setdefault(entry.source.shown, []).append(_entry(entry))
    masterdir = os.fsencode(config.masterdir)
    triggers = {entry.trigger for entry in entries if entry.trigger is not None}
    for path in (*triggers, *_scripts(config.masterdir)):
        found.setdefault(printable(path), []).append(_content(os.path.join(masterdir, path)))
    found[repository.waivers.path.name] = [
        (waiver.line, waiver.paths, sorted(waiver.nodes), sorted(waiver.groups), waiver.reason, waiver.expires)
        for waiver in repository.waivers.waivers
    ]
    return {name: digest(sorted(map(repr, values))) for name, values in found.items() if values}


def difference(ours: Fingerprint, theirs: Fingerprint) -> str:
    """What is not the same, in words, some of it at least; empty if all is."""
    names = sorted({name for name in (*ours, *theirs) if ours.get(name) != theirs.get(name)}, key=_rank)
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _rank(name: str) -> tuple[bool, str]:
    return "/" in name, name  # the configuration first: much may follow from it


def _entry(entry: Entry) -> tuple[object, ...]:
    attributes = entry.attributes
    rules = (entry.sensitive, entry.follow, None if attributes is None else attributes.validate)
    said = (entry.destination, entry.trigger, entry.on_update, *rules)
    if entry.tree is Tree.DELETE:  # only the name matters
        return said
    try:
        state = entry.expected
    except RepositoryError as error:
        return (*said, str(error))
    return (*said, *state_values(state))


def state_values(state: FileState) -> tuple[object, ...]:
    """What counts of an expected state, for a digest."""
    size = state.size if state.kind is Kind.FILE else None
    account = (state.owner or state.uid, state.group or state.gid)
    return (state.kind.value, state.mode, account, size, state.md5, state.target)


def _scripts(masterdir: Path) -> Iterator[bytes]:
    """The files below scripts/, which commands of the configuration may call."""
    top = os.fsencode(masterdir)
    for directory, _, names in os.walk(os.path.join(top, os.fsencode(_SCRIPTS))):
        yield from (os.path.relpath(os.path.join(directory, name), top) for name in names)


def _content(path: bytes) -> tuple[object, ...]:
    try:
        with open(path, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest(), os.fstat(content.fileno()).st_mode
    except OSError as error:
        return (error.strerror,)


def _plain(value: object) -> object:
    """A value whose repr() is the same on every machine, without what does not count when values are compared."""
    if isinstance(value, IgnoreRules | OnUpdate):
        return [(field.name, getattr(value, field.name)) for field in fields(value) if field.compare]
    if isinstance(value, Mapping):  # of nodes or names: there may be many
        return list(value.items())
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def digest(value: object) -> str:
    """A digest of a value by its repr()."""
    return hashlib.sha256(repr(value).encode("utf-8", "surrogateescape")).hexdigest()[:16]
