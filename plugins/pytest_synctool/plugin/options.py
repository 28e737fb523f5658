"""Options, and what has to be settled before anything is collected."""

from __future__ import annotations

import argparse
import os
from typing import Final

import pytest

from pytest_synctool.config.selection import terms
from pytest_synctool.connection.ssh_backend import install_ssh_backend, restore_ssh_backend
from pytest_synctool.engine import batches
from pytest_synctool.errors import SynctoolError
from pytest_synctool.plugin.arguments import settle_arguments
from pytest_synctool.plugin.cluster import (
    BY_ENTRY,
    BY_NODE,
    CONNECTIONS,
    TALLY,
    changes_nodes,
    cluster_of,
    connections_of,
    is_url,
    is_worker,
    today,
    wants_cluster,
)
from pytest_synctool.plugin.repairs import LOG, lock, open_log
from pytest_synctool.plugin.reports import open_reports
from pytest_synctool.plugin.xdist.admin_machines import check_fingerprint, check_machines
from pytest_synctool.report.tally import Tally

_TESTINFRA_SSH = pytest.StashKey[str]()
_BATCH_OPTIONS: Final = (
    ("--batch", "synctool_batch"),
    ("--serial", "synctool_serial"),
    ("--max-fail-nodes", "synctool_max_fail_nodes"),
)


def _seconds(text: str) -> int:
    seconds = int(text)
    if seconds < 1:
        raise ValueError("must be at least 1")
    return seconds


def _size(text: str) -> batches.Size:
    try:
        return batches.size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a number from 0, not {text!r}")
    return int(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the plugin; --hosts, --ssh-config and their like are testinfra's."""
    group = parser.getgroup("synctool", "synctool: audit and repair the files of a cluster (see also --hosts)")
    group.addoption(
        "--synctool-conf",
        dest="synctool_conf",
        metavar="FILE",
        help="the cluster's synctool.conf; else the ini key synctool_conf, $SYNCTOOL_CONF, ./synctool.conf, "
        "/var/lib/synctool/synctool.conf",
    )
    group.addoption(
        "--fix",
        dest="synctool_fix",
        action="store_true",
        help="put right what differs; without it nothing on a node is ever written",
    )
    group.addoption(
        "--nodename",
        dest="synctool_nodename",
        metavar="NAME",
        help="run on this machine alone, against its own copy of the masterdir, as node NAME; with --hosts=localhost "
        "the name is found by hostname and addresses",
    )
    _add_repair_options(group)
    _add_saved_options(group)
    group.addoption(
        "--skip-rsync",
        dest="synctool_skip_rsync",
        action="store_true",
        help="with --fix: bring no files to the nodes, they have the masterdir already (rsync:no says so of one node)",
    )
    group.addoption(
        "--tasks",
        dest="synctool_tasks",
        action="store_true",
        help="a test for every task of a node: with --fix it is run, without it is skipped",
    )
    group.addoption(
        "--no-waivers",
        dest="synctool_no_waivers",
        action="store_true",
        help="judge, and with --fix repair, as if there were no waivers.yaml",
    )
    group.addoption(
        "--diff",
        dest="synctool_diff",
        action="store_true",
        help="show what differs in the contents of files, equal differences once; never of what not everybody may read",
    )
    group.addoption(
        "--explain",
        dest="synctool_explain",
        action="store_true",
        help="show in each failure why the node has to have this file: the source that counts, and those that do not",
    )
    group.addoption(
        "--connect-timeout",
        dest="synctool_connect_timeout",
        type=_seconds,
        default=10,
        metavar="SECONDS",
        help="how long a node may take to accept a connection (default: %(default)s)",
    )
    group.addoption(
        "--ssh-persist",
        dest="synctool_ssh_persist",
        type=_count,
        default=60,
        metavar="SECONDS",
        help="how long an ssh connection stays open for later runs after its last use (default: %(default)s; 0: not)",
    )
    group.addoption(
        "--node-timeout",
        dest="synctool_node_timeout",
        type=_seconds,
        default=120,
        metavar="SECONDS",
        help="how long one command on a node may take, a repair with its triggers included (default: %(default)s)",
    )
    group.addoption(
        "--trigger-timeout",
        dest="synctool_trigger_timeout",
        type=_seconds,
        default=60,
        metavar="SECONDS",
        help="how long one .post script or on_update command may take on a node (default: %(default)s)",
    )
    group.addoption(
        "--granularity",
        dest="synctool_granularity",
        choices=(BY_ENTRY, BY_NODE),
        default=BY_ENTRY,
        help="one test per node and entry, or one per node whose failure lists its entries, for runs of more than a "
        "few million checks (default: %(default)s)",
    )
    group.addoption(
        "--synctool-lint",
        dest="synctool_lint",
        action="store_true",
        help="check the configuration and the masterdir offline: a test for every rule, no node is contacted",
    )
    _add_report_options(group)
    parser.addini("synctool_reports", "where reports go, relative to the ini file (default: reports)", default="")
    parser.addini("synctool_conf", "the cluster's synctool.conf, relative to the ini file", default="")


def _add_report_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--synctool-reports",
        dest="synctool_reports",
        metavar="DIR",
        help="where drift.html, junit.xml, drift.json, metrics.prom and history.sqlite go (default: the ini key "
        "synctool_reports, or reports beside the ini file, or here; empty: nowhere)",
    )
    group.addoption(
        "--synctool-jsonl",
        dest="synctool_jsonl",
        metavar="FILE",
        help="write results as lines of JSON while the run goes on",
    )
    group.addoption(
        "--synctool-summary",
        dest="synctool_summary",
        metavar="FILE",
        help="append a summary in Markdown to FILE, such as $GITHUB_STEP_SUMMARY",
    )
    group.addoption(
        "--synctool-codequality",
        dest="synctool_codequality",
        metavar="FILE",
        help="write findings as the code-quality report that GitLab shows in merge requests",
    )
    group.addoption(
        "--synctool-baseline",
        dest="synctool_baseline",
        metavar="FILE",
        help="an earlier drift.json: reports tell new drift from known drift",
    )
    group.addoption(
        "--history-keep",
        dest="synctool_history_keep",
        type=_count,
        default=100,
        metavar="N",
        help="how many runs history.sqlite keeps among the reports, for synctool-history (default: %(default)s; 0: "
        "record nothing)",
    )


