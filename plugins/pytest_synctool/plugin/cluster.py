"""The cluster of a run: configuration, selected nodes and masterdir. Each process reads them once."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_synctool import config as configuration
from pytest_synctool.common.garbage import rarely_collected
from pytest_synctool.common.trust import EVERYBODY, Trust
from pytest_synctool.config import node_commands, own_node
from pytest_synctool.config.selection import select, terms
from pytest_synctool.connection.connections import Connections
from pytest_synctool.connection.interruption import Interruption
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.route import Sudo
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.engine.settings import Mode
from pytest_synctool.errors import SynctoolError
from pytest_synctool.model import Node
from pytest_synctool.plugin.invocation import (
    changes_nodes,
    collects_suite,
    ini_directory,
    is_url,
    is_worker,
    runs_tests,
    selects_tests,
)
from pytest_synctool.report.tally import Tally
from pytest_synctool.repository.decryption import Decryption
from pytest_synctool.repository.made_contents import check as check_contents
from pytest_synctool.repository.made_contents import refuse_to_decrypt
from pytest_synctool.repository.resolution import Repository, load_config
from pytest_synctool.repository.resolution import load as load_repository
from pytest_synctool.repository.vital_paths import check_lockouts
from pytest_synctool.repository.waivers import NOTHING_WAIVED, InForce


@dataclass(frozen=True)
class Cluster:
    """The cluster that a run works on. `nodes` are the selected nodes, in the order of the configuration.

    `own` is set when a node works on itself: it holds the only node of the run, and the reason why it is this one.
    """

    config: configuration.Config
    nodes: tuple[Node, ...]
    repository: Repository
    own: own_node.OwnNode | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a line for each part of the configuration and the masterdir that is left out, with the reason."""
        return (*self.config.warnings, *self.repository.warnings, *self.repository.idle)

    @property
    def left_out(self) -> list[str]:
        """Return the names of the ignored nodes that do not take part."""
        selected = {node.name for node in self.nodes}
        return [n.name for n in self.config.nodes.values() if n.ignored and n.name not in selected]


# The key under which the controller hands the day to its xdist workers.
TODAY: Final = "synctool_today"
# The key for what the commands of include_nodes have printed: workers run none.
NODE_OUTPUTS: Final = "synctool_node_outputs"

CLUSTER = pytest.StashKey[Cluster]()
CONNECTIONS = pytest.StashKey[Connections]()
TALLY = pytest.StashKey[Tally]()
INTERRUPTION = pytest.StashKey[Interruption]()
_TODAY = pytest.StashKey[date]()


def mode_of(config: pytest.Config) -> Mode:
    """Return the mode of the run: an audit, or that of --fix or --restore, or both."""
    option = config.option
    if option.synctool_restore:
        return Mode.RESTORE if option.synctool_fix else Mode.RECALL
    return Mode.FIX if option.synctool_fix else Mode.AUDIT


def cache_of(config: pytest.Config) -> Any:
    """Return pytest's cache, which lasts from run to run; None with -p no:cacheprovider."""
    return getattr(config, "cache", None)


def waivers_of(config: pytest.Config, cluster: Cluster) -> InForce:
    """Return the waivers in force on the day on which the run began; none with --no-waivers."""
    if config.option.synctool_no_waivers:
        return NOTHING_WAIVED
    return InForce(cluster.repository.waivers, today(config))


def today(config: pytest.Config) -> date:
    """Return the day on which the run began, on the clock of the controller.

    Workers take it from the controller: they may be in another time zone, or start after midnight.
    """
    if _TODAY not in config.stash:
        day: str | None = getattr(config, "workerinput", {}).get(TODAY)
        config.stash[_TODAY] = date.today() if day is None else date.fromisoformat(day)
    return config.stash[_TODAY]


def cluster_of(config: pytest.Config) -> Cluster:
    """Return the cluster of this run; the first call reads it. Raises SynctoolError."""
    if CLUSTER not in config.stash:
        with rarely_collected():
            config.stash[CLUSTER] = _load(config)
    return config.stash[CLUSTER]


