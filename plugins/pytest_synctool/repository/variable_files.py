"""Files of variables in the masterdir: vars/GROUP.yaml has those of a group, or of a node."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_synctool.common.textfile import read as read_text
from pytest_synctool.common.wording import nearest, printable, printable_text
from pytest_synctool.common.yaml_values import NotYamlError, Table
from pytest_synctool.config.model import Config, Place, Variable
from pytest_synctool.config.variables import Variables
from pytest_synctool.errors import ConfigError

DIRECTORY: Final = "vars"
_SUFFIX: Final = ".yaml"

GroupVariables = Mapping[str, Mapping[str, Variable]]
"""Variables by group, or node, and name."""


@dataclass
class VariableFiles:
    """All variables of a cluster, and a line for each name in vars/ that was left out, with the reason."""

    variables: GroupVariables = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def load(config: Config, *, knows_names: bool = True) -> VariableFiles:
    """Return the variables of the configuration and those of vars/. Raises ConfigError with a line for each problem.

    With `knows_names` False, a file may have the name of any group.
    """
    top = config.masterdir / DIRECTORY
    try:
        with os.scandir(top) as listing:
            children = sorted(listing, key=lambda child: child.name)
    except (FileNotFoundError, NotADirectoryError):
        return VariableFiles(config.variables)
    except OSError as error:
        raise ConfigError(f"{top}: cannot be read: {error.strerror}") from error
    reader = _FileReader(config, knows_names)
    for child in children:
        reader.take(child, top)
    if reader.problems:
        raise ConfigError("\n".join(reader.problems))
    return VariableFiles(reader.collected.by_group, reader.warnings)


class _FileReader:
    def __init__(self, config: Config, knows_names: bool) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.collected = Variables(
            lambda place, message: self.problems.append(f"{place}: {message}"),
            {group: dict(variables) for group, variables in config.variables.items()},
        )
        self._config, self._knows_names = config, knows_names

    def take(self, child: os.DirEntry[str], top: Path) -> None:
        """Read what is at a name in vars/, or leave it out."""
        name = os.fsencode(child.name)
        if self._config.ignore.why((name,), child.is_dir(follow_symlinks=False)) is not None:
            return
        group, known = child.name.removesuffix(_SUFFIX), self._config.known_groups
        if group == child.name or not group:
            self._leave_out(name, "expected a name like batch.yaml")
        elif self._knows_names and group not in known:
            self._leave_out(name, f"unknown group '{printable_text(group)}'{nearest(group, known)}")
        else:
            self._read(top / child.name, group)

    def _leave_out(self, name: bytes, cause: str) -> None:
        self.warnings.append(f"{DIRECTORY}/{printable(name)}: skipped, {cause}")

    def _read(self, path: Path, group: str) -> None:
        from pytest_synctool.common import yaml_parser  # not every masterdir has such a file

        try:
            document = yaml_parser.parse(read_text(path, self._config.trust))
        except ConfigError as error:
            self.problems.append(str(error))
            return
        except NotYamlError as error:
            self.problems.append(f"{path}:{error.line}: {printable_text(str(error))}")
            return
        if not isinstance(document, Table):
            self.problems.append(f"{path}:{document.line}: expected variables like 'ntp_server: ntp1'")
            return
        for name, value in document.rows:
            self.collected.add(Place(path, name.line), name.text, group, value)
