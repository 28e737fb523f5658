"""The reports for CI of a run of --synctool-lint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_synctool.plugin.ci_files import CiFiles, unwritten_in_words
from pytest_synctool.plugin.cluster import cluster_of
from pytest_synctool.plugin.disarmed_writer import WRITER
from pytest_synctool.plugin.invocation import is_worker, runs_tests
from pytest_synctool.plugin.lint import findings_by_rule, nodeid
from pytest_synctool.plugin.report_files import is_cut_short
from pytest_synctool.report import files

if TYPE_CHECKING:
    from pytest_synctool.lint import Finding


class LintReports:
    """The findings that failed, in the process that shows reports; with -n, other processes have the tests."""

    def __init__(self, config: pytest.Config) -> None:
        settings = cluster_of(config).config
        self.ci = CiFiles(config, settings.trust, files.mode_for(settings.masterdir), self._unwritten)
        self._config = config
        self._failed: set[str] = set()
        self._problems: list[str] = []
        self._commands: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a finding."""
        if report.failed:
            self._failed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Any:
        """Write the reports. A report that cannot be written fails the run."""
        result = yield
        # Not at the top: most runs of pytest do not need it.
        from pytest_synctool.report.ci_lint import code_quality, markdown, workflow_commands

        ci, findings, is_complete = self.ci, self._findings(), not is_cut_short(int(session.exitstatus))
        ci.write(lambda top: code_quality(findings, top), lambda top: markdown(findings, top, is_complete=is_complete))
        if ci.wants_commands:
            self._commands += workflow_commands(findings, ci.workspace, is_complete=is_complete)
        if self._problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return result

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print what could not be written, and the commands for GitHub."""
        for problem in self._problems:
            terminalreporter.write_line(problem, red=True)
        if WRITER in self._config.stash and terminalreporter.verbosity >= 0:
            for command in self._commands:
                self._config.stash[WRITER].command(command)

    def _findings(self) -> list[Finding]:
        if not self._failed:
            return []
        by_rule = findings_by_rule(self._config).values()
        return [finding for findings in by_rule for finding in findings if nodeid(finding) in self._failed]

    def _unwritten(self, path: str, error: OSError) -> None:
        self._problems.append(unwritten_in_words(path, error))


def open_lint_reports(config: pytest.Config) -> None:
    """Register the reports of lint, in the process that shows reports, if somebody has asked for one."""
    if is_worker(config) or not config.option.synctool_lint or not runs_tests(config):
        return
    reports = LintReports(config)
    if reports.ci.is_wanted:
        config.pluginmanager.register(reports, "synctool-lint-reports")
