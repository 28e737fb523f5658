"""Results on their way to the summary, the report files and pytest's percentage."""

from __future__ import annotations

from typing import Final

import pytest

from pytest_synctool.model import NodeResult
from pytest_synctool.plugin.cluster import TALLY
from pytest_synctool.plugin.invocation import BY_NODE
from pytest_synctool.plugin.last_audit import LAST_AUDIT_RECORDER
from pytest_synctool.plugin.report_files import REPORT_FILES
from pytest_synctool.report.node_test_ids import NodeTests

_MOST_LETTERS: Final = 2_000  # tests; a longer run shows a letter per node


def is_brief(config: pytest.Config, total: int) -> bool:
    """Return True if the terminal is to show a letter per node instead of one per test: the run has too many tests."""
    return total > _MOST_LETTERS and config.get_verbosity() <= 0


def set_progress(session: pytest.Session, total: int) -> None:
    """Set the number of tests from which pytest computes its percentage: all tests, and the errors of nodes.

    With a letter per node, pytest's own number is right: it counts node items.
    """
    if is_brief(session.config, total):
        return
    # The error of a node is a test more than the tests of its entries; with --granularity=node it is one of the tests.
    errors: dict[str, list[str]] = (
        {} if session.config.option.synctool_granularity == BY_NODE else session.config.stash[TALLY].node_errors
    )
    session.testscollected = total + sum(len(nodes) for nodes in errors.values())


def record(config: pytest.Config, tests: NodeTests, result: NodeResult, nodes: int) -> None:
    """Take a node's result into the summary and the report files. `nodes` is the number of nodes of the run."""
    taken = config.stash[TALLY].add(tests, result)
    if REPORT_FILES in config.stash:
        files = config.stash[REPORT_FILES]
        files.take(taken, nodes)
        if files.unmanaged is not None:
            files.unmanaged.take(tests.node, result)
    config.stash[LAST_AUDIT_RECORDER].take(tests, result)
