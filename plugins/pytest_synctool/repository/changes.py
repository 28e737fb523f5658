"""The effect of a change of the masterdir on nodes, in words: two manifests compared. No input or output."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pytest_synctool.common.wording import printable
from pytest_synctool.model import Kind
from pytest_synctool.repository.manifest import Entries, EntryManifest, NodeManifest
from pytest_synctool.repository.patterns import PatternError, regex

Manifest = Mapping[str, NodeManifest]
"""The manifests of nodes by name."""

Keep = Callable[[str], str]
"""A function that returns the keyed digest of a text: `KEY:DIGEST`."""


class Effect(NamedTuple):
    """An effect on one destination: `text` is one line about it. `path` is empty for the node itself."""

    path: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects of a change, each with the names of its nodes, by destination. `unchanged` are all other nodes."""

    nodes_of: Mapping[Effect, list[str]]
    unchanged: list[str]


def effects(old: Manifest, new: Manifest, keep: Keep) -> Effects:
    """Return the effects of a change from the old manifest to the new one."""
    nodes_of: dict[Effect, list[str]] = {}
    unchanged = []
    for name in dict.fromkeys((*new, *old)):
        before, after = old.get(name), new.get(name)
        lines = list(_of_node(before, after, keep))
        for line in lines:
            nodes_of.setdefault(line, []).append(name)
        if not lines:
            unchanged.append(name)
    ordered = dict(sorted(nodes_of.items(), key=lambda item: item[0].path))
    return Effects(ordered, unchanged)


def _of_node(old: NodeManifest | None, new: NodeManifest | None, keep: Keep) -> Iterator[Effect]:
    was_used, is_used = (each is not None and not each.get("ignored", False) for each in (old, new))
    if new is None or (was_used and not is_used):
        if was_used:
            yield Effect(b"", f"{'no longer a node' if new is None else 'ignored from now on'}, stays as it is")
        return
    if not was_used or old is None:
        if is_used:
            number = len(new["overlay"]) + len(new["delete"])
            plural = "y" if number == 1 else "ies"
            yield Effect(b"", f"{'a new node' if old is None else 'no longer ignored'}, with {number} entr{plural}")
        return
    if old["groups"] != new["groups"]:
        yield Effect(b"", f"groups {' '.join(map(_shown, old['groups']))} -> {' '.join(map(_shown, new['groups']))}")
    for path in dict.fromkeys((*old["overlay"], *old["delete"], *new["overlay"], *new["delete"])):
        if text := _of_path(path, old, new, keep):
            yield Effect(_bytes(path), f"{_shown(path)} {text}")
    yield from _of_commands(old, new, keep)


def _of_path(path: str, old: NodeManifest, new: NodeManifest, keep: Keep) -> str:
    """Return the effect on one destination, or an empty text."""
    before, after = old["overlay"].get(path), new["overlay"].get(path)
    was_deleted, deleted = path in old["delete"], new["delete"].get(path)
    if after is None and deleted is None:
        if was_deleted:
            return "may exist again"
        top = _exclusive_directory(path, new["overlay"])
        return "no longer managed, " + (f"removed from {_shown(top)}, which is exclusive" if top else "stays as it is")
    if deleted is not None:
        return "" if was_deleted else f"must not exist any more ({_shown(deleted['source'])}){_runs(path, new)}"
    assert after is not None
    if before is None:
        how = "must exist again" if was_deleted else "is new"
        exclusive = "" if after.get("exclusive", "no") == "no" else f", exclusive ({_value(after.get('exclusive'))})"
        return f"{how}: {_in_words(after)}{exclusive}, from {_shown(after['source'])}{_runs(path, new)}"
    differences = list(_differences(before, after, keep))
    remarks = [
        f"{name} {_value(before.get(name))} -> {_value(after.get(name))}"
        for name in (
            "validate",
            "sensitive",
            "follow",
            "template",
            "decrypt",
            "in_place",
            "capabilities",
            "acl",
            "selinux",
            "exclusive",
            "allow",
        )
        if before.get(name) != after.get(name)
    ]
    if differences and before["source"] != after["source"]:
        remarks.append(f"from {_shown(after['source'])}")
    return ", ".join((*differences, *remarks)) + (_runs(path, new) if differences else "")


def _exclusive_directory(path: str, overlay: Entries) -> str:
    """Return the exclusive directory that a path in no entry would be removed from, or an empty text."""
    top = os.path.dirname(path)
    while top not in ("", "/"):
        entry: EntryManifest = overlay.get(top, {})
        if (exclusive := entry.get("exclusive")) is not None:
            is_meant = exclusive == "tree" or (exclusive == "yes" and top == os.path.dirname(path))
            below = path.removeprefix(top)
            return top if is_meant and not any(_matches(each, below) for each in entry.get("allow", ())) else ""
        top = os.path.dirname(top)
    return ""


def _matches(pattern: str, path: str) -> bool:
    try:
        return re.fullmatch(regex(pattern), path) is not None
    except PatternError:
        return False


