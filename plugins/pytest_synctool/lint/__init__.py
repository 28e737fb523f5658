"""Lint: what is probably not meant in a configuration and a masterdir, found without contacting a node.

Every rule is a plain function from a Subject to its findings; none changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pytest_synctool.config.model import Config
from pytest_synctool.lint import dangerous_delete, files, names, precedence, waivers
from pytest_synctool.lint.context import Finding, Subject
from pytest_synctool.repository.resolution import Repository

__all__ = ["RULES", "Finding", "Rule", "Subject", "lint"]

Rule = Callable[[Subject], Iterator[Finding]]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "unknown-group": names.unknown_group,
        "special-file": names.special_file,
        "empty-group": names.empty_group,
        "case-only": names.case_only,
        "attributes-unused": names.attributes_unused,
        "waiver-unused": waivers.waiver_unused,
        "waiver-expired": waivers.waiver_expired,
        "shadowed": precedence.shadowed,
        "overlay-and-delete": precedence.overlay_and_delete,
        "on-update-and-post": precedence.on_update_and_post,
        "on-update-command": files.on_update_command,
        "trigger-without-target": precedence.trigger_without_target,
        "trigger-not-executable": files.trigger_not_executable,
        "task-not-executable": files.task_not_executable,
        "dangerous-delete": dangerous_delete.dangerous_delete,
        "world-writable": files.world_writable,
        "setuid": files.setuid,
        "symlink-leaves-tree": files.symlink_leaves_tree,
        "unreadable": files.unreadable,
    }
)


def lint(config: Config, repository: Repository) -> dict[str, list[Finding]]:
    """The findings of every rule, in a fixed order; a rule without findings has an empty list.

    Reads the file system below the masterdir, but no contents. What goes away meanwhile is no error.
    """
    subject = Subject(config, repository)
    return {name: _told_apart(sorted(rule(subject), key=_order)) for name, rule in RULES.items()}


def _order(finding: Finding) -> tuple[str, int, str, str]:
    return finding.path, finding.line or 0, finding.subject, finding.message


def _told_apart(findings: list[Finding]) -> list[Finding]:
    """The findings of a rule with a number behind subjects that were there before."""
    seen: set[str] = set()
    found = []
    for finding in findings:
        name, number = finding.subject, 1
        while name in seen:
            number += 1
            name = f"{finding.subject} ({number})"
        seen.add(name)
        found.append(replace(finding, subject=name))
    return found
