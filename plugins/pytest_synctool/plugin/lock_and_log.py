"""The lock and the log of a repair. The process that shows reports opens both before any node is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_synctool.plugin.cluster import Cluster
from pytest_synctool.plugin.invocation import changes_nodes, is_worker, repair_option
from pytest_synctool.report.repair_log import RepairLog, append_to
from pytest_synctool.repository.lock import MasterdirLock


class _LockRelease:
    """A plugin that releases a lock at the end of the run."""

    def __init__(self, lock: MasterdirLock) -> None:
        self._lock = lock

    def pytest_unconfigure(self) -> None:
        """Release the lock."""
        self._lock.close()


def lock(config: pytest.Config, masterdir: Path) -> None:
    """Lock a masterdir until the run is over. Raises LockError."""
    config.pluginmanager.register(_LockRelease(MasterdirLock(masterdir)), "synctool-lock")


LOG = pytest.StashKey[RepairLog]()


def open_log(config: pytest.Config, cluster: Cluster) -> None:
    """Open the log of a repair in the process that shows reports. Raises ConfigError if it cannot be opened."""
    if changes_nodes(config) and not is_worker(config):
        path = cluster.config.logfile
        descriptor = None if path is None else append_to(path, cluster.config.path, cluster.config.trust)
        syslog = cluster.config.syslogging and not config.option.synctool_no_syslog
        config.stash[LOG] = RepairLog(path, syslog, descriptor, repair_option(config))