def _add_repair_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--batch",
        dest="synctool_batch",
        type=_size,
        metavar="N|N%",
        help="with --fix: repair N nodes (or N%% of them) at a time, each batch only after a batch without failures",
    )
    group.addoption(
        "--serial",
        dest="synctool_serial",
        action="store_true",
        help="with --fix: one node after the other, the same as --batch=1",
    )
    group.addoption(
        "--max-fail-nodes",
        dest="synctool_max_fail_nodes",
        type=_count,
        metavar="N",
        help="with --batch: begin no other batch when more than N nodes have failed in all (default: 0)",
    )
    group.addoption(
        "--no-syslog",
        dest="synctool_no_syslog",
        action="store_true",
        help="with --fix: do not log to syslog what is done; `logfile` of the configuration is written all the same",
    )


def _add_saved_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--no-saved",
        dest="synctool_no_saved",
        action="store_true",
        help="with --fix: keep no NAME.saved of what is replaced; a directory in the way is kept all the same",
    )
    group.addoption(
        "--saved-dir",
        dest="synctool_saved_dir",
        type=_directory,
        metavar="DIR",
        help="with --fix: keep old versions below DIR on the node (DIR/etc/motd) instead of beside the new ones",
    )
    group.addoption(
        "--restore",
        dest="synctool_restore",
        action="store_true",
        help="put back what the last --fix has kept on the nodes, and run the .post scripts of what comes back",
    )


