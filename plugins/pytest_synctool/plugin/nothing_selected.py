"""Runs that compare no node although somebody may expect it: they name the reason, and never pass as a repair."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pytest

from pytest_synctool.common.wording import nearest, printable_text
from pytest_synctool.errors import SynctoolError
from pytest_synctool.plugin.cluster import CLUSTER, TALLY, Cluster, locate
from pytest_synctool.plugin.collect import EntryItem, WholeNode
from pytest_synctool.plugin.invocation import SUITE, collects_suite, is_worker
from pytest_synctool.plugin.node_items import NodeItem
from pytest_synctool.report.nodeids import encode

_ENDED: Final = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
_WORD: Final = re.compile(r"[^\s()]+")  # of an expression of -k or -m
_OPERATORS: Final = ("and", "or", "not")
_MARKS: Final = ("overlay", "delete", "exclusive", "post", "task", "always")


def nothing_selected(session: pytest.Session) -> str | None:
    """Return the reason why a run that has ended has compared no node; None if it has, or is about no cluster."""
    config = session.config
    tally = config.stash.get(TALLY, None)
    if is_worker(config) or tally is None or tally.nodes or config.option.synctool_lint:
        return None
    if session.exitstatus not in _ENDED or any(isinstance(i, NodeItem | EntryItem | WholeNode) for i in session.items):
        return None
    cluster = config.stash.get(CLUSTER, None)
    if cluster is None and not _is_beside_a_configuration(config):
        return None
    if cluster is None or not collects_suite(config):
        return f"the command names no tests of nodes (--pyargs {SUITE})"
    return _mismatch(config, cluster) or "no test of a node was selected"


def _is_beside_a_configuration(config: pytest.Config) -> bool:
    """Return True if there is a configuration where pytest was started, or where pytest.ini says."""
    try:
        path = locate(config)
    except SynctoolError:
        return False
    return bool(config.getini("synctool_conf")) or path.parent in (config.invocation_params.dir, config.rootpath)


def _mismatch(config: pytest.Config, cluster: Cluster) -> str | None:
    """Return the expressions of -k and -m, with what may be meant in the place of an unknown word; None without any."""
    texts = {"-k": config.option.keyword, "-m": config.option.markexpr}
    expressions = {option: text for option, text in texts.items() if text}
    if not expressions:
        return None
    marks = [*cluster.config.groups, *cluster.config.nodes, *_MARKS]
    hints = (
        _hint(word, marks) if option == "-m" else _hint_of_part(word, [*marks, *_names(cluster)])
        for option, text in expressions.items()
        for word in _WORD.findall(text)
        if word not in _OPERATORS
    )
    shown = " with ".join(f"{option} '{printable_text(text)}'" for option, text in expressions.items())
    return f"{shown} matches no test of a selected node{next(filter(None, hints), '')}"


def _hint(word: str, known: Sequence[str]) -> str:
    return "" if word in known else nearest(word, known)


def _hint_of_part(word: str, known: Sequence[str]) -> str:
    lower = word.lower()  # -k does not distinguish them
    return "" if any(lower in name.lower() for name in known) else _hint(word, known)


def _names(cluster: Cluster) -> list[str]:
    """Return the destinations of the selected nodes, and the last part of each, as they are in ids."""
    lists = {cluster.repository.entries(node) for node in cluster.nodes}
    destinations = {encode(entry.destination) for entries in lists for entry in entries}
    return [*{path.rpartition("/")[2] for path in destinations}, *destinations]
