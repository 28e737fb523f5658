"""Failed tests for stale waivers, whose drift is gone. They are made at the end of a run, with all results known."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import cast

import pytest

from pytest_synctool.plugin.cluster import CLUSTER, cache_of, waivers_of
from pytest_synctool.plugin.node_reports import DriftText
from pytest_synctool.plugin.report_files import REPORT_FILES
from pytest_synctool.plugin.uncollected_checks import has_uncollected_checks
from pytest_synctool.report.record import NodeRecord, StaleWaiver
from pytest_synctool.report.stale_waivers import stale

_STALE = "synctool_stale"


def is_stale(report: pytest.TestReport) -> bool:
    """Return True if a report is about a stale waiver."""
    return hasattr(report, _STALE)


class StaleWaivers:
    """A plugin of the process that shows reports. No run can repeat these tests alone, so --lf never gets them."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._ids: list[str] = []
        self._over = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Report stale waivers after all other reports."""
        ended = yield
        config = self._session.config
        cluster, files = config.stash[CLUSTER], config.stash[REPORT_FILES]
        in_force = waivers_of(config, cluster)
        records = {record.node: record for record in files.run.nodes}
        nodes = [node for node in cluster.config.nodes.values() if not node.ignored or node.name in records]
        waivers = stale(in_force, nodes, cluster.repository.entries, records)
        if waivers and has_uncollected_checks(config, _collected(records), Path(cluster.config.masterdir)):
            waivers = []  # such a check may find the drift
        self._session.testscollected += len(waivers)
        for waiver in waivers:
            self._report(waiver)
        self._over = True
        files.run.stale_waivers = waivers
        return ended

    def _report(self, waiver: StaleWaiver) -> None:
        path = self._session.config.stash[CLUSTER].repository.waivers.path
        nodeid = f"{path.parent.name}/{path.name}::{waiver.place}"  # does not depend on the current directory
        self._ids.append(nodeid)
        location = (str(path), int(waiver.place.rpartition(":")[2]) - 1, waiver.place)
        log = self._session.config.hook.pytest_runtest_logreport
        text = cast(
            str, DriftText(f"{waiver.place}: {waiver.message}", (), path=str(path), lineno=location[1] + 1)
        )  # pytest needs only toterminal()
        report = pytest.TestReport(nodeid, location, {}, "failed", text, "call")
        vars(report)[_STALE] = True
        log(report=report)
        log(report=pytest.TestReport(nodeid, location, {}, "passed", None, "teardown"))  # the junit writer needs it

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
        """Show no letter: pytest has already written its 100 percent."""
        silent = is_stale(report) and not self._over and config.get_verbosity() <= 0
        return ("failed", "", "") if silent else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Remove these tests from those that --lf runs."""
        result = yield
        cache = cache_of(self._session.config)
        if self._ids and cache is not None:
            failed = cache.get("cache/lastfailed", {})
            cache.set("cache/lastfailed", {nodeid: failed[nodeid] for nodeid in failed if nodeid not in self._ids})
        return result


def _collected(records: Mapping[str, NodeRecord]) -> set[str]:
    lists = {record.entries for record in records.values()}  # nodes alike share one
    return {entry.check.partition("::")[0] for entries in lists for entry in entries}


def register_stale_waivers(session: pytest.Session) -> None:
    """Register the plugin in the process that shows reports, if there are waivers and the run compares anything."""
    config = session.config
    if REPORT_FILES not in config.stash or config.option.synctool_restore:
        return
    if any("::" in str(argument) for argument in config.args):  # other tests of an entry are not even collected
        return
    if waivers_of(config, config.stash[CLUSTER]).waivers.waivers:
        config.pluginmanager.register(StaleWaivers(session), "synctool-stale-waivers")
