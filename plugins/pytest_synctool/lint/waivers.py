"""Rules about waivers.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from pytest_synctool.config.model import Place
from pytest_synctool.lint.context import Finding, Subject, first_of
from pytest_synctool.repository.source import Tree
from pytest_synctool.repository.waivers import InForce, Waiver


def waiver_unused(subject: Subject) -> Iterator[Finding]:
    """Waivers that cover no entry of any node."""
    waivers = subject.repository.waivers
    used: set[Waiver] = set()
    for node in subject.config.nodes.values() if waivers.waivers else ():
        holding = {waiver for waiver in waivers.waivers if waiver not in used and waiver.holds_for(node)}
        for entry in subject.repository.entries(node) if holding else ():
            if entry.tree is not Tree.TASKS:
                used |= holding.intersection(waivers.matching(entry.destination))
    for waiver in waivers.waivers:
        if waiver not in used:
            yield _at(subject, "waiver-unused", waiver, "covers nothing on its nodes: correct it, or remove it")


def waiver_expired(subject: Subject) -> Iterator[Finding]:
    """Waivers whose last day is over."""
    in_force = InForce(subject.repository.waivers, date.today())
    for waiver in in_force.waivers.waivers:
        if in_force.expired(waiver):
            yield _at(subject, "waiver-expired", waiver, f"expired on {waiver.expires}: renew it, or remove it")


def _at(subject: Subject, rule: str, waiver: Waiver, what: str) -> Finding:
    place = Place(subject.repository.waivers.path, waiver.line)
    return subject.at(rule, first_of(waiver.paths), f"the waiver for {', '.join(waiver.paths)} {what}", place)