def _directory(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or not os.path.normpath(text).strip("/"):
        raise argparse.ArgumentTypeError(f"expected a directory on the nodes like /var/lib/saved, not {text!r}")
    return os.path.normpath(text)


def _check_saved(option: argparse.Namespace) -> None:
    for name, value in (("--no-saved", option.synctool_no_saved), ("--saved-dir", option.synctool_saved_dir)):
        if value and not option.synctool_fix:
            raise pytest.UsageError(f"{name} needs --fix: nothing else replaces files")
    if option.synctool_no_saved and option.synctool_saved_dir:
        raise pytest.UsageError("--no-saved does not go with --saved-dir: old versions are kept, or they are not")
    for name, value in (("--fix", option.synctool_fix), ("--tasks", option.synctool_tasks)):
        if value and option.synctool_restore:
            raise pytest.UsageError(f"{name} does not go with --restore, which puts back what --fix has changed")


def _check_combinations(config: pytest.Config) -> None:
    """Raises pytest.UsageError, with the reason, for options of ours that do not go together."""
    option = config.option
    _check_saved(option)
    mode = "--restore" if option.synctool_restore else "--fix"
    if changes_nodes(config) and option.synctool_lint:
        raise pytest.UsageError(f"{mode} does not go with --synctool-lint: it contacts no node, so nothing is changed")
    if changes_nodes(config) and option.collectonly:
        raise pytest.UsageError(f"{mode} does not go with --collect-only: nothing runs, so nothing is changed")
    if option.synctool_batch and option.synctool_serial:
        raise pytest.UsageError("--serial is --batch=1: give one of them")
    values = {name: getattr(option, dest) for name, dest in _BATCH_OPTIONS}
    given = [name for name, value in values.items() if value is not None and value is not False]
    if given and not option.synctool_fix:
        raise pytest.UsageError(f"{given[0]} needs --fix: an audit changes nothing, so it looks at all nodes at once")
    if given == ["--max-fail-nodes"]:
        raise pytest.UsageError("--max-fail-nodes needs --batch or --serial: without them every repair begins at once")
    if given and getattr(option, "tx", None) and getattr(option, "dist", "no") != "no":
        raise pytest.UsageError(
            f"{given[0]} does not go with -n: several processes cannot wait for each other's batches, and one process "
            "repairs up to num_proc nodes at once"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the cluster if the run is about it, and hand the selected nodes to testinfra."""
    option = config.option
    for marker in (
        "overlay: checks of overlay entries",
        "delete: checks of delete entries",
        "post: checks of commands that have to run after a change",
        "task: tasks to run, with --tasks",
        "always: commands of always_run, with --fix",
        "lint: rules of --synctool-lint",
    ):
        config.addinivalue_line("markers", marker)
    _check_combinations(config)
    settle_arguments(config)
    if not hasattr(option, "hosts"):
        raise pytest.UsageError("pytest-synctool needs testinfra's plugin, which is not loaded: -p testinfra.plugin")
    option.synctool_selection = option.hosts  # before it is rewritten below
    config.stash[TALLY] = Tally()
    if not wants_cluster(config):
        check_fingerprint(config, None)
        return
    check_machines(config)
    try:
        today(config)  # from here on it is this day until the run is over
        cluster = cluster_of(config)
        check_fingerprint(config, cluster)
        if option.synctool_selection is not None:
            urls = [term for term in terms(option.synctool_selection) if is_url(term)]
            option.hosts = ",".join([*(node.host_spec for node in cluster.nodes), *urls])
        # Nodes at work on themselves do not keep others from the masterdir, which they may share or only read.
        if changes_nodes(config) and cluster.own is None and not is_worker(config):
            lock(config, cluster.config.masterdir)
        open_log(config, cluster)
        open_reports(config, cluster)
    except SynctoolError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[CONNECTIONS] = connections_of(config, cluster.config.ssh_cmd)
    config.stash[_TESTINFRA_SSH] = install_ssh_backend(config.stash[CONNECTIONS].of_testinfra)
    for node_group in (*cluster.config.groups, *cluster.config.nodes):
        config.addinivalue_line("markers", f"{node_group}: nodes of this name or group")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave testinfra as it was, the log closed, and nothing of connections that do not last."""
    if LOG in config.stash:
        config.stash[LOG].ended()
    if CONNECTIONS in config.stash:  # in every process that has made them, whether or not it came to a node
        config.stash[CONNECTIONS].close()
    before = config.stash.get(_TESTINFRA_SSH, None)
    if before is not None:
        restore_ssh_backend(before)
