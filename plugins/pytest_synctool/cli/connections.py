"""The connections of `synctool` to nodes."""

from __future__ import annotations

from argparse import Namespace

from pytest_synctool.cli.shared_options import sudo_of
from pytest_synctool.config import Config
from pytest_synctool.connection.connections import Connections
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.ssh import SshSettings


def connections_of(config: Config, arguments: Namespace, *, shared: bool = False) -> Connections:
    """Return the connections of a run. With `shared`, all scripts for a node use one ssh connection."""
    ssh = SshSettings(config.ssh_cmd, connect_timeout=arguments.connect_timeout)
    sudo, persist = sudo_of(arguments), config.persist_seconds(arguments.ssh_persist)
    return Connections(ssh, Processes("--timeout"), sudo, persist=persist, shared=shared)
