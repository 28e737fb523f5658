"""The findings of lint for CI systems: a step summary in Markdown, annotations, and a code-quality report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from pytest_synctool.lint import Finding
from pytest_synctool.report.ci_format import MOST_ROWS, Notice, below, cell, document, issue, workflow_lines

_NOT_ENDED = "lint did not come to its end: what is not listed was not looked at"


def markdown(findings: Sequence[Finding], workspace: str, *, is_complete: bool) -> Iterator[str]:
    """Yield a summary of lint in Markdown. Paths are those from `workspace` on, the checkout."""
    number = f"{len(findings):,} finding{'' if len(findings) == 1 else 's'}" if findings else "no findings"
    yield f"## synctool lint: {number}\n\n"
    if not is_complete:
        yield f"**{_NOT_ENDED}**\n\n"
    if findings:
        yield "| Rule | Place | Finding |\n|---|---|---|\n"
    for finding in findings[:MOST_ROWS]:
        line = "" if finding.line is None else f":{finding.line}"
        place = f"{below(finding.path, workspace) or finding.path}{line}"
        yield f"| {finding.rule} | {cell(place)} | {cell(finding.message)} |\n"
    if len(findings) > MOST_ROWS:
        yield f"\n... and {len(findings) - MOST_ROWS:,} more findings\n"


def workflow_commands(findings: Sequence[Finding], workspace: str, *, is_complete: bool) -> Iterator[str]:
    """Return at most ten workflow commands for GitHub Actions, which shows them at the file and line."""
    notices = [Notice("error", below(f.path, workspace), _text(f), f.line) for f in findings]
    return workflow_lines(notices if is_complete else [Notice("error", "", _NOT_ENDED), *notices])


def code_quality(findings: Sequence[Finding], workspace: str) -> str:
    """Return the report that GitLab shows in merge requests."""
    issues = []
    for finding in findings:
        file = below(finding.path, workspace) or os.path.basename(finding.path)
        identity = f"{finding.rule} {finding.subject} {finding.message}"
        issues.append(issue(_text(finding), f"lint-{finding.rule}", "major", file, identity, finding.line or 1))
    return document(issues)


def _text(finding: Finding) -> str:
    return f"{finding.message} [{finding.rule}]"
