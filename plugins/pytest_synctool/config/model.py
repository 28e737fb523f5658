"""The values of a checked configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Final

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.wording import TRUTHS
from pytest_synctool.config.ignore import IgnoreRules
from pytest_synctool.model import Node

DEFAULT_NUM_PROC: Final = 64
DEFAULT_PERSIST: Final = 60  # seconds
IMPLICIT_GROUPS: Final = ("all", "none")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, or the whole file if `line` is 0. The text is `file:line`, or `file`.

    `printed` names a line that a command prints which this line of the file runs: `'nodeattr --expand' line 3`.
    """

    path: Path
    line: int
    printed: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.printed}" if self.printed else place

    def seen_from(self, other: Place) -> str:
        """Return `on line 7`, or `in FILE:7` if the other place is in another file."""
        if self.path != other.path:
            return f"in {self}"
        return f"on line {self.line}" + (f" ({self.printed})" if self.printed else "")


@dataclass(frozen=True, slots=True)
class OnUpdate:
    """The statement `on_update PATH COMMAND`: a shell command that runs on the node after a change of `path`."""

    path: bytes
    command: str
    place: Place = field(compare=False)


class Word(str):
    """A text in a variable. It is false in a condition if it is empty, or a word for no such as `no` or `off`."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return TRUTHS.get(self.lower(), len(self) > 0)


VariableValue = Word | int | tuple["VariableValue", ...] | Mapping[str, "VariableValue"]


@dataclass(frozen=True, slots=True)
class Variable:
    """The value of a variable of templates, and the line that sets it."""

    value: VariableValue
    place: Place = field(compare=False, repr=False)


class Layout(Enum):
    """The meaning of the directories directly in overlay/ and delete/."""

    PATHS = 4  # they are paths on the nodes, as in synctool 3 to 5
    GROUPS = 7  # each is the tree of a group, as in synctool 6 and 7


@dataclass(frozen=True, slots=True)
class ConfigNotice:
    """A probable mistake in a configuration that is obeyed all the same. `rule` is the lint rule that reports it.

    `subject` distinguishes the notices of a rule. With `is_warning`, every run reports it too.
    """

    rule: str
    place: Place
    subject: str
    message: str
    is_warning: bool = True


@dataclass(frozen=True)
class Config:
    """A configuration without problems.

    `nodes` are in the order of the files, each with its groups resolved. `groups` maps every group, including `all` and
    the compound groups, to the names of its nodes. Commands are argument lists, except those of `on_update` and
    `always_run`, which are shell text. `default_nodeset` is a selection as in --hosts, or `none`. `ignored_groups` are
    the groups that ignore_group has removed from every node. `group_places` has the line that defines a compound group,
    or the first line that mentions another group; `command_places` those of commands, by keyword. `trust` says whose
    files the run obeys. `warnings` has the notices that every run reports. `ssh_persist` is in seconds. `directories`
    has the directories of overlay, delete and tasks below the masterdir, if they are others. `without_effect` has the
    settings that only later releases of synctool obey, by keyword. Without `layout`, the masterdir is that of synctool
    4 unless it has names that later releases read otherwise. `variables` are those of templates, by group, or node, and
    name. `node_places` has the lines that define a node. `node_outputs` has what the commands of include_nodes have
    printed, by their text.
    """

    path: Path
    masterdir: Path
    nodes: Mapping[str, Node]
    groups: Mapping[str, tuple[str, ...]]
    ignore: IgnoreRules = field(default_factory=IgnoreRules)
    default_nodeset: str | None = None
    require_extension: bool = True
    ssh_cmd: tuple[str, ...] = ("ssh",)
    scp_cmd: tuple[str, ...] = ("scp",)
    rsync_cmd: tuple[str, ...] = ("rsync",)
    diff_cmd: tuple[str, ...] = ("diff", "-u")
    synctool_cmd: tuple[str, ...] = ()
    num_proc: int = DEFAULT_NUM_PROC
    symlink_mode: int | None = None
    layout: Layout | None = None
    logfile: str | None = None
    backup_copies: bool = True
    syslogging: bool = True
    colorize: bool = True
    ssh_persist: int | None = None
    directories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without_effect: Mapping[str, str] = field(default_factory=dict)
    on_update: tuple[OnUpdate, ...] = ()
    always_run: tuple[str, ...] = ()
    ignored_groups: frozenset[str] = frozenset()
    variables: Mapping[str, Mapping[str, Variable]] = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=(), compare=False)
    notices: tuple[ConfigNotice, ...] = field(default=(), compare=False)
    group_places: Mapping[str, Place] = field(default_factory=dict, compare=False)
    command_places: Mapping[str, Place] = field(default_factory=dict, compare=False)
    node_places: Mapping[str, tuple[Place, ...]] = field(default_factory=dict, compare=False)
    node_outputs: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    trust: Trust = field(default_factory=Trust.of_caller, compare=False, repr=False)

    @cached_property
    def known_groups(self) -> frozenset[str]:
        """The names that can follow `._` in a file name: nodes, groups, `all` and `none`."""
        return frozenset((*self.groups, *self.nodes, *IMPLICIT_GROUPS))

    def persist_seconds(self, option: int | None) -> int:
        """Return how long connections stay open: the value of --ssh-persist, else ssh_control_persist, else 60."""
        if option is not None:
            return option
        return DEFAULT_PERSIST if self.ssh_persist is None else self.ssh_persist
