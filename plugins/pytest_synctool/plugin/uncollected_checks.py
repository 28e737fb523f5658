"""Test files with checks of the site that a run was not asked to collect."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Final

import pytest

from pytest_synctool.plugin.check_files import defines_checks
from pytest_synctool.plugin.invocation import SUITE

_MOST: Final = 20_000  # names of a tree that is looked through


def has_uncollected_checks(config: pytest.Config, collected: Collection[str], masterdir: Path) -> bool:
    """Return True if pytest would find a check of the site, in a run without arguments, that is not in `collected`.

    `collected` has node ids of files. A tree that is too large to look through may have one.
    """
    paths = list(islice(_files(config, masterdir), _MOST))
    own = (path for path in paths if path.parent.name != SUITE and defines_checks(path))
    return len(paths) == _MOST or any(_nodeid(path, config.rootpath) not in collected for path in own)


def _nodeid(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _files(config: pytest.Config, masterdir: Path) -> Iterator[Path]:
    """Yield the files below `testpaths` or the root directory. pytest.ini names what to leave out."""
    patterns, not_below = config.getini("python_files"), config.getini("norecursedirs")
    for name in config.getini("testpaths") or ["."]:
        for directory, below, files in os.walk(config.rootpath / name):
            place = Path(directory)
            below[:] = [
                each
                for each in below
                if not any(fnmatch(each, pattern) for pattern in not_below)
                and place / each != masterdir
                and not (place / each / "pyvenv.cfg").exists()
            ]
            yield from (place / each for each in files if any(fnmatch(each, pattern) for pattern in patterns))
