"""The manifest: the expected state of every node as JSON in a fixed order, so that two manifests can be compared."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NotRequired, Protocol, TypedDict

from pytest_synctool.common.wording import printable
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import ABSENT, FileState, Kind, Node
from pytest_synctool.repository.digests import Digests
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.fingerprint import scripts
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.secrecy import secret
from pytest_synctool.repository.source import Source, Tree, parents

_TREES: Final = (Tree.OVERLAY, Tree.DELETE, Tree.TASKS)


class TextTarget(Protocol):
    """A text file, or anything else that takes text."""

    def write(self, text: str, /) -> object:
        """Write a text."""


class EntryManifest(TypedDict, total=False):
    """The source of an entry below the masterdir, and the state that a node should have.

    `owner` and `group` are names, or numbers where there is no name. `md5` is that of public contents. Of non-public
    ones, and of the targets of links that are `sensitive`, there is a keyed `digest`. `error` is the reason why the
    contents are unknown. `template` and `decrypt` tell how the controller makes them. An entry of delete/ has only a
    source, a task or a trigger no owner and mode.
    """

    source: str
    type: str
    mode: str
    owner: str | int
    group: str | int
    size: int
    md5: str
    digest: str
    target: str
    validate: str
    sensitive: bool
    follow: bool
    in_place: bool
    capabilities: str
    acl: str
    selinux: str
    exclusive: str
    allow: list[str]
    template: bool
    decrypt: str
    error: str


Entries = Mapping[str, EntryManifest]
"""Entries by destination. Bytes that are not UTF-8 are surrogate escapes."""


class NodeManifest(TypedDict):
    """The expected state of one node. `post` and `on_update` have triggers, by destination.

    That of a directory in delete/ ends with a slash.

    `scripts` are the files in scripts/ by their names in the masterdir, `always_run` the commands of each repair.
    """

    groups: list[str]
    overlay: Entries
    delete: Entries
    tasks: Entries
    post: Entries
    on_update: Mapping[str, str]
    scripts: Entries
    always_run: list[str]
    ignored: NotRequired[bool]


def expected_state(source: Source) -> FileState:
    """Return the state that a source has on the controller, with size and MD5. Raises RepositoryError."""
    return source.expected


class Manifests:
    """The manifests of the nodes of a repository.

    `keep` returns the keyed digest of a text. `state_of` returns the state of a source before attributes.yaml.
    `always_run` are the commands of the configuration that each repair runs.
    """

    def __init__(
        self,
        repository: Repository,
        keep: Callable[[str], str],
        state_of: Callable[[Source], FileState] = expected_state,
        always_run: Sequence[str] = (),
    ) -> None:
        self._repository, self._keep, self._state_of = repository, keep, state_of
        self._always_run = list(always_run)
        self._digests = Digests()
        self._commands: dict[bytes, tuple[int, str]] = {}  # sizes and digests of files that many entries may run
        self._of_list: dict[EntryList, NodeManifest] = {}  # nodes alike share one list

    def of_node(self, node: Node) -> NodeManifest:
        """Return the manifest of a node, each part sorted by destination. The parts are shared with nodes alike."""
        entries = self._repository.entries(node)
        if entries not in self._of_list:
            self._of_list[entries] = self._of(entries)
        manifest = NodeManifest(**{**self._of_list[entries], "groups": list(node.groups)})
        if node.ignored:
            manifest["ignored"] = True
        return manifest

    def _of(self, entries: EntryList) -> NodeManifest:
        ordered = sorted(entries, key=lambda entry: entry.destination)
        modes = {
            entry.destination: entry.with_attributes(entry.source.state)
            for entry in ordered
            if entry.tree is Tree.OVERLAY
        }
        trees: dict[Tree, dict[str, EntryManifest]] = {tree: {} for tree in _TREES}
        post: dict[str, EntryManifest] = {}
        on_update: dict[str, str] = {}
        for entry in ordered:
            name, above = text_of(entry.destination), [modes[d] for d in parents(entry.destination) if d in modes]
            trees[entry.tree][name] = self._entry(entry, above)
            if entry.trigger is not None and entry.tree is not Tree.TASKS:
                post[name] = self._trigger(entry, entry.trigger, above)
            if entry.on_update is not None:
                on_update[name] = text_of(entry.on_update)
            if (directory := entry.directory) is not None:
                if directory.trigger is not None:
                    post[text_of(directory.destination)] = self._trigger(directory, directory.trigger, [])
                if directory.on_update is not None:
                    on_update[text_of(directory.destination)] = text_of(directory.on_update)
        overlay, delete, tasks = trees.values()
        return NodeManifest(
            groups=[],
            overlay=overlay,
            delete=delete,
            tasks=tasks,
            post=post,
            on_update=on_update,
            scripts=self._scripts,
            always_run=self._always_run,
        )

    @cached_property
    def _scripts(self) -> Entries:
        """The files in scripts/, which are the same for all nodes."""
        masterdir = self._repository.masterdir.path
        return {text_of(path): self._script(os.fsencode(masterdir), path) for path in sorted(scripts(masterdir))}

    def _script(self, masterdir: bytes, path: bytes) -> EntryManifest:
        return self._command(masterdir, path, self._digests, is_secret=False)

    def _entry(self, entry: Entry, above: Sequence[FileState]) -> EntryManifest:
        manifest = EntryManifest(source=text_of(entry.source.relative))
        if entry.tree is Tree.DELETE:
            return manifest
        try:
            state = entry.with_attributes(self._state_of(entry.source))
        except RepositoryError as error:
            return {**manifest, "error": str(error)}
        if entry.tree is Tree.OVERLAY:
            manifest["type"] = state.kind.value
            if state.kind is not Kind.LINK:
                manifest["mode"] = f"{state.mode:04o}"
            manifest["owner"] = state.uid if state.owner is None else state.owner
            manifest["group"] = state.gid if state.group is None else state.group
        is_secret = secret(entry, state, ABSENT, above) is not None
        self._add_contents(manifest, state, is_secret=is_secret)
        if entry.attributes is not None and entry.tree is Tree.OVERLAY:
            _add_rules(manifest, entry)
        if entry.is_template:
            manifest["template"] = True
        return manifest

    def _add_contents(self, manifest: EntryManifest, state: FileState, *, is_secret: bool) -> None:
        if state.kind is Kind.FILE:
            manifest["size"] = state.size
        if state.md5 is not None and is_secret:
            manifest["digest"] = self._keep(state.md5)
        elif state.md5 is not None:
            manifest["md5"] = state.md5
        if state.target is not None and is_secret:
            manifest["digest"] = self._keep(text_of(state.target))
        elif state.target is not None:
            manifest["target"] = text_of(state.target)

    def _trigger(self, entry: Entry, trigger: bytes, above: Sequence[FileState]) -> EntryManifest:
        state = entry.with_attributes(entry.source.state)
        is_secret = entry.tree is Tree.OVERLAY and secret(entry, state, ABSENT, above) is not None
        return self._command(entry.source.masterdir, trigger, entry.source.digests, is_secret=is_secret)

    def _command(self, masterdir: bytes, path: bytes, digests: Digests, *, is_secret: bool) -> EntryManifest:
        """Return the manifest of a file that nodes run. Its contents are secret if not everybody may read it here."""
        manifest, place = EntryManifest(source=text_of(path)), os.path.join(masterdir, path)
        try:
            size, md5 = self._commands.get(place) or digests.of(place)
            is_secret = is_secret or not Path(os.fsdecode(place)).stat().st_mode & stat.S_IROTH
        except OSError as error:
            return {**manifest, "error": f"cannot read {printable(path)}: {error.strerror}"}
        self._commands[place] = size, md5
        manifest["size"] = size
        return {**manifest, "digest": self._keep(md5)} if is_secret else {**manifest, "md5": md5}

    def write(self, nodes: Iterable[Node], stream: TextTarget) -> None:
        """Write the manifests of nodes, in this order, as one JSON object in ASCII.

        Each node is written before the next one is resolved. Errors of the stream are not caught.
        """
        before = "{\n"
        texts: dict[int, str] = {}  # by the identity of a part, which nodes alike share
        for node in nodes:
            lines = []
            for key, value in self.of_node(node).items():
                if isinstance(value, Mapping) and id(value) not in texts:
                    texts[id(value)] = _value(value)
                lines.append(f"  {json.dumps(key)}: {texts.get(id(value)) or json.dumps(value)}")
            stream.write(f"{before} {json.dumps(node.name)}: {{\n" + ",\n".join(lines) + "\n }")
            before = ",\n"
        stream.write("{}\n" if before == "{\n" else "\n}\n")


def _add_rules(manifest: EntryManifest, entry: Entry) -> None:
    """Add what attributes.yaml says beside owner, group and mode."""
    attributes = entry.attributes
    assert attributes is not None
    if attributes.validate is not None:
        manifest["validate"] = attributes.validate
    if entry.sensitive:
        manifest["sensitive"] = True
    if attributes.follow is not None:
        manifest["follow"] = attributes.follow
    if attributes.in_place is not None:
        manifest["in_place"] = attributes.in_place
    if attributes.capabilities is not None:
        manifest["capabilities"] = attributes.capabilities
    if attributes.acl is not None:
        manifest["acl"] = attributes.acl
    if attributes.selinux is not None:
        manifest["selinux"] = attributes.selinux
    if attributes.exclusive is not None:
        manifest["exclusive"] = attributes.exclusive
        if attributes.allow:
            manifest["allow"] = list(attributes.allow)
    if attributes.decrypt is not None:
        manifest["decrypt"] = attributes.decrypt


def _value(value: Mapping[str, object]) -> str:
    """Return a mapping as JSON, with a line for each key."""
    lines = [f"   {json.dumps(key)}: {json.dumps(each)}" for key, each in value.items()]
    return "{\n" + ",\n".join(lines) + "\n  }" if lines else "{}"


def text_of(name: bytes) -> str:
    """Return a name as os.fsdecode() does in a UTF-8 locale."""
    return name.decode("utf-8", "surrogateescape")
