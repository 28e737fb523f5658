"""Lint: probable mistakes in a configuration and a masterdir, without contacting a node.

Every rule is a plain function from a LintContext to its findings. No rule changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pytest_synctool.config.model import Config
from pytest_synctool.lint import exclusive, files, names, precedence, templates, vital, waivers, windows_text
from pytest_synctool.lint.context import Finding, LintContext
from pytest_synctool.repository.resolution import Repository

__all__ = ["RULES", "Finding", "LintContext", "Rule", "lint"]

Rule = Callable[[LintContext], Iterator[Finding]]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "unknown-group": names.unknown_group,
        "special-file": names.special_file,
        "litter": names.litter,
        "two-groups": names.two_groups,
        "empty-group": names.empty_group,
        "ignored-name": names.ignored_name,
        "included-twice": names.included_twice,
        "two-names": names.two_names,
        "without-effect": names.without_effect,
        "case-only": names.case_only,
        "attributes-unused": names.attributes_unused,
        "exclusive-unused": exclusive.exclusive_unused,
        "exclusive-vital": exclusive.exclusive_vital,
        "allow-unused": exclusive.allow_unused,
        "in-place-unused": exclusive.in_place_unused,
        "waiver-unused": waivers.waiver_unused,
        "waiver-expired": waivers.waiver_expired,
        "shadowed": precedence.shadowed,
        "overlay-and-delete": precedence.overlay_and_delete,
        "on-update-and-post": precedence.on_update_and_post,
        "command-missing": files.command_missing,
        "on-update-command": files.on_update_command,
        "trigger-without-target": precedence.trigger_without_target,
        "trigger-not-executable": files.trigger_not_executable,
        "task-not-executable": files.task_not_executable,
        "windows-text": windows_text.windows_text,
        "template-error": templates.template_error,
        "template-constant": templates.template_constant,
        "variable-unused": templates.variable_unused,
        "dangerous-delete": vital.dangerous_delete,
        "system-directory": vital.system_directory,
        "world-writable": files.world_writable,
        "setuid": files.setuid,
        "symlink-leaves-tree": files.symlink_leaves_tree,
        "unreadable": files.unreadable,
    }
)


def lint(config: Config, repository: Repository) -> dict[str, list[Finding]]:
    """Return the findings of every rule, in a fixed order. A rule without findings has an empty list.

    Lint examines the file system below the masterdir. It reads only the contents of triggers, tasks and scripts. A
    file that vanishes meanwhile is no error.
    """
    context = LintContext(config, repository)
    return {name: _with_unique_subjects(sorted(rule(context), key=_order)) for name, rule in RULES.items()}


def _order(finding: Finding) -> tuple[str, int, str, str]:
    return finding.path, finding.line or 0, finding.subject, finding.message


def _with_unique_subjects(findings: list[Finding]) -> list[Finding]:
    """Append a number to each subject that an earlier finding of the rule has."""
    seen: set[str] = set()
    numbered = []
    for finding in findings:
        name, number = finding.subject, 1
        while name in seen:
            number += 1
            name = f"{finding.subject} ({number})"
        seen.add(name)
        numbered.append(replace(finding, subject=name))
    return numbered
