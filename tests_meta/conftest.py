"""Fixtures and settings of all tests: warnings are errors, and one embedded cluster serves every test with nodes."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir
from pytest_synctool.demo.embedded import EmbeddedCluster, missing_requirements

from tests_meta.gate import Gate, MakeGate
from tests_meta.site import Site

# The other plugins are there only in the environment of `make compat`.
collect_ignore = [] if find_spec("allure_pytest") else ["compat"]

# Runs that tests start find what Python has compiled, as those of users do: without, each takes four times as long.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell starts a background job with SIGINT ignored, and nohup a command with SIGHUP. What tests start inherits it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)  # still ignored here, but nobody inherits it


# Here, before any module of tests, as @given takes the settings that it finds. The same examples in every run, so that
# a failure is never a matter of luck. `--hypothesis-profile=explore` looks for new ones, for as long as `@settings` of
# a test allow.
COMMON = settings(
    database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("unit", COMMON, derandomize=True, max_examples=40)
settings.register_profile("explore", COMMON, derandomize=False, max_examples=1000)
settings.load_profile("unit")
set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), "synctool-hypothesis"))


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
def sole_repair() -> Iterator[None]:
    """Tests that repair this machine itself take turns: a node refuses a second repair while one is under way."""
    with open(__file__, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
