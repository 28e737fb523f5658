"""Digests of the configuration and the masterdir, to check that two machines agree."""

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
from pytest_synctool.repository.entry_commands import owners
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree

_SCRIPTS: Final = "scripts"
_MOST_NAMED: Final = 3
_KINDS: Final = {kind: kind.value for kind in Kind}  # the value of a member is looked up slowly

Fingerprint = Mapping[str, str]
"""Digests by the names of their subjects: `the configuration`, or a path below the masterdir."""


def of_configuration(config: Config, nodes: Iterable[Node]) -> Fingerprint:
    """Return digests of all settings, wherever the configuration file is, and of the selected nodes."""
    settings = [(f.name, _plain(getattr(config, f.name))) for f in fields(config) if f.compare and f.name != "path"]
    return {"the configuration": digest(settings), "the selected nodes": digest([n.name for n in nodes])}


def of_masterdir(config: Config, repository: Repository, nodes: Iterable[Node]) -> Fingerprint:
    """Return digests of every entry of the nodes, with content and attributes, and of their triggers and scripts.

    Each file is read once.
    """
    lists = set(map(repository.entries, nodes))  # nodes alike share one list
    entries = {entry for each in lists for entry in each}
    values: dict[str, list[object]] = {}
    for entry in entries:
        values.setdefault(entry.source.shown, []).append(_entry(entry))
    masterdir = os.fsencode(config.masterdir)
    triggers = {entry.trigger for entry in owners(entries) if entry.trigger is not None}
    for path in (*triggers, *scripts(config.masterdir)):
        values.setdefault(printable(path), []).append(_content(os.path.join(masterdir, path)))
    values[repository.waivers.path.name] = [
        (waiver.line, waiver.paths, sorted(waiver.nodes), sorted(waiver.groups), waiver.reason, waiver.expires)
        for waiver in repository.waivers.waivers
    ]
    return {name: digest(sorted(map(repr, each))) for name, each in values.items() if each}


def difference(ours: Fingerprint, theirs: Fingerprint) -> str:
    """Return the names of at most three subjects that differ, and the number of the others; empty if none differs."""
    names = sorted({name for name in (*ours, *theirs) if ours.get(name) != theirs.get(name)}, key=_rank)
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _rank(name: str) -> tuple[bool, str]:
    return "/" in name, name  # the configuration first: it may be the cause of the other differences


def _entry(entry: Entry) -> tuple[object, ...]:
    attributes = entry.attributes
    rules = (entry.sensitive, entry.follow, None if attributes is None else attributes.validate)
    exclusive = () if attributes is None or not attributes.exclusive else (attributes.exclusive, *attributes.allow)
    above = entry.directory
    of_directory = () if above is None else (above.trigger, above.on_update)
    names_and_rules = (entry.destination, entry.trigger, entry.on_update, *of_directory, *rules, *exclusive)
    if entry.tree is Tree.DELETE:  # only the name matters
        return names_and_rules
    try:
        state = entry.expected
    except RepositoryError as error:
        return (*names_and_rules, str(error))
    return (*names_and_rules, *state_values(state))


def state_values(state: FileState) -> tuple[object, ...]:
    """Return the values of an expected state that an audit compares."""
    size = state.size if state.kind is Kind.FILE else None
    account = (state.owner or state.uid, state.group or state.gid)
    return (_KINDS[state.kind], state.mode, account, size, state.md5, state.target)


def scripts(masterdir: Path) -> Iterator[bytes]:
    """Yield the files below scripts/, which commands of the configuration may call."""
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
    """Return a value whose repr() is the same on every machine, without fields that do not take part in comparisons."""
    if isinstance(value, IgnoreRules | OnUpdate):
        return [(field.name, getattr(value, field.name)) for field in fields(value) if field.compare]
    if isinstance(value, Mapping):  # of nodes or names: there may be many, and their repr() is plain already
        return list(value.items())
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def digest(value: object) -> str:
    """Return a digest of the repr() of a value, 16 hex digits."""
    return hashlib.sha256(repr(value).encode("utf-8", "surrogateescape")).hexdigest()[:16]