def _differences(before: EntryManifest, after: EntryManifest, keep: Keep) -> Iterator[str]:
    """Yield what changes on a node."""
    if "error" in before or "error" in after:
        if before != after:
            yield f"is unknown: {_shown(after.get('error') or before.get('error', ''))}"
        return
    if before.get("type") != after.get("type"):
        yield f"type {_value(before.get('type'))} -> {_in_words(after)}"
        return
    if after.get("type") == Kind.LINK.value:
        yield from _targets(before, after)
    else:
        yield from _contents(before, after, keep)
    yield from (
        f"{name} {_value(before.get(name))} -> {_value(after.get(name))}"
        for name in ("mode", "owner", "group")
        if before.get(name) != after.get(name)
    )


def _contents(before: EntryManifest, after: EntryManifest, keep: Keep) -> Iterator[str]:
    if before.get("size") != after.get("size"):
        yield f"contents, {before.get('size')} -> {after.get('size')} bytes"
    elif (same := _same_contents(before, after, keep)) is not True:
        yield "contents, of the same size" if same is False else "contents may differ, by digests of another key"


def _same_contents(before: EntryManifest, after: EntryManifest, keep: Keep) -> bool | None:
    """Return True or False, or None if the digests cannot be compared. A digest is made from the MD5."""
    if "md5" in before and "md5" in after:
        return before["md5"] == after["md5"]
    digests = [keep(each["md5"]) if "md5" in each else each.get("digest", "") for each in (before, after)]
    keys = {digest.partition(":")[0] for digest in digests}
    return digests[0] == digests[1] if len(keys) == 1 else None


def _targets(before: EntryManifest, after: EntryManifest) -> Iterator[str]:
    if "target" in before and "target" in after:
        if before["target"] != after["target"]:
            yield f"link target {_shown(before['target'])} -> {_shown(after['target'])}"
    elif before.get("digest") != after.get("digest"):
        yield "link target"


def _of_commands(old: NodeManifest, new: NodeManifest, keep: Keep) -> Iterator[Effect]:
    """Yield the effects on commands, which nothing runs by itself."""
    for path in dict.fromkeys((*old["post"], *new["post"])):
        if text := _of_command(old["post"].get(path), new["post"].get(path), keep):
            yield Effect(_bytes(path), f"{_shown(path)} {text}")
    for path in dict.fromkeys((*old["on_update"], *new["on_update"])):
        commands = [each["on_update"].get(path) for each in (old, new)]
        if commands[0] != commands[1]:
            yield Effect(_bytes(path), f"{_shown(path)} on_update {_value(commands[0])} -> {_value(commands[1])}")
    yield from _of_programs(old["tasks"], new["tasks"], keep, "task {} {}", "")
    yield from _of_programs(old["scripts"], new["scripts"], keep, "{} {}", ", for the next command that uses it")
    for command in dict.fromkeys((*old["always_run"], *new["always_run"])):
        if (command in old["always_run"]) is not (command in new["always_run"]):
            verb = "runs" if command in new["always_run"] else "no longer runs"
            yield Effect(b"", f"every repair {verb} {_shown(command)}")


def _of_programs(old: Entries, new: Entries, keep: Keep, words: str, remark: str) -> Iterator[Effect]:
    """Yield the effects on programs that are there for others. `words` have places for a path and its change."""
    for path in dict.fromkeys((*old, *new)):
        before, after = old.get(path), new.get(path)
        if before is None or after is None:
            yield Effect(_bytes(path), words.format(_shown(path), "is new" if before is None else "is gone"))
        elif list(_contents(before, after, keep)):
            yield Effect(_bytes(path), words.format(_shown(path), f"has other contents{remark}"))


def _of_command(before: EntryManifest | None, after: EntryManifest | None, keep: Keep) -> str:
    if after is None:
        return f"loses the trigger {_shown(before['source'])}" if before is not None else ""
    if before is None:
        return f"gets the trigger {_shown(after['source'])}"
    is_unknown = "error" in before or "error" in after
    if before == after or not (is_unknown or list(_contents(before, after, keep))):
        return ""
    return f"has another trigger: {_shown(after['source'])}, which runs after the next change"


def _runs(path: str, new: NodeManifest) -> str:
    """Return `; runs TRIGGER` if a change of the destination runs commands: its own, and those of its directory."""
    above = path.rpartition("/")[0]
    owners = [path, *([f"{above}/"] if path in new["delete"] else []), *([above] if above in new["overlay"] else [])]
    commands = [
        command
        for each in owners
        for command in (new["post"].get(each, {}).get("source"), new["on_update"].get(each))
        if command is not None
    ]
    return f"; runs {', '.join(map(_shown, dict.fromkeys(commands)))}" if commands else ""


def _in_words(entry: EntryManifest) -> str:
    """Return `file 0644 root:root, 12 bytes`."""
    if "error" in entry:
        return _shown(entry["error"])
    owners = f"{_value(entry.get('owner'))}:{_value(entry.get('group'))}"
    if entry.get("type") == Kind.LINK.value:
        target = f" to {_shown(entry['target'])}" if "target" in entry else ""
        return f"{entry.get('type')}{target} {owners}"
    size = entry.get("size")
    length = "" if size is None else f", {size} byte{'' if size == 1 else 's'}"
    return f"{entry.get('type')} {entry.get('mode')} {owners}{length}"


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return ("yes" if value else "no") if isinstance(value, bool) else _shown(str(value))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _shown(text: str) -> str:
    return printable(_bytes(text))
