"""The settings of a run's sessions, from the options of pytest."""

from __future__ import annotations

import os

import pytest

from pytest_synctool.engine.settings import Settings, old_versions
from pytest_synctool.plugin.cluster import Cluster, mode_of, waivers_of
from pytest_synctool.plugin.invocation import changes_nodes
from pytest_synctool.repository.lock import who


def settings_of(config: pytest.Config, cluster: Cluster) -> Settings:
    """Return the settings of the sessions of a run."""
    option = config.option
    explain = None
    if option.synctool_explain:
        from pytest_synctool.repository.explain import Explainer  # not at the top: most runs do not need it

        explain = Explainer(cluster.repository).of_entry
    return Settings(
        cluster.config.masterdir,
        mode_of(config),
        deadline=float(option.synctool_node_timeout),
        diff=option.synctool_diff or not changes_nodes(config),
        explain=explain,
        trigger_timeout=option.synctool_trigger_timeout,
        who=who(),
        waivers=waivers_of(config, cluster),
        saved=old_versions(
            os.fsencode(option.synctool_saved_dir or ""),
            are_kept=cluster.config.backup_copies and not option.synctool_no_saved,
        ),
        log=os.fsencode(cluster.config.logfile or ""),
        syslog=cluster.config.syslogging and not option.synctool_no_syslog,
        trust_ctime=option.synctool_trust_ctime,
        earlier=bool(option.keyword) or any("::" in str(argument) for argument in config.args),
        unmanaged=os.fsencode(option.synctool_unmanaged or ""),
    )
