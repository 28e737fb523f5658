"""Start and end of the plugin in a process: check the options, read the cluster, open the log and the reports."""

from __future__ import annotations

import signal

import pytest

from pytest_synctool.common.console import shown
from pytest_synctool.config.selection import terms
from pytest_synctool.connection.interruption import SIGNALS, Interruption
from pytest_synctool.connection.ssh_backend import install_ssh_backend, restore_ssh_backend
from pytest_synctool.errors import SynctoolError
from pytest_synctool.plugin import wrong_ids
from pytest_synctool.plugin.cluster import (
    CONNECTIONS,
    INTERRUPTION,
    TALLY,
    Cluster,
    cluster_of,
    connections_of,
    today,
    wants_cluster,
)
from pytest_synctool.plugin.invocation import changes_nodes, is_url, is_worker, runs_tests
from pytest_synctool.plugin.lint_reports import open_lint_reports
from pytest_synctool.plugin.lock_and_log import LOG, lock, open_log
from pytest_synctool.plugin.report_files import open_reports
from pytest_synctool.plugin.terminal import count_fixed_as_passed
from pytest_synctool.report.tally import Tally

_TESTINFRA_SSH = pytest.StashKey[str]()


def refuse_loop(config: pytest.Config) -> None:
    """Refuse --looponfail, before xdist begins to wait for changes of files. Raises pytest.UsageError."""
    config.option.synctool_selection = getattr(config.option, "hosts", None)
    if wants_cluster(config):
        raise pytest.UsageError(
            "--looponfail does not go with the tests of nodes: it runs tests again when a file of this machine "
            "changes, and a node may change at any time; use --lf"
        )


def pytest_configure(config: pytest.Config) -> None:
    """Read the cluster if the run needs it, and pass the selected nodes to testinfra. Raises pytest.UsageError."""
    option = config.option
    config.stash[TALLY] = Tally(restoring=option.synctool_restore)
    if not wants_cluster(config):
        _check_fingerprint(config, None)
        return
    if getattr(config.option, "dist", "no") == "each":
        raise pytest.UsageError(
            "--dist=each does not go with the tests of nodes: each process would work on all nodes; leave it out"
        )
    if getattr(option, "tx", None) and not is_worker(config):
        # Not at the top: it loads xdist's sessions, which a run in one process does without.
        from pytest_synctool.plugin.xdist.admin_machines import check_machines

        check_machines(config)
    try:
        today(config)  # fixes the day for the whole run
        cluster = cluster_of(config)
        _check_fingerprint(config, cluster)
        config.pluginmanager.register(wrong_ids, "synctool-wrong-ids")
        if option.synctool_selection is not None:
            urls = [term for term in terms(option.synctool_selection) if is_url(term)]
            option.hosts = ",".join([*(node.host_spec for node in cluster.nodes), *urls])
        # Nodes that work on themselves take no lock: they may share the masterdir, or not be able to write there.
        is_running = runs_tests(config)
        if is_running and changes_nodes(config) and cluster.own is None and not is_worker(config):
            lock(config, cluster.config.masterdir)
        if is_running:
            open_log(config, cluster)
            open_reports(config, cluster)
            open_lint_reports(config)
    except SynctoolError as error:
        raise pytest.UsageError("\n".join(map(shown, str(error).split("\n")))) from error
    # execnet sends SIGINT to a worker that needs long to end. This must not count as a second signal.
    signals = SIGNALS if not is_worker(config) else (signal.SIGTERM, signal.SIGHUP)
    config.stash[INTERRUPTION] = Interruption().install(signals)
    if CONNECTIONS not in config.stash:
        config.stash[CONNECTIONS] = connections_of(config, cluster.config)
    config.stash[_TESTINFRA_SSH] = install_ssh_backend(config.stash[CONNECTIONS].route_for_testinfra)
    for node_group in (*cluster.config.groups, *cluster.config.nodes):
        config.addinivalue_line("markers", f"{node_group}: nodes of this name or group")


def _check_fingerprint(config: pytest.Config, cluster: Cluster | None) -> None:
    """Check, in a worker, that its cluster is the same as the controller's. Raises pytest.UsageError."""
    if is_worker(config):
        from pytest_synctool.plugin.xdist.admin_machines import check_fingerprint

        check_fingerprint(config, cluster)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Restore testinfra's ssh backend, close the log, and close the connections that do not outlive the run."""
    count_fixed_as_passed(config)
    if LOG in config.stash:
        config.stash[LOG].ended()
    if CONNECTIONS in config.stash:  # in every process, even in one that has contacted no node
        config.stash[CONNECTIONS].close()
    if INTERRUPTION in config.stash:
        config.stash[INTERRUPTION].restore()
    before = config.stash.get(_TESTINFRA_SSH, None)
    if before is not None:
        restore_ssh_backend(before)
