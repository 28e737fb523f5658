"""The command that repairs what a run has found, as somebody can paste it in the directory of the run."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_synctool.engine.settings import Mode
from pytest_synctool.plugin.cluster import Cluster, cache_of, mode_of
from pytest_synctool.plugin.options import taken_names

_LAST_FAILED = ("--lf", "--last-failed", "--ff", "--failed-first")


def repair_command(config: pytest.Config, cluster: Cluster) -> str:
    """Return the command line of this run with the option that repairs, and after an audit with --lf."""
    own = [] if cluster.own is None else [cluster.own.option]  # so that the machine need not find out again
    arguments = [str(each) for each in config.invocation_params.args]
    last_failed = []
    if mode_of(config) not in (Mode.RECALL, Mode.LIST_SAVED):  # a list has no failures
        arguments = [each for each in arguments if each not in _LAST_FAILED]
        last_failed = [] if cache_of(config) is None else ["--lf"]
    added = [*(option for option in own if option not in arguments), *last_failed]
    return shlex.join([*_program(), *arguments, *added, taken_names(config).get("--fix", "--fix")])


def _program() -> Sequence[str]:
    """Return the words that start pytest as this run was started: `pytest`, its path, or `python -m pytest`."""
    script = sys.argv[0]
    if Path(script).name == "__main__.py":
        return (_as_typed(sys.executable, "python", "python3"), "-m", "pytest")
    return (_as_typed(script, "pytest"),) if Path(script).name in ("pytest", "py.test") else ("pytest",)


def _as_typed(path: str, *names: str) -> str:
    """Return the name under which a shell finds a program, or else its path."""
    return next((name for name in names if shutil.which(name) == path), path)
