"""Several admin machines, with `--tx ssh=HOST`.

Each must be reachable, and its configuration and masterdir must be the same as the controller's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from execnet import XSpec
from execnet.gateway_io import ssh_args
from xdist.workermanage import WorkerController, parse_tx_spec_config

from pytest_synctool import __version__
from pytest_synctool.common.console import shown
from pytest_synctool.connection.ssh import SSH_FAILED, failure_reason
from pytest_synctool.plugin.cluster import NODE_OUTPUTS, TODAY, Cluster, cluster_of, today
from pytest_synctool.plugin.invocation import changes_nodes
from pytest_synctool.repository.fingerprint import Fingerprint, difference, of_configuration, of_masterdir

_KEY: Final = "synctool_fingerprint"  # in the `workerinput` that the controller sends to a worker
_PATIENCE: Final = 20  # seconds to start Python, after the time for the connection


def check_machines(config: pytest.Config) -> None:
    """Check that every admin machine of --tx can be reached and has the Python to use. Raises pytest.UsageError.

    If there are admin machines, xdist does not replace crashed workers: other workers take over.
    """
    option = config.option
    if option.collectonly:
        return
    try:
        specs = [XSpec(text) for text in (*dict.fromkeys(parse_tx_spec_config(config)), *option.px)]
    except (AttributeError, ValueError) as error:
        raise pytest.UsageError(f"--tx: {error}") from error
    _check_distribution(config, specs)
    machines = [spec for spec in specs if spec.ssh and not spec.via]
    if not machines:
        return
    if option.maxworkerrestart not in (None, "0"):
        raise pytest.UsageError(
            "--max-worker-restart does not go with --tx ssh=: a failed restart on a lost machine would end the run. "
            "Leave the option out: other workers take over"
        )
    option.maxworkerrestart = "0"
    if getattr(option, "lf", False) or getattr(option, "failedfirst", False):
        raise pytest.UsageError(
            "--lf and --ff do not go with --tx ssh=: only this machine knows which tests have failed. "
            "Use --tx popen, or -n"
        )
    _check_paths(config.invocation_params.args)
    with ThreadPoolExecutor(len(machines)) as pool:
        results = pool.map(lambda spec: _problem(spec, option.synctool_connect_timeout), machines)
        if problems := [problem for problem in results if problem]:
            raise pytest.UsageError("\n".join(map(shown, problems)))


def _check_distribution(config: pytest.Config, specs: Sequence[XSpec]) -> None:
    dist = config.option.dist
    if dist == "no" and any(spec.ssh for spec in specs):
        raise pytest.UsageError("--tx needs --dist load: without it this machine does all the work")
    if changes_nodes(config) and dist in ("each", "worksteal"):
        raise pytest.UsageError(f"--dist {dist} does not go with a repair: a node would have two workers at a time")


def _check_paths(arguments: Sequence[object]) -> None:
    for argument in map(str, arguments):
        if Path(argument.partition("::")[0]).exists():
            raise pytest.UsageError(
                f"--tx ssh= does not go with {argument!r}, which is a path on this machine: xdist would not pass it on "
                "unchanged. Name test files by module (--pyargs), write --option=PATH in one word, or start from "
                "another directory"
            )


def _problem(spec: XSpec, connect_timeout: int) -> str | None:
    """Return the problem of an admin machine, or None. It is found by one short call of ssh, made as execnet does."""
    first, *rest = ssh_args(spec)[:-1]
    python = spec.python or "python"
    command = [first, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={connect_timeout}", *rest, f"{python} -c pass"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=connect_timeout + _PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"--tx ssh={spec.ssh}: no answer within {connect_timeout + _PATIENCE} s"
    except OSError as error:
        return f"--tx ssh={spec.ssh}: cannot run ssh: {error.strerror}"
    if done.returncode == SSH_FAILED:
        return f"--tx ssh={spec.ssh}: unreachable: {failure_reason(done.stderr)}"
    if done.returncode:
        where = f"name the Python that has pytest-synctool with --tx ssh={spec.ssh}//python=PATH"
        return f"--tx ssh={spec.ssh}: cannot run {python}: {failure_reason(done.stderr)}; {where}"
    return None


class AdminMachines:
    """A plugin of the controller that sends every worker the cluster's fingerprint, the included nodes and the day."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._fingerprints: dict[bool, Fingerprint] = {}

    def pytest_configure_node(self, node: WorkerController) -> None:
        """Send the fingerprint. That of the masterdir goes only to other machines: here the masterdir is the same."""
        spec = node.gateway.spec
        elsewhere = not spec.popen or bool(spec.via)
        if elsewhere not in self._fingerprints:
            self._fingerprints[elsewhere] = _fingerprint(cluster_of(self._config), elsewhere=elsewhere)
        node.workerinput[NODE_OUTPUTS] = dict(cluster_of(self._config).config.node_outputs)
        node.workerinput[TODAY] = today(self._config).isoformat()
        node.workerinput[_KEY] = {"elsewhere": elsewhere, "digests": dict(self._fingerprints[elsewhere])}


def check_fingerprint(config: pytest.Config, cluster: Cluster | None) -> None:
    """Check, in a worker, that its cluster is the same as the controller's. Raises pytest.UsageError."""
    expected: dict[str, Any] | None = getattr(config, "workerinput", {}).get(_KEY)
    if expected is None:
        return
    if cluster is None:
        raise pytest.UsageError(
            "the command line does not name the suite and the configuration: name both, as in "
            "pytest --pyargs synctool_checks --synctool-conf=/var/lib/synctool/synctool.conf"
        )
    ours = _fingerprint(cluster, elsewhere=expected["elsewhere"])
    if different := difference(ours, expected["digests"]):
        raise pytest.UsageError(
            f"its configuration or masterdir ({cluster.config.path}, {cluster.config.masterdir}) differs from the "
            f"controller's. Different: {different}"
        )


def _fingerprint(cluster: Cluster, *, elsewhere: bool) -> Fingerprint:
    digests = {"the version of pytest-synctool": __version__, **of_configuration(cluster.config, cluster.nodes)}
    if elsewhere:
        digests |= of_masterdir(cluster.config, cluster.repository, cluster.nodes)
    return digests
