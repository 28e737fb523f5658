"""The history of runs of `synctool`, in the same file as that of pytest's runs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pytest_synctool.common.accounts import user_name
from pytest_synctool.config import Config
from pytest_synctool.engine.settings import Mode
from pytest_synctool.model import Node, NodeResult
from pytest_synctool.report.node_test_ids import NodeTests
from pytest_synctool.report.record import RESTORE, Recorder, RunRecord
from pytest_synctool.repository.resolution import Repository

_MODES = {Mode.REHEARSE: "audit", Mode.FIX: "fix", Mode.RESTORE: RESTORE}


class RunHistory:
    """The record of one run. An account that cannot write the history records nothing."""

    def __init__(self, config: Config, repository: Repository, nodes: Sequence[Node], mode: Mode, keep: int) -> None:
        now = datetime.now().astimezone()
        self._config, self._repository, self._nodes, self._keep = config, repository, nodes, keep
        self._recorder = Recorder()
        self._run = RunRecord(
            f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
            _MODES[mode],
            user_name(),
            os.uname().nodename,
            str(config.path),
            str(config.masterdir),
            now,
            now,
            {},
            selected=len(nodes),
        )

    def take(self, tests: NodeTests, result: NodeResult) -> None:
        """Add the result of a node."""
        self._run.nodes.append(self._recorder.take(tests, result))

    def store(self, exit_status: int, *, complete: bool) -> str | None:
        """Add the run to the history. Return a line for people if that was not possible."""
        if self._keep < 1:
            return None
        # Not at the top: it loads SQLite, which other commands do not need.
        from pytest_synctool.report.history.database import NAME, directory_of
        from pytest_synctool.report.history.recorder import record
        from pytest_synctool.report.history.signatures import signatures_of

        directory, run = directory_of(self._config.path), self._run
        if not _is_writable(directory):
            return None
        run.ended, run.exit_status, run.complete = datetime.now().astimezone(), exit_status, complete
        signatures = signatures_of(self._repository, self._nodes)
        return record(directory / NAME, run, signatures, self._keep, self._config.trust).problem


def _is_writable(directory: Path) -> bool:
    return os.access(directory if directory.exists() else directory.parent, os.W_OK)
