"""The configuration of a cluster: synctool.conf or synctool.yaml, found, read and checked.

All problems are reported together, each as `file:line: problem`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pytest_synctool.common.textfile import read as read_text
from pytest_synctool.common.yaml_values import NotYamlError
from pytest_synctool.config.builder import Builder
from pytest_synctool.config.model import Config, OnUpdate, Place
from pytest_synctool.config.statements import Statement, is_yaml, read, to_yaml
from pytest_synctool.errors import ConfigError

__all__ = ["Config", "OnUpdate", "Place", "as_yaml", "find", "load", "parse"]

DEFAULT_DIRECTORY: Final = Path("/var/lib/synctool")
_NAMES: Final = ("synctool.conf", "synctool.yaml")


def find(
    explicit: str | None,
    ini: Path | None,
    environment: Mapping[str, str],
    here: Path,
    *,
    option: str = "--synctool-conf",
    ini_key: str | None = "synctool_conf",
) -> Path:
    """The configuration file: the option, the ini key, $SYNCTOOL_CONF, the current directory, then the default.

    `option` and `ini_key` are how the caller's user names a file. What is named on purpose must exist. In a
    directory it is synctool.conf or synctool.yaml. Raises ConfigError, listing where it looked, if there is none, or
    for two that could be meant.
    """
    named: list[tuple[str, Path]] = []
    if explicit:
        named.append((option, here / explicit))
    if ini:
        named.append((f"{ini_key} in the ini file", ini))
    if environment.get("SYNCTOOL_CONF"):
        named.append(("$SYNCTOOL_CONF", here / environment["SYNCTOOL_CONF"]))
    for origin, path in named[:1]:
        if not os.path.exists(path):  # unlike Path.exists() it raises for no name
            raise ConfigError(f"{path}: no such file (named by {origin})")
        return path
    for directory in (here, DEFAULT_DIRECTORY):
        there = [directory / name for name in _NAMES if os.path.exists(directory / name)]
        if len(there) > 1:
            raise ConfigError(f"{there[0]} and {there[1].name} are both there: remove one, or name one on purpose")
        if there:
            return there[0]
    raise ConfigError(
        f"no synctool.conf found. Looked at: {option} (not given), "
        + (f"{ini_key} in the ini file (not set), " if ini_key else "")
        + f"$SYNCTOOL_CONF (not set), {here / 'synctool.conf'} (no such file), "
        f"{DEFAULT_DIRECTORY / 'synctool.conf'} (no such file), nor synctool.yaml in these places"
    )


def load(path: Path) -> Config:
    """Read and check a configuration file and those it includes. Raises ConfigError with every problem, one a line."""
    return parse(read_text(path), path)


def parse(text: str, path: Path) -> Config:
    """Check a configuration that is already read. Included files are read after the file that names them.

    `path` tells the spelling, and serves for messages and relative paths. Raises ConfigError as load() does.
    """
    builder = Builder(path)
    waiting = [(text, path)]
    seen = {os.path.realpath(path)}
    while waiting:
        text, file = waiting.pop(0)
        found: list[tuple[str, Path]] = []
        try:
            for statement in read(text, file, builder.problem):
                if statement.keyword == "include":
                    found += _included(statement, seen, builder)
                else:
                    builder.add(statement)
        except NotYamlError as error:
            builder.unreadable(Place(file, error.line), str(error))
        waiting[:0] = found
    return builder.finish()


def _included(statement: Statement, seen: set[str], builder: Builder) -> list[tuple[str, Path]]:
    found = []
    for name in statement.arguments:
        path = statement.place.path.parent / name
        if os.path.realpath(path) in seen:
            builder.problem(statement.place, f"{path} is included already")
            continue
        seen.add(os.path.realpath(path))
        try:
            found.append((read_text(path), path))
        except ConfigError as error:
            builder.unreadable(statement.place, f"'include': {error}")
    return found


def as_yaml(path: Path) -> str:
    """A sound configuration file in its YAML spelling, for synctool.yaml; what it includes is not looked into.

    Raises ConfigError as load() does, and for a file that is YAML already.
    """
    if is_yaml(path):
        raise ConfigError(f"{path}: is YAML already")
    load(path)
    return to_yaml(read(read_text(path), path, lambda place, message: None))
