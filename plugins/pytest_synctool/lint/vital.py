"""The rules about files and directories that a node needs: to start, to accept logins or to be repaired."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_synctool.common.wording import printable
from pytest_synctool.lint.context import Finding, LintContext
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Tree
from pytest_synctool.repository.vital_paths import REMEDY, lockout, vital_reason


def dangerous_delete(context: LintContext) -> Iterator[Finding]:
    """Find names in delete/ that would remove files a node needs."""
    for candidate, source in context.sources(Tree.DELETE):
        reason = vital_reason(printable(source.destination))
        if reason is not None and "none" not in candidate.groups:
            message = f"would delete {printable(source.destination)}, {reason}: remove it from delete/"
            yield context.source_finding("dangerous-delete", candidate.relative, message)


def system_directory(context: LintContext) -> Iterator[Finding]:
    """Find system directories and files that would get the owner or the mode of a checkout."""
    for candidate, source in context.sources(Tree.OVERLAY):
        for attributes in context.attributes_of(candidate, source):
            problem = lockout(Entry(source, None, attributes))
            if problem is not None:
                yield context.source_finding("system-directory", candidate.relative, f"{problem}: {REMEDY}")
                break
