"""testinfra's `host` fixture on the nodes of the cluster, for runs without --hosts."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_synctool.plugin.cluster import CLUSTER


def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None]:
    """Run a test that uses `host` on every node of the run, unless --hosts or the test's module names hosts."""
    option = metafunc.config.option
    cluster = metafunc.config.stash.get(CLUSTER, None)
    if cluster is None or option.hosts is not None or hasattr(metafunc.module, "testinfra_hosts"):
        return (yield)
    option.hosts = ",".join(node.host_spec for node in cluster.nodes)
    try:
        return (yield)
    finally:
        option.hosts = None
