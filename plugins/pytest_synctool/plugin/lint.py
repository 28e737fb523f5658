"""--synctool-lint: a run whose only tests are the rules and the findings of lint."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_synctool.plugin.cluster import cluster_of
from pytest_synctool.report.nodeids import encode

if TYPE_CHECKING:
    from pytest_synctool.lint import Finding

_NAME: Final = "synctool-lint"
_FINDINGS = pytest.StashKey[Mapping[str, Sequence["Finding"]]]()


def pytest_collection(session: pytest.Session) -> bool | None:
    """Collect the rules as Session.perform_collect() would, whatever files the arguments and the ini options name."""
    config = session.config
    if not config.option.synctool_lint or config.pluginmanager.hasplugin("dsession"):
        return None
    suite = LintSuite.from_parent(session, name=_NAME, path=cluster_of(config).config.path, nodeid=_NAME)
    suite.findings_by_rule = findings_by_rule(config)
    session.items = []
    try:
        session.items.extend(_named(list(session.genitems(suite)), config.args))
        config.pluginmanager.check_pending()
        config.hook.pytest_collection_modifyitems(session=session, config=config, items=session.items)
    finally:
        config.hook.pytest_collection_finish(session=session)
    session.testscollected = len(session.items)
    return True


def findings_by_rule(config: pytest.Config) -> Mapping[str, Sequence[Finding]]:
    """Return the findings of every rule; the first call in a process looks for them."""
    if _FINDINGS not in config.stash:
        from pytest_synctool.lint import lint  # not at the top: an audit does not need it

        cluster = cluster_of(config)
        config.stash[_FINDINGS] = lint(cluster.config, cluster.repository)
    return config.stash[_FINDINGS]


def _named(items: Sequence[pytest.Item], arguments: Sequence[str]) -> list[pytest.Item]:
    """Return the items that the arguments name, by their own id or by that of their rule; all if none is named.

    Raises pytest.UsageError for an unknown id.
    """
    wanted = [argument for argument in arguments if argument.startswith(f"{_NAME}::")]
    unknown = [each for each in wanted if not any(_is_of(item, each) for item in items)]
    if unknown:
        raise pytest.UsageError(*(f"not found: {each} (no such rule, or not a finding any more)" for each in unknown))
    return [item for item in items if not wanted or any(_is_of(item, each) for each in wanted)]


def _is_of(item: pytest.Item, nodeid: str) -> bool:
    return item.nodeid == nodeid or item.nodeid.startswith(f"{nodeid}::")


def nodeid(finding: Finding) -> str:
    """Return the id of the test of a finding."""
    return f"{_NAME}::{finding.rule}::{_item_name(finding)}"


def _item_name(finding: Finding) -> str:
    return encode(os.fsencode(finding.subject))


class LintSuite(pytest.Collector):
    """The collector of all rules."""

    findings_by_rule: Mapping[str, Sequence[Finding]]

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """Yield a test for each rule without findings, and a collector for each rule with findings."""
        for rule, findings in self.findings_by_rule.items():
            if findings:
                collector: LintRule = LintRule.from_parent(self, name=rule)
                collector.findings = findings
                yield collector
            else:
                yield LintItem.from_parent(self, name=rule)


class LintRule(pytest.Collector):
    """A rule with findings."""

    findings: Sequence[Finding]

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test per finding."""
        for finding in self.findings:
            item: LintItem = LintItem.from_parent(self, name=_item_name(finding))
            item.finding = finding
            yield item


class _FindingError(Exception):
    """The failure of a test by a finding."""


class LintItem(pytest.Item):
    """The test of a finding, which fails, or of a rule without findings, which passes."""

    finding: Finding | None = None

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.own_markers.append(pytest.mark.lint.mark)

    def runtest(self) -> None:
        """Fail if there is a finding."""
        if self.finding is not None:
            raise _FindingError(f"{self._place(self.finding)}: {self.finding.message}")

    def _place(self, finding: Finding) -> str:
        """Return `path:line`; the path is relative if it lies below the directory in which pytest was started."""
        path = Path(finding.path)
        here = self.config.invocation_params.dir
        shown = path.relative_to(here) if path.is_relative_to(here) else path
        return f"{shown}:{finding.line}" if finding.line is not None else str(shown)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: object) -> Any:  # a class of _pytest
        """Return the finding in one line, never a traceback; --tb=line and the summary show the same line."""
        finding = self.finding
        if finding is None or not isinstance(excinfo.value, _FindingError):
            return super().repr_failure(excinfo)
        shown = excinfo.getrepr(style="value")
        if shown.reprcrash is not None:
            shown.reprcrash.path, shown.reprcrash.lineno = finding.path, finding.line or 1
            shown.reprcrash.message = finding.message
        return shown

    def reportinfo(self) -> tuple[str | os.PathLike[str], int | None, str]:
        """Return the file of the finding, its line counted from 0, and a name."""
        if self.finding is None:
            return self.path, None, self.name
        line = self.finding.line
        return self.finding.path, None if line is None else line - 1, f"{self.finding.rule}: {self.finding.subject}"
