"""Values of options in words of their own. pytest takes such a word for a test path before it knows the option.

It looks for its ini file and its root there, before any plugin is loaded. That cannot be corrected later.
"""

from __future__ import annotations

import argparse
import inspect
import os
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from _pytest.config.findpaths import determine_setup

from pytest_synctool.plugin.invocation import is_worker
from pytest_synctool.plugin.options import OPTIONS, add_bare_values

_OF_TESTINFRA: Final = ("--hosts", "--ssh-config", "--ssh-identity-file", "--ssh-extra-args", "--sudo-user")
_WITH_VALUE: Final = [option for option in OPTIONS if option.has_own_word]
_OURS: Final = [name for option in _WITH_VALUE for name in (option.name, option.long_name)]
_NAMES: Final = frozenset((*_OF_TESTINFRA, *_OURS))


def check_separate_values(config: pytest.Config) -> None:
    """Raise pytest.UsageError if the value of an option has decided where pytest looks for its configuration."""
    if is_worker(config):
        return
    words = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *map(str, config.invocation_params.args)]
    pairs = [(name, value) for name, value in pairwise(words) if name in _NAMES and _exists(value)]
    if not pairs:
        return
    root, ini = _setup(config, words)
    if (root, ini) == (config.rootpath, config.inipath):
        return
    name, value = pairs[0]
    raise pytest.UsageError(
        f"write {name}={value} in one word: with a space, pytest takes the value for a test path before it knows the "
        f"option. Its root is now {config.rootpath}, and would be {root}"
    )


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):
        return False


def _setup(config: pytest.Config, words: Sequence[str]) -> tuple[Path, Path | None]:
    """Return pytest's root and ini file for the same words, with all options known."""
    parser: Any = config._parser
    whole = list(words)
    add_bare_values(parser, whole)
    known = parser.parse_known_args(whole, argparse.Namespace())
    arguments = {
        "inifile": known.inifilename,
        "override_ini": known.override_ini,
        "args": known.file_or_dir,
        "rootdir_cmd_arg": known.rootdir or None,
        "invocation_dir": config.invocation_params.dir,
    }
    accepted = inspect.signature(determine_setup).parameters  # versions of pytest differ
    setup: Any = determine_setup
    root, ini, *_ = setup(**{name: value for name, value in arguments.items() if name in accepted})
    return root, ini
