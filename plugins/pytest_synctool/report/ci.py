"""Reports for CI systems: a step summary in Markdown, annotations, and a code-quality report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import in_brackets, nodes_in_words
from pytest_synctool.model import NodeErrorKind, Status
from pytest_synctool.report.ci_format import MOST_ROWS, Notice, below, cell, document, issue, workflow_lines
from pytest_synctool.report.drift_json import Known
from pytest_synctool.report.grouping import WORDS, Group, grouped, node_errors
from pytest_synctool.report.record import RunRecord
from pytest_synctool.report.verdict import verdict
from pytest_synctool.repository.waivers.rules import FILE_NAME as WAIVERS

_SEVERITY: Final = {Status.ERROR: "critical", Status.DRIFT: "major", Status.WAIVED: "info"}


@dataclass(frozen=True, slots=True)
class _Finding:
    """One finding, about `source` below the masterdir.

    Nodes of which nothing is known have the kind of their `error` and no `group`. Stale waivers and unmanaged
    files have neither.
    """

    status: Status
    nodes: Sequence[str]
    text: str
    group: Group | None = None
    source: str = ""
    error: NodeErrorKind | None = None
    is_unmanaged: bool = False

    @property
    def is_stale(self) -> bool:
        return self.source == WAIVERS

    @property
    def word(self) -> str:
        if self.is_unmanaged:
            return "UNMANAGED"
        return "STALE" if self.is_stale else WORDS[self.status]

    @property
    def line(self) -> str:
        return f"{_folded(self.nodes)}: {self.text}"

    def new(self, known: Known | None) -> list[str] | None:
        """Return the nodes whose drift is not in an earlier document; None where there is nothing to compare."""
        if known is None or self.group is None or self.status is not Status.DRIFT:
            return None
        entry, message = self.group.entry, self.group.outcome.message
        return [node for node in self.nodes if (node, entry.check, entry.path, message) not in known]


def _findings(run: RunRecord) -> Iterator[_Finding]:
    """Yield all findings of a run, the worst first."""
    yield from (_Finding(Status.ERROR, nodes, error.text, error=error.kind) for error, nodes in node_errors(run.nodes))
    for stale in run.stale_waivers:
        yield _Finding(Status.DRIFT, stale.nodes, f"{stale.place}: {stale.message}", source=WAIVERS)
    yield from (_Finding(g.outcome.status, g.nodes, g.text, g, g.outcome.source) for g in grouped(run.nodes))
    if run.unmanaged is not None:
        status = Status.DRIFT if run.unmanaged.fails else Status.WAIVED
        yield from (_Finding(status, nodes, text, is_unmanaged=True) for nodes, text in run.unmanaged.lines)


def markdown(run: RunRecord, known: Known | None, repair: str = "") -> Iterator[str]:
    """Yield a summary of the run in Markdown. With the `known` drift of an earlier run it marks new drift as new.

    `repair` is the command that repairs the drift of an audit.
    """
    counts = {ending.value: number for ending, number in run.node_counts().items() if number}
    yield f"## synctool: {verdict(run).value}\n\n"
    words = ", ".join(f"{number:,} {word.replace('_', ' ')}" for word, number in counts.items())
    yield f"{nodes_in_words(run.selected)}: {words or 'none looked at'}. "
    entries = {word: number for word, number in run.entry_counts().items() if number}
    yield f"Entries: {', '.join(f'{number:,} {word}' for word, number in entries.items()) or 'none'}.\n\n"
    if run.revision is not None:
        yield f"Revision of the masterdir: {run.revision.text}.\n\n"
    if not run.complete:
        yield "**The run did not come to its end: what is not listed was not looked at.**\n\n"
    rows = list(_findings(run))
    if not rows:
        return
    column = "" if known is None else " New |"
    yield f"| | Nodes | Finding |{column}\n|---|---|---|{'' if known is None else '---|'}\n"
    for row in rows[:MOST_ROWS]:
        new = [] if known is None else [_new(row, known)]
        cells = [row.word, cell(_folded(row.nodes)), cell(row.text), *new]
        yield f"| {' | '.join(cells)} |\n"
    if len(rows) > MOST_ROWS:
        yield f"\n... and {len(rows) - MOST_ROWS:,} more findings, see `drift.json`\n"
    if repair and any(row.status is Status.DRIFT and row.group for row in rows) and run.mode == "audit":
        yield f"\nTo put right what was found: <code>{cell(repair)}</code>\n"


def _new(finding: _Finding, known: Known) -> str:
    new = finding.new(known)
    if not new:
        return "" if new is None else "known"
    return "new" if len(new) == len(finding.nodes) else f"new on {cell(_folded(new))}"


def _folded(nodes: Sequence[str]) -> str:
    return fold(nodes) + in_brackets(nodes)


def workflow_commands(run: RunRecord, known: Known | None, workspace: str) -> Iterator[str]:
    """Return at most ten workflow commands for GitHub Actions, the worst first; the last one counts the rest.

    GitHub shows a finding at its source if that is below `workspace`, the checkout.
    """
    notices = []
    for finding in _findings(run):
        if finding.status in (Status.ERROR, Status.DRIFT):
            old = finding.new(known) == []
            text = f"{finding.line}{' (known)' if old else ''}"
            notices.append(Notice("warning" if old else "error", _file(run, finding.source, workspace), text))
    if not run.complete:
        notices.insert(0, Notice("error", "", "the run did not come to its end: not everything was looked at"))
    return workflow_lines(notices)


def _file(run: RunRecord, source: str, workspace: str) -> str:
    """Return the path of a source from the checkout on; empty if the checkout does not contain it."""
    return below(os.path.join(run.masterdir, source), workspace) if source else ""


def code_quality(run: RunRecord, workspace: str) -> str:
    """Return the report that GitLab shows in merge requests: one issue per finding, however many nodes have it."""
    issues = []
    for finding in _findings(run):
        group, status = finding.group, finding.status
        if status is Status.FIXED or (finding.is_unmanaged and status is Status.WAIVED):
            continue
        file = _file(run, finding.source, workspace) or finding.source
        if group is None:
            file = file or below(run.configuration, workspace) or os.path.basename(run.configuration)
            check, identity = _check_without_group(finding), finding.text
        else:
            file = file or group.entry.path.lstrip("/")
            check = f"{group.entry.kind}-{status.value}"
            # Without the nodes: a finding on one more node stays the same issue.
            identity = f"{group.entry.check} {group.entry.path} {status.value} {group.outcome.message}"
        issues.append(issue(finding.line, check, _SEVERITY[status], file, identity))
    return document(issues)


def _check_without_group(finding: _Finding) -> str:
    if finding.is_stale:
        return "stale-waiver"
    if finding.is_unmanaged:
        return "unmanaged"
    return "unreachable" if finding.error is NodeErrorKind.UNREACHABLE else "unknown"
