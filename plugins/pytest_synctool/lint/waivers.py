"""Rules about waivers.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from pytest_synctool.config.model import Place
from pytest_synctool.lint.context import Finding, LintContext, first_of
from pytest_synctool.repository.exclusive import can_match
from pytest_synctool.repository.source import Tree
from pytest_synctool.repository.waivers import InForce, Waiver


def waiver_unused(context: LintContext) -> Iterator[Finding]:
    """Find waivers that match no entry of any node."""
    waivers = context.repository.waivers
    used: set[Waiver] = set()
    for node in context.config.nodes.values() if waivers.waivers else ():
        unused = {waiver for waiver in waivers.waivers if waiver not in used and waiver.holds_for(node)}
        for entry in context.repository.entries(node) if unused else ():
            if entry.tree is not Tree.TASKS:
                used |= unused.intersection(waivers.matching(entry.destination))
        for contents in context.repository.entries(node).exclusive if unused else ():
            used |= {waiver for waiver in unused if any(can_match(path, contents) for path in waiver.paths)}
    for waiver in waivers.waivers:
        if waiver not in used:
            yield _at(context, "waiver-unused", waiver, "covers nothing on its nodes: correct it, or remove it")


def waiver_expired(context: LintContext) -> Iterator[Finding]:
    """Find waivers that have expired."""
    in_force = InForce(context.repository.waivers, date.today())
    for waiver in in_force.waivers.waivers:
        if in_force.expired(waiver):
            yield _at(context, "waiver-expired", waiver, f"expired on {waiver.expires}: renew it, or remove it")


def _at(context: LintContext, rule: str, waiver: Waiver, problem: str) -> Finding:
    place = Place(context.repository.waivers.path, waiver.line)
    return context.finding(rule, first_of(waiver.paths), f"the waiver for {', '.join(waiver.paths)} {problem}", place)
