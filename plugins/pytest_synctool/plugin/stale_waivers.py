"""Failed tests for stale waivers, whose drift is gone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_synctool.plugin.cluster import CLUSTER, waivers_of
from pytest_synctool.plugin.late_tests import LateTest, LateTests
from pytest_synctool.plugin.node_reports import DriftText
from pytest_synctool.plugin.report_files import REPORT_FILES
from pytest_synctool.plugin.uncollected_checks import has_uncollected_checks
from pytest_synctool.report.record import NodeRecord, StaleWaiver
from pytest_synctool.report.stale_waivers import stale


class StaleWaivers(LateTests):
    """A plugin that makes a failed test for each stale waiver."""

    def make(self) -> list[LateTest]:
        """Return a test for each stale waiver, and record them."""
        config = self._session.config
        cluster, files = config.stash[CLUSTER], config.stash[REPORT_FILES]
        in_force = waivers_of(config, cluster)
        records = {record.node: record for record in files.run.nodes}
        nodes = [node for node in cluster.config.nodes.values() if not node.ignored or node.name in records]
        waivers = stale(in_force, nodes, cluster.repository.entries, records)
        if waivers and has_uncollected_checks(config, _collected(records), Path(cluster.config.masterdir)):
            waivers = []  # such a check may find the drift
        files.run.stale_waivers = waivers
        return [_test(cluster.repository.waivers.path, waiver) for waiver in waivers]


def _test(path: Path, waiver: StaleWaiver) -> LateTest:
    line = int(waiver.place.rpartition(":")[2])
    text = DriftText(f"{waiver.place}: {waiver.message}", (), path=str(path), lineno=line)
    nodeid = f"{path.parent.name}/{path.name}::{waiver.place}"  # does not depend on the current directory
    return LateTest(nodeid, (str(path), line - 1, waiver.place), failure=text)


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
