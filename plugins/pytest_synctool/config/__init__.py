"""The configuration of a cluster: functions that find, read and check synctool.conf or synctool.yaml.

A ConfigError reports all problems together, each as `file:line: problem`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pytest_synctool.common.textfile import read as read_text
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.yaml_values import NotYamlError
from pytest_synctool.config import included_nodes
from pytest_synctool.config.builder import Builder
from pytest_synctool.config.included_nodes import PrintNodes, refuse_to_print
from pytest_synctool.config.model import Config, OnUpdate, Place
from pytest_synctool.config.problems import InvalidConfigError
from pytest_synctool.config.statements import INCLUDE_NODES, Statement, is_yaml, read, to_yaml
from pytest_synctool.errors import ConfigError

__all__ = ["Config", "InvalidConfigError", "OnUpdate", "Place", "PrintNodes", "as_yaml", "find", "load", "parse"]

DEFAULT_DIRECTORY: Final = Path("/var/lib/synctool")
_NAMES: Final = ("synctool.conf", "synctool.yaml")


class _File(NamedTuple):
    path: Path
    text: str


def find(
    explicit: str | None,
    ini: Path | None,
    environment: Mapping[str, str],
    here: Path,
    *,
    option: str = "--synctool-conf",
    ini_key: str | None = "synctool_conf",
    default_first: bool = False,
) -> Path:
    """Return the configuration file, from the first of five places that names one.

    The places are the option `explicit`, the ini key `ini`, $SYNCTOOL_CONF, the current directory `here` and the
    default directory. A file from one of the first three must exist. In a directory it is synctool.conf or
    synctool.yaml. With `default_first`, the default directory comes before `here`: root runs dsh from
    anywhere. `option` and `ini_key` are the names of the first two places, for messages. Raises ConfigError with a
    list of the places if none has a file, and for a directory with both files.
    """
    if explicit:
        return _existing(here / explicit, option)
    if ini:
        return _existing(ini, f"{ini_key} in the ini file")
    if environment.get("SYNCTOOL_CONF"):
        return _existing(here / environment["SYNCTOOL_CONF"], "$SYNCTOOL_CONF")
    directories = (DEFAULT_DIRECTORY, here) if default_first else (here, DEFAULT_DIRECTORY)
    for directory in directories:
        paths = [directory / name for name in _NAMES if os.path.exists(directory / name)]
        if len(paths) > 1:
            raise ConfigError(f"{paths[0]} and {paths[1].name} both exist: remove one, or name one explicitly")
        if paths:
            return paths[0]
    searched = [f"{option} (not given)", *([f"{ini_key} in the ini file (not set)"] if ini_key else [])]
    searched += ["$SYNCTOOL_CONF (not set)", *(f"{each / 'synctool.conf'} (no such file)" for each in directories)]
    raise ConfigError(
        f"no synctool.conf found. Searched: {', '.join(searched)}, and no synctool.yaml in these directories"
    )


def _existing(path: Path, origin: str) -> Path:
    if not os.path.exists(path):  # Path.exists() raises for some names, os.path.exists() never does
        raise ConfigError(f"{path}: no such file (named by {origin})")
    return path


def load(path: Path, trust: Trust | None = None, print_nodes: PrintNodes = refuse_to_print) -> Config:
    """Read and check a configuration file and those it includes. Raises ConfigError with every problem, one a line.

    The error is an InvalidConfigError if the file could be read. Without `trust`, the files are trusted that belong to
    root or to the caller. `print_nodes` runs the commands of include_nodes.
    """
    trust = trust or Trust.of_caller()
    return parse(read_text(path, trust), path, trust, print_nodes)


def parse(text: str, path: Path, trust: Trust | None = None, print_nodes: PrintNodes = refuse_to_print) -> Config:
    """Parse and check the text of a configuration, and read the files that it includes.

    The name of `path` selects the spelling, conf or YAML. Messages and relative paths use `path` too. Raises
    ConfigError as load() does.
    """
    builder = Builder(path, trust or Trust.of_caller())
    waiting = [_File(path, text)]
    seen = {os.path.realpath(path)}
    while waiting:
        file = waiting.pop(0)
        included: list[_File] = []
        try:
            for statement in read(file.text, file.path, builder.problem):
                if statement.keyword == "include":
                    included += _included(statement, seen, builder)
                elif statement.keyword == INCLUDE_NODES:
                    included_nodes.add(statement, builder, print_nodes)
                else:
                    builder.add(statement)
        except NotYamlError as error:
            builder.problems.unreadable(Place(file.path, error.line), str(error))
        waiting[:0] = included  # their statements follow those of the file that includes them
    return builder.finish()


def _included(statement: Statement, seen: set[str], builder: Builder) -> list[_File]:
    files = []
    for name in statement.arguments:
        if "\0" in name:
            builder.problem(statement.place, "'include': a NUL byte can be in no name: remove it")
            continue
        path = statement.place.path.parent / name
        if os.path.realpath(path) in seen:
            builder.problem(statement.place, f"{path} is included already: remove it here")
            continue
        seen.add(os.path.realpath(path))
        try:
            files.append(_File(path, read_text(path, builder.trust)))
        except ConfigError as error:
            builder.problems.unreadable(statement.place, f"'include': {error}")
    return files


def as_yaml(path: Path, trust: Trust | None = None, print_nodes: PrintNodes = refuse_to_print) -> str:
    """Convert a valid synctool.conf to the text of a synctool.yaml. Included files stay as they are.

    Raises ConfigError as load() does, and for a file that is already YAML.
    """
    if is_yaml(path):
        raise ConfigError(f"{path}: is YAML already")
    trust = load(path, trust, print_nodes).trust
    return to_yaml(read(read_text(path, trust), path, lambda place, message, *, hides_names=False: None))
