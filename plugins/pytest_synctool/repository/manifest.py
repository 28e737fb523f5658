"""The manifest: the entries of every node as JSON in a fixed order, so that two manifests can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, NotRequired, Protocol, TypedDict

from pytest_synctool.model import Node
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.source import Tree

_TREES: Final = (Tree.OVERLAY, Tree.DELETE, Tree.TASKS)


class TextTarget(Protocol):
    """A text file, or anything else that takes text."""

    def write(self, text: str, /) -> object:
        """Write a text."""


class NodeManifest(TypedDict):
    """The entries of one node.

    `overlay`, `delete` and `tasks` map destinations to sources below the masterdir. `post` maps destinations in
    overlay/ or delete/ to triggers. Bytes that are not UTF-8 are surrogate escapes.
    """

    groups: list[str]
    overlay: dict[str, str]
    delete: dict[str, str]
    tasks: dict[str, str]
    post: dict[str, str]
    ignored: NotRequired[bool]


def of_node(repository: Repository, node: Node) -> NodeManifest:
    """Return the manifest of a node, each part sorted by destination."""
    entries = sorted(repository.entries(node), key=lambda entry: entry.destination)
    overlay, delete, tasks = (_sources(entry for entry in entries if entry.tree is tree) for tree in _TREES)
    manifest = NodeManifest(
        groups=list(node.groups),
        overlay=overlay,
        delete=delete,
        tasks=tasks,
        post={
            _text(entry.destination): _text(entry.trigger)
            for entry in entries
            if entry.trigger is not None and entry.tree is not Tree.TASKS
        },
    )
    if node.ignored:
        manifest["ignored"] = True
    return manifest


def write(repository: Repository, nodes: Iterable[Node], stream: TextTarget) -> None:
    """Write the manifests of nodes, in this order, as one JSON object in ASCII.

    Each node is written before the next one is resolved. Errors of the stream are not caught.
    """
    before = "{\n"
    for node in nodes:
        parts = (f"  {json.dumps(key)}: {_value(value)}" for key, value in of_node(repository, node).items())
        stream.write(f"{before} {json.dumps(node.name)}: {{\n" + ",\n".join(parts) + "\n }")
        before = ",\n"
    stream.write("{}\n" if before == "{\n" else "\n}\n")


def _value(value: object) -> str:
    """Return a value as JSON, a mapping with a line for each key. The `indent` of json takes four times as long."""
    if not isinstance(value, Mapping) or not value:
        return json.dumps(value)
    return "{\n   " + json.dumps(value, separators=(",\n   ", ": "))[1:-1] + "\n  }"


def _sources(entries: Iterable[Entry]) -> dict[str, str]:
    return {_text(entry.destination): _text(entry.source.relative) for entry in entries}


def _text(name: bytes) -> str:
    """Return a name as os.fsdecode() does in a UTF-8 locale."""
    return name.decode("utf-8", "surrogateescape")
