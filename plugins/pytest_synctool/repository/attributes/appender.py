"""Append rules to an attributes.yaml. Its present content, with all comments, stays as it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_synctool.common.wording import printable
from pytest_synctool.common.yaml_parser import dump
from pytest_synctool.errors import ConfigError
from pytest_synctool.repository.attributes.reader import parse
from pytest_synctool.repository.attributes.rules import ATTRIBUTES, AttributeRules
from pytest_synctool.repository.attributes.writer import is_utf8
from pytest_synctool.repository.patterns import escape


@dataclass(frozen=True, slots=True)
class Addition:
    """New attributes of one source: pairs of an attribute and its value, as the file has them."""

    relative: bytes
    attributes: tuple[tuple[str, str], ...]


def rules_text(additions: Sequence[Addition]) -> str:
    """Return the text of rules, one for all sources with the same attributes.

    Raises ConfigError for a name that is not UTF-8.
    """
    rules: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for addition in additions:
        if not is_utf8(addition.relative):
            raise ConfigError(f"no rule of attributes.yaml can be for {printable(addition.relative)}: it is not UTF-8")
        rules.setdefault(addition.attributes, []).append(escape(addition.relative))
    return dump([{"source": names if len(names) > 1 else names[0], **dict(pairs)} for pairs, names in rules.items()])


def append_rules(content: bytes, path: Path, known_groups: Collection[str], additions: Sequence[Addition]) -> bytes:
    """Return the content of a file of rules with more rules appended. `path` is for messages.

    Raises ConfigError if the result would not be read as the old rules followed by the new ones.
    """
    new = rules_text(additions)
    more = new.encode("utf-8") if content.endswith(b"\n") or not content else b"\n" + new.encode("utf-8")
    before = parse(_text(content, path), path, known_groups)
    try:
        after = parse(_text(content + more, path), path, known_groups)
        added = parse(new, path, known_groups)
    except ConfigError:
        after = added = AttributeRules((), path)
    number = len(before.rules)
    if not added.rules or after.rules[:number] != before.rules or _fields(after)[number:] != _fields(added):
        raise ConfigError(f"{path}: nothing can be put behind what is there; add these rules by hand:\n{new.rstrip()}")
    return content + more


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8 (byte {error.start})") from error


def _fields(rules: AttributeRules) -> list[object]:
    """Return the fields of rules without their lines, for a comparison."""
    return [(rule.names, rule.groups, *(getattr(rule, name) for name in ATTRIBUTES)) for rule in rules.rules]
