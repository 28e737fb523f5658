"""Rules put behind those of an attributes.yaml, which stays as it is, with its comments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_synctool.common.wording import printable
from pytest_synctool.common.yaml_parser import dump
from pytest_synctool.errors import ConfigError
from pytest_synctool.repository.attributes.reader import parse
from pytest_synctool.repository.attributes.rules import AttributeRules
from pytest_synctool.repository.attributes.writer import is_utf8
from pytest_synctool.repository.patterns import escape


@dataclass(frozen=True, slots=True)
class Addition:
    """What is to be said of one source: attributes with their words."""

    relative: bytes
    said: tuple[tuple[str, str], ...]


def rules_text(additions: Sequence[Addition]) -> str:
    """The rules, one for all sources of which the same is said. Raises ConfigError for a name that no rule can have."""
    rules: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for addition in additions:
        if not is_utf8(addition.relative):
            raise ConfigError(f"no rule of attributes.yaml can be for {printable(addition.relative)}: it is not UTF-8")
        rules.setdefault(addition.said, []).append(escape(addition.relative))
    return dump([{"source": names if len(names) > 1 else names[0], **dict(said)} for said, names in rules.items()])


def append_rules(content: bytes, path: Path, known_groups: Collection[str], additions: Sequence[Addition]) -> bytes:
    """The content of a file of rules, with others behind them; `path` serves for messages.

    Raises ConfigError where that would not be read as the old rules and the new ones.
    """
    new = rules_text(additions)
    more = new.encode("utf-8") if content.endswith(b"\n") or not content else b"\n" + new.encode("utf-8")
    before = parse(_text(content, path), path, known_groups)
    try:
        after = parse(_text(content + more, path), path, known_groups)
        added = parse(new, path, known_groups)
    except ConfigError:
        after = added = AttributeRules((), path)
    here, there = _sayings(added), _sayings(after)
    if not here or after.rules[: len(before.rules)] != before.rules or there[len(before.rules) :] != here:
        raise ConfigError(f"{path}: nothing can be put behind what is there; add these rules by hand:\n{new.rstrip()}")
    return content + more


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8 (byte {error.start})") from error


def _sayings(rules: AttributeRules) -> list[object]:
    """The rules, wherever they stand."""
    return [(r.names, r.groups, r.owner, r.group, r.mode, r.validate, r.sensitive, r.follow) for r in rules.rules]
