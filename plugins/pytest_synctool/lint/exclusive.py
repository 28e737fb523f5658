"""The rules about exclusive directories in attributes.yaml, and about files that are written in place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from pytest_synctool.common.wording import printable, printable_text
from pytest_synctool.config.model import Place
from pytest_synctool.lint.context import Finding, LintContext, first_of
from pytest_synctool.model import Kind
from pytest_synctool.repository.attributes import Rule
from pytest_synctool.repository.entry import ExclusiveContents
from pytest_synctool.repository.patterns import regex
from pytest_synctool.repository.source import Tree
from pytest_synctool.repository.vital_paths import vital_exclusive


def exclusive_vital(context: LintContext) -> Iterator[Finding]:
    """Find exclusive directories that a node needs, of which no rule says that they are exclusive although vital."""
    for candidate, source in context.sources(Tree.OVERLAY) if context.repository.attributes.has_exclusive else ():
        for attributes in context.attributes_of(candidate, source):
            if (problem := vital_exclusive(printable(source.destination), attributes)) is not None:
                yield context.source_finding("exclusive-vital", candidate.relative, problem)
                break


def exclusive_unused(context: LintContext) -> Iterator[Finding]:
    """Find rules that make something exclusive that is no directory."""
    rules = [rule for rule in context.repository.attributes.rules if rule.exclusive is not None]
    for rule in _without_kind(context, rules, Kind.DIRECTORY):
        message = f"{', '.join(rule.names)} is no directory in overlay/, so that 'exclusive' has no effect: remove it"
        yield _finding(context, "exclusive-unused", rule, message)


def in_place_unused(context: LintContext) -> Iterator[Finding]:
    """Find rules that have something written in place that is no file."""
    rules = [rule for rule in context.repository.attributes.rules if rule.in_place]
    for rule in _without_kind(context, rules, Kind.FILE):
        message = f"{', '.join(rule.names)} is no file in overlay/, so that 'in_place' has no effect: remove it"
        yield _finding(context, "in-place-unused", rule, message)


def _finding(context: LintContext, name: str, rule: Rule, message: str) -> Finding:
    place = Place(context.repository.attributes.path, rule.line)
    return context.finding(name, first_of(rule.names), message, place)


def _without_kind(context: LintContext, rules: Sequence[Rule], kind: Kind) -> Iterator[Rule]:
    """Yield those of these rules that match sources in overlay/, but none of that kind."""
    if not rules:
        return
    matched: set[Rule] = set()
    of_kind: set[Rule] = set()
    for _, source in context.sources(Tree.OVERLAY):
        matching = context.repository.attributes.matching(source)
        matched.update(matching)
        if source.state.kind is kind:
            of_kind.update(matching)
    yield from (rule for rule in rules if rule in matched and rule not in of_kind)


def allow_unused(context: LintContext) -> Iterator[Finding]:
    """Find patterns of `allow` that match nothing in any exclusive directory, whatever a node has there."""
    attributes = context.repository.attributes
    if not any(rule.allow for rule in attributes.rules):
        return
    lists = dict.fromkeys(context.repository.entries(node) for node in context.config.nodes.values())
    contents = [each for entries in lists for each in entries.exclusive]
    used: dict[int, set[str]] = {}
    for each in contents:
        allowed = () if each.attributes is None else each.attributes.allow
        matching = {pattern for pattern in allowed if _can_match(pattern, each)}
        for line in (int(origin.rpartition(":")[2]) for origin in _origins(each) if origin.startswith("allow ")):
            used.setdefault(line, set()).update(matching)
    for rule in attributes.rules:
        for pattern in rule.allow or ():
            if pattern not in used.get(rule.line, ()):
                message = (
                    f"'allow: {printable_text(pattern)}' matches nothing: {', '.join(rule.names)} has to be exclusive, "
                    "and the pattern one of a name directly in it, or for a tree in a directory of overlay/ below it"
                )
                subject = f"{first_of(rule.names)} {printable(os.fsencode(pattern))}"
                yield context.finding("allow-unused", subject, message, Place(attributes.path, rule.line))


def _origins(contents: ExclusiveContents) -> tuple[str, ...]:
    return () if contents.attributes is None else contents.attributes.origins


def _can_match(pattern: str, contents: ExclusiveContents) -> bool:
    """Return True if a pattern can match a name in a directory that is listed."""
    directory = pattern.rpartition("/")[0]
    if pattern.rpartition("/")[2] == "**":
        return True
    above = re.compile(regex(directory)) if directory else None
    top = len(contents.destination) - 1
    places = (os.fsdecode(each[top:]) for each in contents.known)
    return any(not place if above is None else above.fullmatch(place) is not None for place in places)
