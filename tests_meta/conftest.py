"""Fixtures of all tests: warnings are errors here, and one embedded cluster serves every test that needs nodes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster, missing_requirements

from tests_meta.gate import Gate, MakeGate
from tests_meta.site import Site

# The other plugins are there only in the environment of `make compat`.
collect_ignore = [] if find_spec("allure_pytest") else ["compat"]

# Runs that tests start find what Python has compiled, as those of users do: without, each takes four times as long.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell starts a background job with SIGINT ignored, and all processes of the tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings of this project's own tests are errors; those of an audit are not."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("error"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    """Five real ssh nodes; node5 has BusyBox in the place of GNU. Connections to them stay open from test to test."""
    if missing := missing_requirements():
        pytest.skip("no embedded cluster: " + "; ".join(missing))
    directory = tmp_path_factory.mktemp("cluster")
    with (
        TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as sockets,  # a short name, as sockets need one
        pytest.MonkeyPatch.context() as environment,
        EmbeddedCluster(directory, 5, busybox=["node5"]) as running,
    ):
        environment.setenv("XDG_RUNTIME_DIR", sockets)
        yield running


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    """An empty masterdir and configuration that knows no cluster."""
    return Site(tmp_path, request.node.name)


@pytest.fixture
def live(site: Site, cluster: EmbeddedCluster) -> Site:
    """The same, with node1 to node3 of the embedded cluster: node1 and node2 in batch, node3 in login."""
    site.cluster = cluster
    site.nodes = {"node1": "batch rack1", "node2": "batch rack2", "node3": "login"}
    return site


@pytest.fixture
def gate(live: Site) -> Iterator[MakeGate]:
    """Makes gates on nodes; afterwards nothing waits there any more."""
    made = []

    def make(node: str, command: str, call: int = 1, when: str = "before", change: str = ":") -> Gate:
        made.append(Gate(live, node, command, call, when, change))
        return made[-1]

    yield make
    for one in made:
        one.remove()
