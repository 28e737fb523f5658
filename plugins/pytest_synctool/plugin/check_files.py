"""Test files with checks, and their node ids, which for an installed suite are no paths."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from pytest_synctool.plugin.invocation import SUITE

# Other suites have functions named check_* too; only those whose first parameter is `entry` are checks of this plugin.
_CHECK_DEFINITION: Final = re.compile(rb"^def check_\w+\(\s*entry\b", re.MULTILINE)


def defines_checks(path: Path) -> bool:
    """Return True if a file defines a check of this plugin."""
    return _CHECK_DEFINITION.search(path.read_bytes()) is not None


def is_check_file(path: Path, session: pytest.Session) -> bool:
    """Return True if a file is a test file, by its name or because it is named, and defines a check of this plugin."""
    if path.suffix != ".py":
        return False
    patterns = session.config.getini("python_files")
    is_test_file = session.isinitpath(path) or any(fnmatch(path.name, pattern) for pattern in patterns)
    return is_test_file and defines_checks(path)


class CheckFiles:
    """The files of a run. A process that collects no tests, as xdist's controller, looks for them."""

    def __init__(self, config: pytest.Config) -> None:
        self._directories = (config.invocation_params.dir, config.rootpath)
        self._paths: dict[str, Path] = {}

    def add(self, nodeid: str, path: Path) -> None:
        """Add a file that is collected."""
        self._paths[nodeid] = path

    def path(self, nodeid: str) -> Path:
        """Return the path of the file with a node id: below the root directory, if there is no such file."""
        if nodeid not in self._paths:
            self._paths[nodeid] = self._find(nodeid)
        return self._paths[nodeid]

    def _find(self, nodeid: str) -> Path:
        for directory in self._directories:
            if (path := directory / nodeid).is_file():
                return path
        suite, _, name = nodeid.partition("/")
        if suite == SUITE and (spec := find_spec(SUITE)) is not None:
            return Path(next(iter(spec.submodule_search_locations or ()), ""), name)
        return self._directories[-1] / nodeid


_FILES = pytest.StashKey[CheckFiles]()


def files_of(config: pytest.Config) -> CheckFiles:
    """Return the files of this run."""
    if _FILES not in config.stash:
        config.stash[_FILES] = CheckFiles(config)
    return config.stash[_FILES]
