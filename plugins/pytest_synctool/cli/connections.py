"""How `synctool` reaches nodes."""

from __future__ import annotations

from argparse import Namespace

from pytest_synctool.config import Config
from pytest_synctool.connection.connections import Connections
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.ssh import SshSettings


def connections_of(config: Config, arguments: Namespace, *, shared: bool = False) -> Connections:
    """The connections of a run; with `shared` one for all that a node is asked."""
    ssh = SshSettings(config.ssh_cmd, connect_timeout=arguments.connect_timeout)
    return Connections(ssh, Processes(), persist=arguments.ssh_persist, shared=shared)
