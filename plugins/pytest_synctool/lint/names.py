"""Rules about names: of groups, of nodes, of what is left out, and in attributes.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from pytest_synctool.config.model import Place
from pytest_synctool.lint.context import Finding, Subject, first_of
from pytest_synctool.lint.precedence import case_only_destinations
from pytest_synctool.repository.masterdir import Reason
from pytest_synctool.repository.source import Tree

_WHAT_TO_DO: Final = {
    Reason.NO_EXTENSION: "rename it",
    Reason.EMPTY_EXTENSION: "rename it",
    Reason.UNKNOWN_GROUP: "rename it, or put the group on a 'node' line",
    Reason.SPECIAL_FILE: "remove it, or name it in an 'ignore' line",
}


def unknown_group(subject: Subject) -> Iterator[Finding]:
    """Names without a group, with an empty one, or with one that is not in the configuration."""
    reasons = (Reason.NO_EXTENSION, Reason.EMPTY_EXTENSION, Reason.UNKNOWN_GROUP)
    return _left_out(subject, "unknown-group", reasons)


def special_file(subject: Subject) -> Iterator[Finding]:
    """Devices, sockets and pipes, which are no entries."""
    return _left_out(subject, "special-file", (Reason.SPECIAL_FILE,))


def _left_out(subject: Subject, rule: str, reasons: Collection[Reason]) -> Iterator[Finding]:
    for left in subject.repository.found.left_out:
        if left.reason in reasons:
            yield subject.at_source(rule, left.relative, f"{left.text}: {_WHAT_TO_DO[left.reason]}")


def empty_group(subject: Subject) -> Iterator[Finding]:
    """Groups that no node is in."""
    config, found = subject.config, subject.repository.found
    carried = Counter(
        group
        for candidates in (*found.candidates.values(), *found.triggers.values())
        for candidate in candidates
        for group in set(candidate.groups)
    )
    for group, members in config.groups.items():
        place = config.group_places.get(group)
        if members or place is None or group in config.ignored_groups:
            continue
        count = carried[group]
        of_it = f", {count} {'name' if count == 1 else 'names'} in the masterdir for it" if count else ""
        message = f"group '{group}' has no nodes{of_it}: put it on a 'node' line, or remove it"
        yield subject.at("empty-group", group, message, place)


def case_only(subject: Subject) -> Iterator[Finding]:
    """Names that differ in nothing but case: of groups and nodes, and of destinations in one directory of a node."""
    config = subject.config
    seen: dict[str, str] = {}
    for name in (*config.groups, *config.nodes):
        kind = "node" if name in config.nodes else "group"
        earlier = seen.setdefault(name.casefold(), f"{kind} '{name}'")
        if earlier != f"{kind} '{name}'":
            place = config.group_places.get(name, Place(config.path, 0))
            message = f"{kind} '{name}' differs only in case from {earlier}: rename one of them"
            yield subject.at("case-only", f"{kind} {name}", message, place)
    yield from case_only_destinations(subject)


def attributes_unused(subject: Subject) -> Iterator[Finding]:
    """Rules of attributes.yaml that match nothing in overlay/."""
    attributes = subject.repository.attributes
    used = {rule for _, source in subject.sources(Tree.OVERLAY) for rule in attributes.matching(source)}
    for rule in attributes.rules:
        if rule not in used:
            message = f"the rule for {', '.join(rule.names)} matches nothing in overlay/: correct it, or remove it"
            yield subject.at("attributes-unused", first_of(rule.names), message, Place(attributes.path, rule.line))
