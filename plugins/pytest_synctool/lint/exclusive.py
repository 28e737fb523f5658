"""The rules about exclusive directories in attributes.yaml."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pytest_synctool.common.wording import printable, printable_text
from pytest_synctool.config.model import Place
from pytest_synctool.lint.context import Finding, LintContext, first_of
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
    attributes = context.repository.attributes
    if not attributes.has_exclusive:
        return
    matched: set[Rule] = set()
    directories: set[Rule] = set()
    for _, source in context.sources(Tree.OVERLAY):
        rules = attributes.matching(source)
        matched.update(rules)
        if source.is_directory:
            directories.update(rules)
    for rule in attributes.rules:
        if rule.exclusive is not None and rule in matched and rule not in directories:
            message = (
                f"{', '.join(rule.names)} is no directory in overlay/, so that 'exclusive' has no effect: remove it"
            )
            yield context.finding("exclusive-unused", first_of(rule.names), message, Place(attributes.path, rule.line))


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