def _load(config: pytest.Config) -> Cluster:
    is_lint = config.option.synctool_lint
    trust = Trust.of_caller(config.option.synctool_trust_owner)
    outputs: dict[str, bytes] | None = getattr(config, "workerinput", {}).get(NODE_OUTPUTS)
    print_nodes = node_commands.run if outputs is None else node_commands.Kept(outputs)
    settings = load_config(locate(config), trust, EVERYBODY if is_lint else trust, print_nodes)
    if is_lint:  # it covers all nodes, selected or not, and contacts none
        settings = replace(settings, trust=EVERYBODY)
        return Cluster(settings, (), load_repository(settings))
    nodes, own = _selected(settings, config.option.synctool_selection, config.option.synctool_nodename)
    is_running = runs_tests(config)
    decrypt = Decryption(settings.masterdir) if is_running else refuse_to_decrypt
    if is_running and _may_ask_ahead(config):
        config.stash[CONNECTIONS] = connections_of(config, settings)
        config.stash[CONNECTIONS].ask_ahead(settings.masterdir, nodes, "pytest", settings.num_proc)
    repository = load_repository(settings, decrypt, cached=not config.option.synctool_no_cache)
    entries = [(node, repository.entries(node)) for node in nodes]  # this collects the warnings of all nodes
    if is_running:
        check_contents(entries)
    if mode_of(config) is Mode.FIX:
        check_lockouts(entries)
    return Cluster(settings, nodes, repository, own)


def _may_ask_ahead(config: pytest.Config) -> bool:
    """Return True for an audit of all entries in this process, if nothing on the command line says otherwise."""
    option = config.option
    is_whole = collects_suite(config) and not (selects_tests(config) or option.synctool_tasks)
    is_here = not is_worker(config) and getattr(option, "dist", "no") == "no"
    is_at_once = option.synctool_batch is None and not option.synctool_serial
    is_plain = mode_of(config) is Mode.AUDIT and option.synctool_trust_ctime is None and not option.synctool_no_cache
    return is_plain and is_whole and is_here and is_at_once


def _selected(
    settings: configuration.Config, selection: str | None, nodename: str | None
) -> tuple[tuple[Node, ...], own_node.OwnNode | None]:
    """Return the nodes of a run, and this machine's own node if the run is to work on that. Raises SelectionError."""
    ours = [] if selection is None else [term for term in terms(selection) if not is_url(term)]
    expression = ",".join(ours) if ours else None
    if own_node.is_wanted(settings, expression, nodename):
        own = own_node.own_node(settings, own_node.Machine.this(settings.trust), nodename)
        return (own.node,), own
    return (() if selection is not None and not ours else tuple(select(settings, expression))), None


def locate(config: pytest.Config) -> Path:
    """Return the path of the configuration file of this run. Raises ConfigError with the list of places searched."""
    ini = config.getini("synctool_conf")
    base = ini_directory(config) or config.rootpath
    return configuration.find(
        config.option.synctool_conf, base / ini if ini else None, os.environ, config.invocation_params.dir
    )


def connections_of(config: pytest.Config, cluster_config: configuration.Config) -> Connections:
    """Return the connections of this run.

    testinfra's options for ssh and sudo apply here too.
    """
    option = config.option
    extra = (option.ssh_extra_args or "").split()
    ssh = SshSettings(
        (*cluster_config.ssh_cmd, *extra), option.ssh_config, option.ssh_identity_file, option.synctool_connect_timeout
    )
    sudo = Sudo(option.sudo_user) if option.sudo else None
    persist = cluster_config.persist_seconds(option.synctool_ssh_persist)
    return Connections(ssh, Processes(), sudo, persist, shared=changes_nodes(config))


def wants_cluster(config: pytest.Config) -> bool:
    """Return True if the command line asks for the cluster: by an option of ours, or by naming the compliance suite."""
    option = config.option
    if (
        option.synctool_conf
        or option.synctool_lint
        or option.synctool_unmanaged
        or option.synctool_nodename is not None
        or mode_of(config) is not Mode.AUDIT
    ):
        return True
    if option.synctool_selection is not None and not all(map(is_url, terms(option.synctool_selection))):
        return _has_configuration(config) or collects_suite(config)
    return collects_suite(config)


def _has_configuration(config: pytest.Config) -> bool:
    try:
        locate(config)
    except SynctoolError:
        return False
    return True
