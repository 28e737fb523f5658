"""Tests that are made at the end of a run, with all results known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, Literal, cast

import pytest

from pytest_synctool.plugin.cluster import cache_of
from pytest_synctool.plugin.node_reports import DriftText

_LATE: Final = "synctool_late"


def is_late(report: pytest.TestReport) -> bool:
    """Return True if a report is about a test that was made at the end of a run."""
    return hasattr(report, _LATE)


@dataclass(frozen=True)
class LateTest:
    """A test: its node id, its location as in a report, and why it fails, cannot tell, or is skipped, if it does."""

    nodeid: str
    location: tuple[str, int | None, str]
    failure: DriftText | None = None
    error: DriftText | None = None
    skipped: str = ""

    @property
    def _report(self) -> pytest.TestReport:
        outcome: Literal["passed", "failed", "skipped"] = "passed"
        when: Literal["setup", "call"] = "call"
        text: object = None
        if self.error or self.failure:
            outcome, text = "failed", self.error or self.failure
            when = "setup" if self.error else "call"
        elif self.skipped:
            outcome, when, text = "skipped", "setup", (self.location[0], 0, f"Skipped: {self.skipped}")
        # pytest needs only toterminal() of a text
        return pytest.TestReport(self.nodeid, self.location, {}, outcome, cast(str, text), when)

    def reports(self) -> list[pytest.TestReport]:
        """Return the reports of the test. The junit writer needs a teardown."""
        reports = [self._report, pytest.TestReport(self.nodeid, self.location, {}, "passed", None, "teardown")]
        vars(reports[0])[_LATE] = True
        return reports


class LateTests(ABC):
    """A plugin of the process that shows reports. No run can repeat these tests alone, so --lf never gets them."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._ids: list[str] = []
        self._over = False

    @abstractmethod
    def make(self) -> list[LateTest]:
        """Return the tests."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Report the tests after all other reports."""
        ended = yield
        tests = self.make()
        self._session.testscollected += len(tests)
        for test in tests:
            self._ids.append(test.nodeid)
            for report in test.reports():
                self._session.config.hook.pytest_runtest_logreport(report=report)
        self._over = True
        return ended

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
        """Show no letter: pytest has already written its 100 percent."""
        if not is_late(report) or self._over or config.get_verbosity() > 0:
            return None
        category = "error" if report.failed and report.when == "setup" else report.outcome
        return category, "", ""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Remove these tests from those that --lf runs."""
        result = yield
        cache = cache_of(self._session.config)
        if self._ids and cache is not None:
            failed, ids = cache.get("cache/lastfailed", {}), {*self._ids}
            cache.set("cache/lastfailed", {nodeid: failed[nodeid] for nodeid in failed if nodeid not in ids})
        return result
