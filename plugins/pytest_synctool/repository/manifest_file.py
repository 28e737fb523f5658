"""Reading of a saved manifest. A text that is not one is an error with the place of the fault, whatever it contains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, cast

from pytest_synctool.errors import RepositoryError
from pytest_synctool.repository.manifest import EntryManifest, NodeManifest

_PARTS: Final = ("overlay", "delete", "tasks", "post", "scripts")
_ACCOUNT: Final = (str, int)
_FIELDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    **dict.fromkeys(("source", "type", "mode", "md5", "digest", "target", "validate", "decrypt", "error"), str),
    **{"exclusive": str, "capabilities": str, "acl": str, "selinux": str, "allow": list, "in_place": bool},
    **{"owner": _ACCOUNT, "group": _ACCOUNT, "size": int, "sensitive": bool, "follow": bool, "template": bool},
}


def parse(text: str, name: str) -> dict[str, NodeManifest]:
    """Parse the text of a manifest. `name` is that of the file. Raises RepositoryError."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")  # names are bytes of file names
        return {node: _node(_object(each, node), node) for node, each in _object(value, "it").items()}
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RepositoryError(f"{name} is not a manifest of this version (synctool --manifest): {reason}") from error


def _node(value: Mapping[str, object], node: str) -> NodeManifest:
    ignored = value.get("ignored", False)
    if not isinstance(ignored, bool):
        raise ValueError(f"{_shown(node)}: expected ignored: true or false")
    manifest: dict[str, object] = {"ignored": ignored}
    for part in ("groups", "always_run"):
        texts = value.get(part)
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            raise ValueError(f"{_shown(node)}, {part}: expected a list of texts")
        manifest[part] = texts
    for part in _PARTS:
        entries = _object(value.get(part), f"{node}, {part}")
        manifest[part] = {path: _entry(_object(each, path), path) for path, each in entries.items()}
    commands = _object(value.get("on_update"), f"{node}, on_update")
    if not all(isinstance(each, str) for each in commands.values()):
        raise ValueError(f"{_shown(node)}, on_update: expected commands")
    manifest["on_update"] = commands
    return cast("NodeManifest", manifest)


def _entry(value: Mapping[str, object], path: str) -> EntryManifest:
    if "source" not in value:
        raise ValueError(f"{_shown(path)}: no source")
    for key, each in value.items():
        kinds = _FIELDS.get(key)
        if kinds is None or not isinstance(each, kinds) or (isinstance(each, bool) and kinds is not bool):
            raise ValueError(f"{_shown(path)}: {_shown(key)} has an unexpected value")
        if isinstance(each, list) and not all(isinstance(text, str) for text in each):
            raise ValueError(f"{_shown(path)}: expected a list of texts as {_shown(key)}")
    return cast("EntryManifest", value)


def _object(value: object, place: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{_shown(place)}: expected an object")
    return value


def _shown(text: str) -> str:
    return ascii(text[:100])
