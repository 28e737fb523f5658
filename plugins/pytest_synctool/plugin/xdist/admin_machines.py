"""More than one admin machine, with `--tx ssh=HOST`: they have to be there, and to go by the same as the controller."""

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
from pytest_synctool.connection.ssh import SSH_FAILED, last_word
from pytest_synctool.plugin.cluster import TODAY, Cluster, changes_nodes, cluster_of, is_worker, today
from pytest_synctool.repository.fingerprint import Fingerprint, difference, of_configuration, of_masterdir

_KEY: Final = "synctool_fingerprint"  # in what a worker is given by the controller
_PATIENCE: Final = 20  # seconds beside those for the connection


def check_machines(config: pytest.Config) -> None:
    """See that every admin machine can be reached and has the Python that is asked for. Raises pytest.UsageError.

    Where there are some, no worker that has crashed is replaced: others take over.
    """
    option = config.option
    if is_worker(config) or option.collectonly or not getattr(option, "tx", None):
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
            "--max-worker-restart does not go with --tx ssh=: a machine that is gone cannot be gone to again, and the "
            "attempt would end the run; others take over"
        )
    option.maxworkerrestart = "0"
    if getattr(option, "lf", False) or getattr(option, "failedfirst", False):
        raise pytest.UsageError(
            "--lf and --ff do not go with --tx ssh=: what has failed is remembered on this machine alone. "
            "Give --tx popen, or -n"
        )
    _check_paths(config.invocation_params.args)
    with ThreadPoolExecutor(len(machines)) as pool:
        problems = pool.map(lambda spec: _problem(spec, option.synctool_connect_timeout), machines)
        if found := [problem for problem in problems if problem]:
            raise pytest.UsageError("\n".join(found))


def _check_distribution(config: pytest.Config, specs: Sequence[XSpec]) -> None:
    dist = config.option.dist
    if dist == "no" and any(spec.ssh for spec in specs):
        raise pytest.UsageError("--tx needs --dist load: without it all is done from this machine")
    if changes_nodes(config) and dist in ("each", "worksteal"):
        raise pytest.UsageError(f"--dist {dist} does not go with a repair: a node would have two workers at a time")


def _check_paths(arguments: Sequence[object]) -> None:
    for argument in map(str, arguments):
        if Path(argument.partition("::")[0]).exists():
            raise pytest.UsageError(
                f"--tx ssh= does not go with {argument!r}, which is a path here: other machines are given the words of "
                "the command line. Name test files by module (--pyargs), write --option=PATH in one word, or start "
                "from another directory"
            )


def _problem(spec: XSpec, connect_timeout: int) -> str | None:
    """What is wrong with an admin machine, found out by one short call, made as execnet makes it."""
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
        return f"--tx ssh={spec.ssh}: unreachable: {last_word(done.stderr)}"
    if done.returncode:
        where = f"--tx ssh={spec.ssh}//python=PATH names the one that has pytest-synctool"
        return f"--tx ssh={spec.ssh}: {python} does not run there: {last_word(done.stderr)}; {where}"
    return None


class Machines:
    """On the controller: every worker is given the fingerprint of what the run goes by, and the day."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._known: dict[bool, Fingerprint] = {}

    def pytest_configure_node(self, node: WorkerController) -> None:
        """Of the masterdir only where it may be another one: not in a process of this machine."""
        spec = node.gateway.spec
        elsewhere = not spec.popen or bool(spec.via)
        if elsewhere not in self._known:
            self._known[elsewhere] = _fingerprint(cluster_of(self._config), elsewhere=elsewhere)
        node.workerinput[TODAY] = today(self._config).isoformat()
        node.workerinput[_KEY] = {"elsewhere": elsewhere, "digests": dict(self._known[elsewhere])}


def check_fingerprint(config: pytest.Config, cluster: Cluster | None) -> None:
    """In a worker: see that it goes by the same as the controller. Raises pytest.UsageError."""
    given: dict[str, Any] | None = getattr(config, "workerinput", {}).get(_KEY)
    if given is None:
        return
    if cluster is None:
        raise pytest.UsageError(
            "it does not know what is to be done: give it all on the command line, as in "
            "pytest --pyargs synctool_checks --synctool-conf=/var/lib/synctool/synctool.conf"
        )
    ours = _fingerprint(cluster, elsewhere=given["elsewhere"])
    if different := difference(ours, given["digests"]):
        raise pytest.UsageError(
            f"it does not go by the same as the controller ({cluster.config.path}, {cluster.config.masterdir}). "
            f"Different: {different}"
        )


def _fingerprint(cluster: Cluster, *, elsewhere: bool) -> Fingerprint:
    found = {"the version of pytest-synctool": __version__, **of_configuration(cluster.config, cluster.nodes)}
    if elsewhere:
        found |= of_masterdir(cluster.config, cluster.repository, cluster.nodes)
    return found
