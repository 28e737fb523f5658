"""An attributes.yaml made from what is known: what a tree says as it stands, or what rules have decided."""

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
from pytest_synctool.repository.attributes.rules import ATTRIBUTES, Attributes, format_value, is_account, is_number
from pytest_synctool.repository.patterns import escape
from pytest_synctool.repository.source import Source, Tree

_HEADER: Final = """\
# Owner, group and mode of what is in overlay/, for a repository that does not keep them.
# Taken from the tree as it stood. A rule with an exact name wins over a pattern, a later pattern over an earlier one.
"""


_EXACT_HEADER: Final = (
    "# What the master's attributes.yaml says of what this node has. Every --fix from there may replace it."
)


@dataclass(frozen=True, slots=True)
class _Fact:
    """One attribute of one `path` or `source`, as it stands."""

    key: str
    name: bytes
    attribute: str
    value: str


def scan(sources: Iterable[Source]) -> str:
    """The text of an attributes.yaml that says owner, group and mode of the overlay sources as they stand.

    The modes of links are left out, and with a comment names that are not UTF-8, since YAML cannot hold them.
    """
    from pytest_synctool.common import yaml_parser  # only this writes YAML

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
    """The text of an attributes.yaml for a copy of these overlay sources, with what was decided for each; or nothing.

    It has no groups and no patterns, so that nothing else is told by it. Where the owner or group is not root, they are
    said too: a copy may have them by numbers that mean somebody else there.
    """
    rules: dict[tuple[tuple[str, str], ...], list[bytes]] = {}
    for source, given in chosen:
        if said := tuple(_said(source, given)):
            rules.setdefault(said, []).append(source.relative)
    lines = []
    for said, names in rules.items():
        lines += [f"  {attribute}: {quoted(value)}" for attribute, value in said]
        lines[-len(said)] = f"- {lines[-len(said)].lstrip()}"
        lines += ["  source:", *(f"  - {quoted(escape(name))}" for name in names)]
    return "\n".join((_EXACT_HEADER, *lines, "")) if lines else ""


def _said(source: Source, given: Attributes | None) -> Iterator[tuple[str, str]]:
    """What has to be said of a source, attribute by attribute."""
    state = source.state
    for attribute in ATTRIBUTES:
        value = None if given is None else getattr(given, attribute)
        if value is not None and (attribute, value) != ("sensitive", False):
            yield attribute, format_value(attribute, value)
        elif attribute == "owner" and state.uid:
            yield attribute, _owner(source)
        elif attribute == "group" and state.gid:
            yield attribute, _group(source)


def _facts(
    sources: Sequence[Source], attribute: str, value: Callable[[Source], str], default: str | None
) -> list[_Fact]:
    """What has to be said of an attribute: by `path`, or by `source` where those of one destination differ."""
    found = []
    for destination, group in groupby(sources, key=lambda source: source.destination):
        values = {source.relative: value(source) for source in group}
        if len(set(values.values())) == 1:
            found.append(_Fact("path", destination, attribute, next(iter(values.values()))))
        else:
            found += [_Fact("source", relative, attribute, each) for relative, each in values.items()]
    return [fact for fact in found if fact.value != default]


def _grouped(facts: Iterable[_Fact]) -> Iterator[dict[str, object]]:
    """Rules, each for all names of which the same has to be said."""
    said: dict[tuple[str, bytes], list[tuple[str, str]]] = {}
    for fact in facts:
        said.setdefault((fact.key, fact.name), []).append((fact.attribute, fact.value))
    rules: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for (key, name), values in said.items():
        rules.setdefault((key, tuple(values)), []).append(escape(name))
    for (key, attributes), names in sorted(rules.items()):
        yield {**dict(attributes), key: sorted(names)}


def is_utf8(name: bytes) -> bool:
    """Whether YAML can hold a name."""
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
    """The name, or the number where there is no name that a rule can hold and that leads back to the number."""
    if name is None or is_number(name) or not is_account(name) or number_of(name) not in (number, None):
        return str(number)
    return name
