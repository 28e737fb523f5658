"""The history of runs of `synctool`, in the same file as that of pytest's runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING

from pytest_synctool.config import Config
from pytest_synctool.config.selection import are_usual
from pytest_synctool.engine.settings import Mode
from pytest_synctool.model import Node, NodeResult
from pytest_synctool.report.coverage import has_all_entries
from pytest_synctool.report.files import directory_of
from pytest_synctool.report.node_test_ids import NodeTests
from pytest_synctool.report.record import Recorder, RunRecord
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.revision import RevisionLook

if TYPE_CHECKING:
    from pytest_synctool.report.history.lifetimes import Signatures


class RunHistory:
    """The record of one run."""

    def __init__(self, config: Config, repository: Repository, nodes: Sequence[Node], mode: Mode, keep: int) -> None:
        self._config, self._repository, self._nodes, self._keep = config, repository, nodes, keep
        self._recorder = Recorder()
        self._signatures: Signatures | None = None
        self._run = RunRecord.begun(mode.recorded, config.path, config.masterdir, {}, len(nodes))
        self._revision = RevisionLook(config.masterdir, config.trust)

    def take(self, tests: NodeTests, result: NodeResult) -> None:
        """Add the result of a node."""
        self._run.nodes.append(self._recorder.take(tests, result))

    def get_ready(self, *, is_whole: bool) -> None:
        """Load and look up what store() needs in any case. To be called while nodes are at work."""
        import_module("pytest_synctool.report.history.recorder")
        from pytest_synctool.report.history.signatures import signatures_of

        self._signatures = signatures_of(self._repository, self._nodes, at_once=is_whole)

    def store(self, exit_status: int, *, complete: bool) -> str | None:
        """Add the run to the history. Return a line for people if that was not possible."""
        # Not at the top: it loads SQLite, which other commands do not need.
        from pytest_synctool.report.history.database import NAME
        from pytest_synctool.report.history.recorder import record
        from pytest_synctool.report.history.signatures import signatures_of

        run, path = self._run, directory_of(self._config.path) / NAME
        run.revision = self._revision.result()
        run.is_whole = are_usual(self._config, self._nodes) and has_all_entries(
            self._repository, self._nodes, run.nodes
        )
        run.ended, run.exit_status, run.complete = datetime.now().astimezone(), exit_status, complete
        made = [self._signatures or signatures_of(self._repository, self._nodes)]
        self._signatures = None  # record() gives their memory back
        return record(path, run, made.pop(), self._keep, self._config.trust).problem


def is_writable(config: Config) -> bool:
    """Return True if this account can write the history of a cluster."""
    directory = directory_of(config.path)
    return os.access(directory if directory.exists() else directory.parent, os.W_OK)
