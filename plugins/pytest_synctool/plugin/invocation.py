"""The wishes of the command line. Every run of pytest loads this module, also one that is about no cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

# The package of the compliance suite has this name both in a checkout and where it is installed.
SUITE: Final = "synctool_checks"

# The values of --granularity.
BY_ENTRY: Final = "entry"
BY_NODE: Final = "node"


def is_worker(config: pytest.Config) -> bool:
    """Return True in an xdist worker, False in the process that shows reports."""
    return hasattr(config, "workerinput")


def changes_nodes(config: pytest.Config) -> bool:
    """Return True if the run writes on nodes: with --fix."""
    return bool(config.option.synctool_fix)


_RUN_NO_TEST: Final = {  # --setup-plan sets --setup-only too
    "collectonly": "--collect-only",
    "setupplan": "--setup-plan",
    "setuponly": "--setup-only",
    "showfixtures": "--fixtures",
    "show_fixtures_per_test": "--fixtures-per-test",
    "cacheshow": "--cache-show",
}
_SELECTING: Final = (
    *("keyword", "markexpr", "lf", "failedfirst", "newfirst", "stepwise", "deselect", "collectonly"),
    *("setupplan", "setuponly", "setupshow"),
)
_INFORM: Final = ("help", "version", "markers")


def option_without_tests(config: pytest.Config) -> str | None:
    """Return the option of pytest by which no test runs, as in `--setup-plan`; None in other runs."""
    return next((name for dest, name in _RUN_NO_TEST.items() if getattr(config.option, dest, None)), None)


def runs_tests(config: pytest.Config) -> bool:
    """Return False if pytest only prints something: then no node is contacted, and no file is written."""
    option = config.option
    return option_without_tests(config) is None and not any(getattr(option, name, None) for name in _INFORM)


def selects_tests(config: pytest.Config) -> bool:
    """Return True if an option or an id may select single tests, or is about them."""
    option = config.option
    return any(getattr(option, name, None) for name in _SELECTING) or any("::" in str(word) for word in config.args)


def repair_option(config: pytest.Config) -> str:
    """Return the option by which the run writes on nodes: `--restore` or `--fix`."""
    return "--restore" if config.option.synctool_restore else "--fix"


def is_url(term: str) -> bool:
    """Return True if a term of --hosts is a host specification that only testinfra uses."""
    return "://" in term


def ini_directory(config: pytest.Config) -> Path | None:
    """Return the directory of the ini file; None if there is none, or if it is no file as with `-c /dev/null`."""
    return config.inipath.parent if config.inipath is not None and config.inipath.is_file() else None


def collects_suite(config: pytest.Config) -> bool:
    """Return True if the command line names the compliance suite, or a directory that contains it."""
    for argument in config.args:
        name = argument.partition("::")[0]
        if config.option.pyargs and name.partition(".")[0] == SUITE:
            return True
        path = Path(os.path.realpath(config.invocation_params.dir / name))  # resolve() raises for a link to itself
        if SUITE in path.parts or (path / SUITE).is_dir():
            return True
    return False


def may_have_nodes(config: pytest.Config) -> bool:
    """Return False if no test of the run can be one of a node: then nothing else of the plugin has to be loaded.

    xdist's controller sees no test file, so its runs always may.
    """
    option = config.option
    named = (
        *(option.synctool_conf, option.synctool_lint, option.synctool_fix, option.synctool_restore),
        option.synctool_unmanaged,
    )
    if any(named) or option.synctool_nodename is not None or option.synctool_selection is not None:
        return True
    if is_worker(config) or getattr(option, "dist", "no") != "no" or config.getini("synctool_conf"):
        return True
    directories = {config.invocation_params.dir, config.rootpath}
    files = (directory / name for directory in directories for name in ("synctool.conf", "synctool.yaml"))
    return bool(os.environ.get("SYNCTOOL_CONF")) or any(map(os.path.exists, files)) or collects_suite(config)
