"""The cluster of a run: configuration, selected nodes and masterdir, read once per process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_synctool import config as configuration
from pytest_synctool.config import own_node
from pytest_synctool.config.selection import select, terms
from pytest_synctool.connection.connections import Connections
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.connection.transport import Sudo
from pytest_synctool.errors import SynctoolError
from pytest_synctool.model import Node
from pytest_synctool.report.tally import Tally
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.resolution import load as load_repository
from pytest_synctool.repository.waivers import NOTHING_WAIVED, InForce

# The package of the compliance suite, in a checkout and installed.
SUITE: Final = "synctool_checks"

# The values of --granularity.
BY_ENTRY: Final = "entry"
BY_NODE: Final = "node"


@dataclass(frozen=True)
class Cluster:
    """What a run works on. `nodes` are the selected ones, in the order of the configuration.

    `own` is the only one of them, and why, in a run of a node on itself.
    """

    config: configuration.Config
    nodes: tuple[Node, ...]
    repository: Repository
    own: own_node.Own | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was left out of the configuration and the masterdir, and why."""
        return (*self.config.warnings, *self.repository.warnings)

    @property
    def left_out(self) -> list[str]:
        """The names of ignored nodes that do not take part."""
        selected = {node.name for node in self.nodes}
        return [n.name for n in self.config.nodes.values() if n.ignored and n.name not in selected]


# In what a worker is given by the controller.
TODAY: Final = "synctool_today"

CLUSTER = pytest.StashKey[Cluster]()
CONNECTIONS = pytest.StashKey[Connections]()
TALLY = pytest.StashKey[Tally]()
_TODAY = pytest.StashKey[date]()


def is_worker(config: pytest.Config) -> bool:
    """Whether this is an xdist worker, rather than the process that reports."""
    return hasattr(config, "workerinput")


def changes_nodes(config: pytest.Config) -> bool:
    """Whether the run writes on nodes, rather than just looks at them."""
    return bool(config.option.synctool_fix or config.option.synctool_restore)


def repair_option(config: pytest.Config) -> str:
    """Return the option by which the run writes on nodes: `--restore` or `--fix`."""
    return "--restore" if config.option.synctool_restore else "--fix"


def cache_of(config: pytest.Config) -> Any:
    """pytest's cache between runs; None with -p no:cacheprovider."""
    return getattr(config, "cache", None)


def waivers_of(config: pytest.Config, cluster: Cluster) -> InForce:
    """The waivers of this run, as they stand on the day on which it began; none if it is to do without."""
    if config.option.synctool_no_waivers:
        return NOTHING_WAIVED
    return InForce(cluster.repository.waivers, today(config))


def today(config: pytest.Config) -> date:
    """The day on which the run began, where it was started: workers may be in other time zones, or beyond midnight."""
    if _TODAY not in config.stash:
        given: str | None = getattr(config, "workerinput", {}).get(TODAY)
        config.stash[_TODAY] = date.today() if given is None else date.fromisoformat(given)
    return config.stash[_TODAY]


def cluster_of(config: pytest.Config) -> Cluster:
    """The cluster of this run, read on first use. Raises SynctoolError."""
    if CLUSTER not in config.stash:
        config.stash[CLUSTER] = _load(config)
    return config.stash[CLUSTER]


def _load(config: pytest.Config) -> Cluster:
    found = configuration.load(locate(config))
    if config.option.synctool_lint:  # about all nodes, whether or not any can be selected; none takes part
        return Cluster(found, (), load_repository(found))
    nodes, own = _selected(found, config.option.synctool_selection, config.option.synctool_nodename)
    repository = load_repository(found)
    for node in nodes:
        repository.entries(node)  # so that all warnings are known
    return Cluster(found, nodes, repository, own)


def _selected(
    found: configuration.Config, selection: str | None, nodename: str | None
) -> tuple[tuple[Node, ...], own_node.Own | None]:
    """The nodes of a run, and the one that this machine is, if that is meant. Raises SelectionError."""
    ours = [] if selection is None else [term for term in terms(selection) if not is_url(term)]
    expression = ",".join(ours) if ours else None
    if own_node.is_wanted(found, expression, nodename):
        own = own_node.own_node(found, own_node.Machine.this(), nodename)
        return (own.node,), own
    return (() if selection is not None and not ours else tuple(select(found, expression))), None


def is_url(term: str) -> bool:
    """Whether a term of --hosts is a host specification for testinfra alone."""
    return "://" in term


def locate(config: pytest.Config) -> Path:
    """The configuration file of this run. Raises ConfigError, listing where it looked."""
    ini = config.getini("synctool_conf")
    base = config.inipath.parent if config.inipath else config.rootpath
    return configuration.find(
        config.option.synctool_conf, base / ini if ini else None, os.environ, config.invocation_params.dir
    )


def connections_of(config: pytest.Config, command: Sequence[str]) -> Connections:
    """How this run reaches nodes: by `ssh_cmd` of the configuration, with testinfra's options for ssh and sudo."""
    option = config.option
    extra = (option.ssh_extra_args or "").split()
    ssh = SshSettings((*command, *extra), option.ssh_config, option.ssh_identity_file, option.synctool_connect_timeout)
    sudo = Sudo(option.sudo_user) if option.sudo else None
    return Connections(ssh, Processes(), sudo, option.synctool_ssh_persist, shared=changes_nodes(config))


def wants_cluster(config: pytest.Config) -> bool:
    """Whether the command line asks for the cluster: our options, or the compliance suite among the arguments."""
    option = config.option
    if option.synctool_conf or option.synctool_lint or option.synctool_nodename is not None or changes_nodes(config):
        return True
    if option.synctool_selection is not None and not all(map(is_url, terms(option.synctool_selection))):
        return _has_configuration(config) or _collects_suite(config)
    return _collects_suite(config)


def _has_configuration(config: pytest.Config) -> bool:
    try:
        locate(config)
    except SynctoolError:
        return False
    return True


def _collects_suite(config: pytest.Config) -> bool:
    for argument in config.args:
        name = argument.partition("::")[0]
        if config.option.pyargs and name.partition(".")[0] == SUITE:
            return True
        path = (config.invocation_params.dir / name).resolve()
        if SUITE in path.parts or (path / SUITE).is_dir():
            return True
    return False
