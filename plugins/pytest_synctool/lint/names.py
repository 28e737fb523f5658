"""Rules about names: of groups and nodes, of skipped files, and in attributes.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from pytest_synctool.common.wording import printable
from pytest_synctool.config.model import Place
from pytest_synctool.lint.context import Finding, LintContext, first_of
from pytest_synctool.lint.precedence import case_only_destinations
from pytest_synctool.repository.candidates import Reason, split_extension
from pytest_synctool.repository.source import Tree

_REMEDIES: Final = {
    Reason.NO_EXTENSION: "rename it",
    Reason.EMPTY_EXTENSION: "rename it",
    Reason.UNKNOWN_GROUP: "rename it, or put the group on a 'node' line",
    Reason.SPECIAL_FILE: "remove it, or name it in an 'ignore' line",
    Reason.LITTER: "remove it, or name it in an 'ignore' line",
}


def unknown_group(context: LintContext) -> Iterator[Finding]:
    """Find names without a group, with an empty group, or with a group that the configuration does not have."""
    reasons = (Reason.NO_EXTENSION, Reason.EMPTY_EXTENSION, Reason.UNKNOWN_GROUP)
    return _skipped(context, "unknown-group", reasons)


def special_file(context: LintContext) -> Iterator[Finding]:
    """Find devices, sockets and pipes, which cannot be entries."""
    return _skipped(context, "special-file", (Reason.SPECIAL_FILE,))


def litter(context: LintContext) -> Iterator[Finding]:
    """Find what editors and version control have left."""
    return _skipped(context, "litter", (Reason.LITTER,))


def two_groups(context: LintContext) -> Iterator[Finding]:
    """Find names with two groups: only the last one counts, and the other one stays in the name."""
    known = context.config.known_groups
    masterdir = context.repository.masterdir
    for tables in (masterdir.candidates, masterdir.triggers):
        for destination, candidates in tables.items():
            group = split_extension(destination.path.rpartition(b"/")[2])[1]
            for candidate in candidates if group in known else ():
                if candidate.groups[-1] is not None:
                    shown = printable(destination.path)
                    message = (
                        f"nodes get {shown}, since only the last group counts: rename it, or make one group of both"
                    )
                    yield context.source_finding("two-groups", candidate.relative, message)


def _skipped(context: LintContext, rule: str, reasons: Collection[Reason]) -> Iterator[Finding]:
    for skipped in context.repository.masterdir.left_out:
        if skipped.reason in reasons:
            yield context.source_finding(rule, skipped.relative, f"{skipped.text}: {_REMEDIES[skipped.reason]}")


def empty_group(context: LintContext) -> Iterator[Finding]:
    """Find groups without nodes."""
    config, masterdir_names = context.config, context.repository.masterdir
    uses = Counter(
        group
        for candidates in (*masterdir_names.candidates.values(), *masterdir_names.triggers.values())
        for candidate in candidates
        for group in set(candidate.groups)
    )
    for group, members in config.groups.items():
        place = config.group_places.get(group)
        if members or place is None or group in config.ignored_groups:
            continue
        count = uses[group]
        used = f", {count} {'name' if count == 1 else 'names'} in the masterdir for it" if count else ""
        message = f"group '{group}' has no nodes{used}: put it on a 'node' line, or remove it"
        yield context.finding("empty-group", group, message, place)


def ignored_name(context: LintContext) -> Iterator[Finding]:
    """Find names in ignore_node and ignore_group that no node or group has."""
    return _notices(context, "ignored-name")


def without_effect(context: LintContext) -> Iterator[Finding]:
    """Find keywords of later releases that have no effect."""
    return _notices(context, "without-effect")


def included_twice(context: LintContext) -> Iterator[Finding]:
    """Find lines about nodes that add nothing to what commands of include_nodes print."""
    return _notices(context, "included-twice")


def two_names(context: LintContext) -> Iterator[Finding]:
    """Find nodes that differ only in a domain, at least one of them printed by a command: `n1` and `n1.cluster`."""
    config = context.config
    for name, places in config.node_places.items():
        short = name.partition(".")[0]
        others = config.node_places.get(short)
        if short == name or others is None or {(p.path, p.line) for p in places} & {(p.path, p.line) for p in others}:
            continue
        printed = [place for place in (*places, *others) if place.printed]
        if printed:
            message = f"nodes '{short}' and '{name}' may be one machine, which runs would audit twice: remove one"
            yield context.finding("two-names", name, message, printed[0])


def _notices(context: LintContext, rule: str) -> Iterator[Finding]:
    for notice in context.config.notices:
        if notice.rule == rule:
            yield context.finding(rule, notice.subject, notice.message, notice.place)


def case_only(context: LintContext) -> Iterator[Finding]:
    """Find names that differ only in case: of groups and nodes, and of destinations in one directory of a node."""
    config = context.config
    seen: dict[str, str] = {}
    for name in (*config.groups, *config.nodes):
        kind = "node" if name in config.nodes else "group"
        earlier = seen.setdefault(name.casefold(), f"{kind} '{name}'")
        if earlier != f"{kind} '{name}'":
            place = config.group_places.get(name, Place(config.path, 0))
            message = f"{kind} '{name}' differs only in case from {earlier}: rename one of them"
            yield context.finding("case-only", f"{kind} {name}", message, place)
    yield from case_only_destinations(context)


def attributes_unused(context: LintContext) -> Iterator[Finding]:
    """Find rules of attributes.yaml that match nothing in overlay/."""
    attributes = context.repository.attributes
    used = {rule for _, source in context.sources(Tree.OVERLAY) for rule in attributes.matching(source)}
    for rule in attributes.rules:
        if rule not in used:
            message = f"the rule for {', '.join(rule.names)} matches nothing in overlay/: correct it, or remove it"
            yield context.finding("attributes-unused", first_of(rule.names), message, Place(attributes.path, rule.line))
