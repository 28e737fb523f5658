"""Test ids on the command line that are no tests: the error of pytest gets a line that says what may be meant."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from pytest_synctool.common.wording import nearest, printable_text
from pytest_synctool.plugin.cluster import CLUSTER, Cluster
from pytest_synctool.plugin.invocation import SUITE
from pytest_synctool.report.nodeids import encode


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Add a line for each id of the suite whose node or path is unknown."""
    try:
        return (yield)
    except pytest.UsageError as error:
        cluster = session.config.stash.get(CLUSTER, None)
        if cluster is None:
            raise
        raise pytest.UsageError(*error.args, *_hints(session.config.args, cluster)) from error


def _hints(arguments: list[str], cluster: Cluster) -> Iterator[str]:
    """Yield a line for each id with an unknown part. An id is FILE::NODE::PATH."""
    for argument in arguments:
        file, _, rest = argument.partition("::")
        if SUITE not in file or not rest:
            continue
        name, _, path = rest.partition("::")
        entry = path[path.find("/") :] if "/" in path else ""  # without the word before the path of a trigger
        node = next((each for each in cluster.nodes if each.name == name), None)
        if node is None:
            names = [each.name for each in cluster.nodes]
            yield f"no selected node has the name '{printable_text(name)}'{nearest(name, names)}"
            continue
        known = {encode(each.destination) for each in cluster.repository.entries(node)}
        if entry and entry not in known:
            yield f"{node.name} has no entry '{printable_text(entry)}'{nearest(entry, known)}"
