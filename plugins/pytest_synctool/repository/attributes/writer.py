"""Texts of attributes.yaml: from the present state of a masterdir, or for the mirror of a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from pytest_synctool.common.accounts import group_id, user_id
from pytest_synctool.common.wording import printable
from pytest_synctool.common.yaml_values import quoted
from pytest_synctool.model import Kind
from pytest_synctool.repository.attributes.rules import (
    ATTRIBUTES,
    EXCLUSIVE,
    Attributes,
    format_value,
    is_account,
    is_number,
)
from pytest_synctool.repository.patterns import escape
from pytest_synctool.repository.source import Source, Tree

_HEADER: Final = """\
# Owner, group and mode of the sources in overlay/, for a repository that does not store them.
# Read from the file system. A rule with an exact name wins over a pattern, a later pattern over an earlier one.
"""


_OF_MIRROR: Final = tuple(each for each in ATTRIBUTES if each not in ("template", "decrypt"))  # it has what they make
_MIRROR_HEADER: Final = "# The controller's attributes.yaml, reduced to this node. A later --fix may replace this file."


@dataclass(frozen=True, slots=True)
class _Fact:
    """The value of one attribute of one `path` or `source`."""

    key: str
    name: bytes
    attribute: str
    value: str


def scan(sources: Iterable[Source]) -> str:
    """Return the text of an attributes.yaml with the present owner, group and mode of the overlay sources.

    Modes of symbolic links are left out. Names that are not UTF-8 become comments because YAML cannot hold them.
    """
    from pytest_synctool.common import yaml_parser  # only here is YAML written

    overlay = sorted((s for s in sources if s.tree is Tree.OVERLAY), key=lambda s: (s.destination, s.relative))
    with_mode = [s for s in overlay if s.state.kind is not Kind.LINK]
    rules: list[dict[str, object]] = []
    unwritten: set[bytes] = set()
    if overlay:
        owner, group = _most_common(map(_owner, overlay)), _most_common(map(_group, overlay))
        rules.append({"path": "/**", "owner": owner, "group": group})
        owners, groups = _facts(overlay, "owner", _owner, owner), _facts(overlay, "group", _group, group)
        for facts in ([*owners, *groups], _facts(with_mode, "mode", _mode, None)):
            rules += _grouped(fact for fact in facts if is_utf8(fact.name))
            unwritten |= {fact.name for fact in facts if not is_utf8(fact.name)}
    left_out = "".join(f"# left out, the name is not UTF-8: {printable(name)}\n" for name in sorted(unwritten))
    return _HEADER + left_out + yaml_parser.dump(rules)


def mirror_text(chosen: Iterable[tuple[Source, Attributes | None]]) -> str:
    """Return the text of an attributes.yaml for a node's mirror of these overlay sources; empty if it needs none.

    The text has no groups and no patterns, so that it reveals nothing about other nodes. It has each owner and group
    that is not root, even if no rule gives it: on the node, the same number may be another account.
    """
    rules: dict[tuple[tuple[str, str | tuple[str, ...]], ...], list[bytes]] = {}
    for source, attributes in chosen:
        if needed := tuple(_needed(source, attributes)):
            rules.setdefault(needed, []).append(source.mirrored)
    lines = []
    for needed, names in rules.items():
        rule = [f"  {attribute}: {_yaml(value)}" for attribute, value in needed]
        lines += [f"- {rule[0].lstrip()}", *rule[1:]]
        lines += ["  source:", *(f"  - {quoted(escape(name))}" for name in names)]
    return "\n".join((_MIRROR_HEADER, *lines, "")) if lines else ""


def _yaml(value: str | tuple[str, ...]) -> str:
    return quoted(value) if isinstance(value, str) else f"[{', '.join(map(quoted, value))}]"


def _needed(source: Source, attributes: Attributes | None) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    """Yield the attributes that a mirror needs for a source, each with its value."""
    state, made = source.state, source.made
    if attributes is None and made is None and not (state.uid or state.gid):
        return  # most sources need nothing
    for attribute in _OF_MIRROR:
        value = None if attributes is None else getattr(attributes, attribute)
        if attribute == "sensitive" and (value or (made is not None and made.decrypted)):
            yield attribute, "yes"
        elif attribute in EXCLUSIVE:
            if value:
                yield attribute, value if isinstance(value, tuple) else format_value(attribute, value)
        elif value is not None and attribute != "sensitive":
            yield attribute, format_value(attribute, value)
        elif attribute == "owner" and (state.uid or made is not None):
            yield attribute, _owner(source)
        elif attribute == "group" and (state.gid or made is not None):
            yield attribute, _group(source)
        elif attribute == "mode" and made is not None:  # the mirror has it as a file of its own
            yield attribute, _mode(source)


def _facts(
    sources: Sequence[Source], attribute: str, value: Callable[[Source], str], default: str | None
) -> list[_Fact]:
    """Return the values of an attribute: by `path`, or by `source` if the sources of a destination differ.

    Values that are the default are left out.
    """
    facts = []
    for destination, group in groupby(sources, key=lambda source: source.destination):
        values = {source.relative: value(source) for source in group}
        if len(set(values.values())) == 1:
            facts.append(_Fact("path", destination, attribute, next(iter(values.values()))))
        else:
            facts += [_Fact("source", relative, attribute, each) for relative, each in values.items()]
    return [fact for fact in facts if fact.value != default]


def _grouped(facts: Iterable[_Fact]) -> Iterator[dict[str, object]]:
    """Yield rules, each for all names with the same values."""
    by_name: dict[tuple[str, bytes], list[tuple[str, str]]] = {}
    for fact in facts:
        by_name.setdefault((fact.key, fact.name), []).append((fact.attribute, fact.value))
    rules: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for (key, name), values in by_name.items():
        rules.setdefault((key, tuple(values)), []).append(escape(name))
    for (key, attributes), names in sorted(rules.items()):
        yield {**dict(attributes), key: sorted(names)}


def is_utf8(name: bytes) -> bool:
    """Return True if a name is UTF-8, so that YAML can hold it."""
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _most_common(values: Iterable[str]) -> str:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def _mode(source: Source) -> str:
    return format_value("mode", source.state.mode)


def _owner(source: Source) -> str:
    return _account_word(source.state.owner, source.state.uid, user_id)


def _group(source: Source) -> str:
    return _account_word(source.state.group, source.state.gid, group_id)


def _account_word(name: str | None, number: int, number_of: Callable[[str], int | None]) -> str:
    """Return the name of an account, or its number if a rule cannot hold the name or it is that of another number."""
    if name is None or is_number(name) or not is_account(name) or number_of(name) not in (number, None):
        return str(number)
    return name
