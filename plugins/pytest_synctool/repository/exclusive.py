"""Exclusive directories: what each may have on a node, from the node's entries. No input or output."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry, ExclusiveContents
from pytest_synctool.repository.patterns import is_pattern, regex
from pytest_synctool.repository.source import Tree, by_component, parents

_NO: Final = "no"
_TREE: Final = "tree"
_OF_PURGE: Final = Attributes(exclusive=_TREE, origins=("exclusive tree by purge/",))


def exclusive_contents(entries: Sequence[Entry]) -> list[ExclusiveContents]:
    """Return the contents of the exclusive directories among the entries of a node, in their order.

    A directory below an exclusive tree follows its own `exclusive`, if it has one; so do those below it.
    """
    own = {entry.destination: word for entry in entries if (word := _word(entry)) is not None}
    tops = [entry for entry in entries if own.get(entry.destination, _NO) != _NO and entry.tree is Tree.OVERLAY]
    if not tops:
        return []
    names = _names(entries, {top.destination + b"/" for top in tops})
    directories = {e.destination for e in entries if e.source.is_directory and e.tree is Tree.OVERLAY} | {*names}
    inner: dict[bytes, list[bytes]] = {}
    for directory in sorted(directories, key=by_component):
        top = next((each for each in (directory, *reversed(parents(directory))) if each in own), None)
        if top is not None and (top == directory or own[top] == _TREE):
            inner.setdefault(top, []).append(directory)
    return [_contents(top, inner[top.destination], names) for top in tops]


def as_in_purge(attributes: Attributes | None) -> Attributes:
    """Return the attributes of a directory of purge/: it is an exclusive tree unless attributes.yaml says otherwise."""
    if attributes is None:
        return _OF_PURGE
    if attributes.exclusive is not None:
        return attributes
    return replace(attributes, exclusive=_TREE, origins=(*attributes.origins, *_OF_PURGE.origins))


def can_match(pattern: str, contents: ExclusiveContents) -> bool:
    """Return True if a path, or a pattern of paths, can be that of a name that an exclusive directory must not have."""
    if not is_pattern(pattern):
        return not contents.may_have(os.fsencode(pattern))
    directory, _, name = pattern.rpartition("/")
    places = [os.fsdecode(each) for each in contents.known]
    above, below = re.compile(regex(directory)), re.compile(regex(pattern))
    return any(above.fullmatch(each) or (name == "**" and below.fullmatch(f"{each}/x")) for each in places)


def _word(entry: Entry) -> str | None:
    is_directory = entry.tree is Tree.OVERLAY and entry.source.is_directory
    return entry.attributes.exclusive if is_directory and entry.attributes is not None else None


def _names(entries: Iterable[Entry], tops: set[bytes]) -> dict[bytes, set[bytes]]:
    """Return the names that entries have in the directories above them, as far as these are in `tops` or below."""
    names: dict[bytes, set[bytes]] = {}
    prefixes = tuple(tops)
    for entry in entries:
        if entry.tree is Tree.TASKS or not entry.destination.startswith(prefixes):
            continue
        path = entry.destination
        while path.startswith(prefixes):
            path, name = os.path.split(path)
            known = names.setdefault(path, set())
            if name in known:
                break
            known.add(name)
    return names


def _contents(top: Entry, directories: Iterable[bytes], names: Mapping[bytes, set[bytes]]) -> ExclusiveContents:
    source = replace(top.source, tree=Tree.EXCLUSIVE, destination=top.destination + b"/")
    known = {directory: frozenset(names.get(directory, ())) for directory in directories}
    return ExclusiveContents(source, attributes=top.attributes, known=known)
