"""MadeContents that the controller makes: it renders a template for each node, and decrypts an encrypted file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import ABSENT, Node
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.secrecy import secret
from pytest_synctool.repository.source import Made
from pytest_synctool.repository.variable_files import GroupVariables

if TYPE_CHECKING:
    from pytest_synctool.repository.rendering import Renderer, Rendering

Decrypt = Callable[[bytes, str], bytes]
"""A function that returns the contents of a file, by its path and the command. It raises RepositoryError."""

_MOST_LINES: Final = 20
_HIDDEN: Final = "cannot be rendered; the message may quote contents, which are not public"


def refuse_to_decrypt(path: bytes, _command: str) -> bytes:
    """Raise RepositoryError: a run that only looks at names decrypts nothing."""
    raise RepositoryError(f"{printable(path)} is encrypted, and this run decrypts nothing")


@dataclass
class MadeContents:
    """The made contents of a cluster, each made once."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    variables: GroupVariables = field(default_factory=dict)
    decrypt: Decrypt = refuse_to_decrypt
    _read: dict[tuple[bytes, str | None], bytes | RepositoryError] = field(default_factory=dict)
    _rendered: dict[tuple[Entry, Rendering], Entry] = field(default_factory=dict)
    _lists: dict[tuple[EntryList, tuple[Entry, ...]], EntryList] = field(default_factory=dict)
    _failed: dict[Entry, Entry] = field(default_factory=dict)
    _versions: dict[Path, str] = field(default_factory=dict)

    @cached_property
    def _renderer(self) -> Renderer:
        from pytest_synctool.repository.rendering import Renderer  # loads Jinja2, and most sites have no template

        return Renderer(self.nodes, self.groups, self.variables)

    def decrypted(self, entry: Entry) -> Entry:
        """Return an entry with the contents that its command will print. It runs when they are needed."""
        made = Made(lambda: self._content(entry), decrypted=True)
        return replace(entry, source=replace(entry.source, made=made))

    def of_node(self, entries: EntryList, node: Node) -> EntryList:
        """Return the entries of a node with its templates rendered. Nodes with the same renderings share a list."""
        if not entries.templates:
            return entries
        rendered = tuple(self._rendering_of(entry, node) for entry in entries.templates)
        key = (entries, rendered)
        if key not in self._lists:
            new = dict(zip(entries.templates, rendered, strict=True))
            made = (new.get(entry, entry) for entry in entries)
            self._lists[key] = EntryList(made, entries.helpers, (), entries.exclusive)
        return self._lists[key]

    def _content(self, entry: Entry) -> bytes:
        """Return the contents of a source, decrypted if it is encrypted. Raises RepositoryError."""
        command = entry.decrypt
        key = (entry.source.relative, command)
        if key not in self._read:
            try:
                path = os.path.join(entry.source.masterdir, entry.source.relative)
                self._read[key] = entry.source.read() if command is None else self.decrypt(path, command)
            except RepositoryError as error:
                self._read[key] = error
        content = self._read[key]
        if isinstance(content, RepositoryError):
            raise content
        return content

    def _rendering_of(self, entry: Entry, node: Node) -> Entry:
        try:
            content = self._content(entry)
        except RepositoryError as error:
            if entry not in self._failed:
                self._failed[entry] = _with_made(entry, Made(_raiser(str(error)), decrypted=entry.decrypt is not None))
            return self._failed[entry]
        name = b"\0".join((entry.source.relative, os.fsencode(entry.decrypt or "")))
        rendering = self._renderer.render(name, content, node)
        key = (entry, rendering)
        if key not in self._rendered:
            self._rendered[key] = _with_made(entry, self._made(entry, rendering))
        return self._rendered[key]

    def _made(self, entry: Entry, rendering: Rendering) -> Made:
        is_decrypted = entry.decrypt is not None
        if not rendering.error:
            origin = (rendering.asked, self._files_of(rendering), self._origin if rendering.uses_cluster else "")
            return Made(lambda: rendering.content, rendering=rendering, decrypted=is_decrypted, origin=origin)
        path = printable(os.path.join(entry.source.masterdir, entry.source.relative))
        place = f"{path}:{rendering.line}" if rendering.line else path
        is_secret = secret(entry, entry.with_attributes(entry.source.state), ABSENT) is not None
        reason = _HIDDEN if is_secret and rendering.may_quote else rendering.error
        return Made(_raiser(f"{place}: {reason}"), rendering=rendering, decrypted=is_decrypted)

    def _files_of(self, rendering: Rendering) -> list[tuple[str, str]]:
        """Return the versions of the files whose variables a rendering has used: their values may be secret."""
        places = {
            self.variables[str(group)][name].place.path
            for (kind, name), group in rendering.asked
            if kind == "vars" and group is not None
        }
        for path in places - self._versions.keys():
            self._versions[path] = _version(path)
        return [(str(path), self._versions[path]) for path in sorted(places)]

    @cached_property
    def _origin(self) -> str:
        """A digest of all that templates can know of the cluster."""
        known = repr((list(self.nodes.values()), sorted(self.groups.items())))
        return hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()


def _version(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "gone"
    return f"{status.st_ino} {status.st_size} {status.st_ctime_ns}"


def _with_made(entry: Entry, made: Made) -> Entry:
    return replace(entry, source=replace(entry.source, made=made))


def _raiser(message: str) -> Callable[[], bytes]:
    def fail() -> bytes:
        raise RepositoryError(message)

    return fail


def problems(entries_of: Iterable[tuple[Node, EntryList]]) -> list[str]:
    """Return a line for each content that cannot be made, with its nodes. This runs all commands that decrypt."""
    nodes: dict[str, list[str]] = {}
    reasons: dict[EntryList, list[str]] = {}
    for node, entries in entries_of:
        if entries not in reasons:
            reasons[entries] = [reason for entry in entries if (reason := _problem(entry)) is not None]
        for reason in reasons[entries]:
            nodes.setdefault(reason, []).append(node.name)
    return [f"{reason}, for {fold(names)}" for reason, names in nodes.items()]


def check(entries_of: Iterable[tuple[Node, EntryList]]) -> None:
    """Raise RepositoryError if contents cannot be made, with a line for each of the first reasons."""
    lines = problems(entries_of)
    if not lines:
        return
    if (more := len(lines) - _MOST_LINES) > 0:
        lines = [*lines[:_MOST_LINES], f"and {more} more"]
    raise RepositoryError("\n".join(lines))


def _problem(entry: Entry) -> str | None:
    if entry.source.made is None:
        return None
    try:
        _ = entry.source.made.content
    except RepositoryError as error:
        return str(error)
    return None
