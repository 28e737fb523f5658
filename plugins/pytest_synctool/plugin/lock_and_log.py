"""The log of a repair: it is opened before anything is changed, in the process that reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_synctool.plugin.cluster import Cluster, changes_nodes, is_worker, repair_option
from pytest_synctool.report.repair_log import RepairLog, append_to
from pytest_synctool.repository.lock import MasterdirLock, who

__all__ = ["lock", "who"]


class _Held:
    def __init__(self, held: MasterdirLock) -> None:
        self._held = held

    def pytest_unconfigure(self) -> None:
        """Release it."""
        self._held.close()


def lock(config: pytest.Config, masterdir: Path) -> None:
    """Lock a masterdir until the run is over. Raises LockError."""
    config.pluginmanager.register(_Held(MasterdirLock(masterdir)), "synctool-lock")


LOG = pytest.StashKey[RepairLog]()


def open_log(config: pytest.Config, cluster: Cluster) -> None:
    """Open the log of a repair in the process that reports; an audit has none. Raises ConfigError if it cannot be."""
    if changes_nodes(config) and not is_worker(config):
        path = cluster.config.logfile
        descriptor = None if path is None else append_to(path, cluster.config.path)
        config.stash[LOG] = RepairLog(path, not config.option.synctool_no_syslog, descriptor, repair_option(config))
