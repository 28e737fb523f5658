"""The tests that waivers fail whose drift is gone: made at the end of a run, where all is known that was found."""

from __future__ import annotations

from collections.abc import Generator
from typing import cast

import pytest

from pytest_synctool.plugin.cluster import CLUSTER, cache_of, waivers_of
from pytest_synctool.plugin.node_reports import DriftText
from pytest_synctool.plugin.report_files import REPORTS
from pytest_synctool.report.record import StaleWaiver
from pytest_synctool.report.stale_waivers import stale

_STALE = "synctool_stale"


def is_stale(report: pytest.TestReport) -> bool:
    """Whether a report is that of a waiver."""
    return hasattr(report, _STALE)


class StaleWaivers:
    """In the process that reports. No run can repeat such a test by itself, so --lf does not get to know of it."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._ids: list[str] = []
        self._over = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Report them when everything else is reported."""
        ended = yield
        config = self._session.config
        cluster, reports = config.stash[CLUSTER], config.stash[REPORTS]
        in_force = waivers_of(config, cluster)
        records = {record.node: record for record in reports.run.nodes}
        nodes = [node for node in cluster.config.nodes.values() if not node.ignored or node.name in records]
        found = stale(in_force, nodes, cluster.repository.entries, records)
        self._session.testscollected += len(found)
        for each in found:
            self._report(each)
        self._over = True
        reports.run.stale_waivers = found
        return ended

    def _report(self, found: StaleWaiver) -> None:
        path = self._session.config.stash[CLUSTER].repository.waivers.path
        nodeid = f"{path.parent.name}/{path.name}::{found.place}"  # the same wherever the run was started
        self._ids.append(nodeid)
        location = (str(path), int(found.place.rpartition(":")[2]) - 1, found.place)
        log = self._session.config.hook.pytest_runtest_logreport
        text = cast(str, DriftText(f"{found.place}: {found.message}", ()))  # pytest takes any object with toterminal()
        report = pytest.TestReport(nodeid, location, {}, "failed", text, "call")
        vars(report)[_STALE] = True
        log(report=report)
        log(report=pytest.TestReport(nodeid, location, {}, "passed", None, "teardown"))  # for junit

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
        """No letter behind the 100 percent that pytest has written already."""
        silent = is_stale(report) and not self._over and config.get_verbosity() <= 0
        return ("failed", "", "") if silent else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Take them out of what --lf will find."""
        result = yield
        cache = cache_of(self._session.config)
        if self._ids and cache is not None:
            failed = cache.get("cache/lastfailed", {})
            cache.set("cache/lastfailed", {nodeid: failed[nodeid] for nodeid in failed if nodeid not in self._ids})
        return result


def register_stale_waivers(session: pytest.Session) -> None:
    """Judge waivers in this run, if there are any, and it compares anything, and this is the process that reports."""
    config = session.config
    if REPORTS not in config.stash or config.option.synctool_restore:
        return
    if waivers_of(config, config.stash[CLUSTER]).waivers.waivers:
        config.pluginmanager.register(StaleWaivers(session), "synctool-stale-waivers")
