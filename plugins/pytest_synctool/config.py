"""synctool.conf: the classic configuration file of synctool 4.x, read into a Config.

One statement a line, `#` starts a comment, a backslash at the end of a line continues it (documentation, INSTALL of
synctool 4.x). All problems of a file are reported together, each as `file:line: problem`.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

from pytest_synctool.errors import ConfigError
from pytest_synctool.model import Node
from pytest_synctool.repository import IgnoreRules

DEFAULT_PATH: Final = Path("/var/lib/synctool/synctool.conf")
DEFAULT_NUM_PROC: Final = 64
IMPLICIT_GROUPS: Final = ("all", "none")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SPECIFIERS: Final = ("interface", "ipaddress", "hostname", "connection", "rsync")
_YES_NO: Final = {
    "yes": True,
    "on": True,
    "true": True,
    "1": True,
    "no": False,
    "off": False,
    "false": False,
    "0": False,
}


@dataclass(frozen=True)
class Config:
    """A configuration that holds together.

    `nodes` are in the order of the file, each with its groups resolved. `groups` maps every group, `all` and the
    compound ones included, to the names of its nodes. `ssh_cmd` and `rsync_cmd` are argument lists.
    """

    path: Path
    masterdir: Path
    nodes: Mapping[str, Node]
    groups: Mapping[str, tuple[str, ...]]
    ignore: IgnoreRules
    ssh_cmd: tuple[str, ...] = ("ssh",)
    rsync_cmd: tuple[str, ...] = ("rsync",)
    num_proc: int = DEFAULT_NUM_PROC
    warnings: tuple[str, ...] = ()

    def knows_group(self, name: str) -> bool:
        """Whether a file name may carry this group: a node, a group, `all` or `none`."""
        return name in self.groups or name in self.nodes or name in IMPLICIT_GROUPS


def find(explicit: str | None, ini: Path | None, environment: Mapping[str, str], here: Path) -> Path:
    """The configuration file to use: the option, the ini key, $SYNCTOOL_CONF, ./synctool.conf, then the default.

    What is named on purpose must exist. Raises ConfigError, listing where it looked, if there is none.
    """
    named: list[tuple[str, Path]] = []
    if explicit:
        named.append(("--synctool-conf", here / explicit))
    if ini:
        named.append(("synctool_conf in the ini file", ini))
    if environment.get("SYNCTOOL_CONF"):
        named.append(("$SYNCTOOL_CONF", here / environment["SYNCTOOL_CONF"]))
    for origin, path in named[:1]:
        if not os.path.exists(path):  # unlike Path.exists() it raises for no name
            raise ConfigError(f"{path}: no such file (named by {origin})")
        return path
    for path in (here / "synctool.conf", DEFAULT_PATH):
        if os.path.exists(path):
            return path
    raise ConfigError(
        "no synctool.conf found. Looked at: --synctool-conf (not given), synctool_conf in the ini file (not set), "
        f"$SYNCTOOL_CONF (not set), {here / 'synctool.conf'} (no such file), {DEFAULT_PATH} (no such file)"
    )


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError with every problem found, one a line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8 (byte {error.start})") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """Parse the text of a configuration file; `path` serves for messages and a relative masterdir."""
    parser = _Parser(path)
    for number, words in _statements(text):
        parser.statement(number, words)
    return parser.finish()


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Logical lines as (number of the first physical line, words)."""
    pending, start = "", 0
    # Only a newline ends a line: str.splitlines() would also cut at control characters inside a command.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        start = start or number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        words = _strip_comment(pending + line).split()
        if words:
            yield start, words
        pending, start = "", 0
    if words := _strip_comment(pending).split():
        yield start, words


def _strip_comment(line: str) -> str:
    """Drop a comment: `#` at the start of a line or after white space."""
    return re.sub(r"(^|\s)#.*", "", line)


def _nearest(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean '{close[0]}'?)" if close else ""


@dataclass
class _NodeLine:
    line: int
    groups: list[str]
    specifiers: dict[str, str]


@dataclass
class _Parser:
    path: Path
    problems: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    nodes: dict[str, _NodeLine] = field(default_factory=dict)
    compounds: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    ignored_nodes: dict[str, int] = field(default_factory=dict)
    ignored_groups: dict[str, int] = field(default_factory=dict)
    patterns: list[str] = field(default_factory=list)
    values: dict[str, tuple[int, str]] = field(default_factory=dict)

    def problem(self, line: int, message: str) -> None:
        self.problems.append((line, message))

    def statement(self, line: int, words: list[str]) -> None:
        keyword, arguments = words[0].lower(), words[1:]
        handler = _HANDLERS.get(keyword)
        if handler is None:
            self.problem(line, f"unknown keyword '{words[0]}'{_nearest(keyword, _HANDLERS)}")
        elif not arguments:
            self.problem(line, f"'{keyword}' needs a value")
        else:
            handler(self, line, keyword, arguments)

    def node(self, line: int, _keyword: str, words: list[str]) -> None:
        name, *rest = words
        if not self._is_name(line, "node", name):
            return
        if name in IMPLICIT_GROUPS:
            self.problem(line, f"node '{name}' is named like a built-in group")
            return
        if name in self.nodes:
            self.problem(line, f"node '{name}' is defined twice, first on line {self.nodes[name].line}")
            return
        groups, specifiers = [], {}
        for word in rest:
            key, colon, value = word.partition(":")
            if not colon:
                if self._is_name(line, "group", word):
                    groups.append(word)
            elif key not in _SPECIFIERS:
                self.problem(
                    line,
                    f"unknown node specifier '{key}:'{_nearest(key, _SPECIFIERS)}, "
                    f"expected one of {', '.join(s + ':' for s in _SPECIFIERS)}",
                )
            elif not value or value.startswith("-"):
                self.problem(line, f"'{key}:' needs a value that does not start with '-'")
            elif key == "rsync" and value.lower() not in _YES_NO:
                self.problem(line, f"'rsync:' expects yes or no, not '{value}'")
            elif key == "connection" and "://" not in value:
                self.problem(line, f"'connection:' expects a testinfra host like docker://web1, not '{value}'")
            else:
                specifiers[key] = value
        self.nodes[name] = _NodeLine(line, groups, specifiers)

    def group(self, line: int, _keyword: str, words: list[str]) -> None:
        name, *members = words
        if not self._is_name(line, "group", name):
            return
        if name in self.compounds:
            self.problem(line, f"group '{name}' is defined twice, first on line {self.compounds[name][0]}")
        elif name in IMPLICIT_GROUPS:
            self.problem(line, f"group '{name}' is built in and cannot be defined")
        elif not members:
            self.problem(line, f"group '{name}' has no members")
        else:
            self.compounds[name] = (line, [m for m in members if self._is_name(line, "group", m)])

    def ignore_node(self, line: int, _keyword: str, words: list[str]) -> None:
        self.ignored_nodes.update(dict.fromkeys(words, line))

    def ignore_group(self, line: int, _keyword: str, words: list[str]) -> None:
        self.ignored_groups.update(dict.fromkeys(words, line))

    def ignore(self, _line: int, _keyword: str, words: list[str]) -> None:
        self.patterns.extend(words)

    def value(self, line: int, keyword: str, words: list[str]) -> None:
        if keyword in self.values:
            self.problem(line, f"'{keyword}' is set twice, first on line {self.values[keyword][0]}")
        self.values[keyword] = (line, " ".join(words))

    def not_yet(self, line: int, keyword: str, words: list[str]) -> None:
        self.warnings.append(f"{self.path}:{line}: '{keyword}' is accepted but not carried out yet")

    def _is_name(self, line: int, what: str, name: str) -> bool:
        if _NAME.fullmatch(name):
            return True
        self.problem(line, f"'{name}' is not a {what} name: expected letters, digits and . _ + -")
        return False

    def finish(self) -> Config:
        masterdir = self._masterdir()
        nodes = {name: self._node(name, line) for name, line in self.nodes.items()}
        if not nodes:
            self.problem(0, "no 'node' line: expected at least one, like 'node node1 batch'")
        self._check_groups(nodes)
        self._check_cycles()
        num_proc = self._number("num_proc", DEFAULT_NUM_PROC)
        ignore = IgnoreRules(tuple(self.patterns), self._yes_no("ignore_dotfiles"), self._yes_no("ignore_dotdirs"))
        ssh_cmd, rsync_cmd = self._command("ssh_cmd", "ssh"), self._command("rsync_cmd", "rsync")
        if self.problems:
            lines = [f"{self.path}:{f'{n}:' if n else ''} {text}" for n, text in sorted(self.problems)]
            raise ConfigError("\n".join(lines))
        assert masterdir is not None
        groups = {name: tuple(n for n in nodes if name in nodes[n].groups) for name in self._group_names()}
        return Config(self.path, masterdir, nodes, groups, ignore, ssh_cmd, rsync_cmd, num_proc, tuple(self.warnings))

    def _masterdir(self) -> Path | None:
        if "masterdir" not in self.values:
            self.problem(0, "no 'masterdir' line: expected one, like 'masterdir /var/lib/synctool'")
            return None
        line, value = self.values["masterdir"]
        masterdir = Path(os.path.normpath(self.path.absolute().parent / value))
        if not os.path.isdir(masterdir):
            self.problem(line, f"masterdir {masterdir} is not a directory: create it, or correct this line")
        return masterdir

    def _node(self, name: str, line: _NodeLine) -> Node:
        expanded = [g for g in self._expand([name, *line.groups]) if g not in IMPLICIT_GROUPS]
        ignored = name in self.ignored_nodes or any(group in self.ignored_groups for group in expanded)
        groups = (*(group for group in expanded if group not in self.ignored_groups), "all")
        specifiers = line.specifiers
        return Node(
            name=name,
            groups=groups,
            address=specifiers.get("interface") or specifiers.get("ipaddress") or name,
            hostname=specifiers.get("hostname"),
            connection=specifiers.get("connection"),
            rsync=_YES_NO[specifiers.get("rsync", "yes").lower()],
            ignored=ignored,
        )

    def _expand(self, groups: Sequence[str]) -> list[str]:
        """Compound groups expanded in place, at any depth, without duplicates; the first of several counts."""
        expanded: dict[str, None] = {}
        waiting = list(reversed(groups))
        while waiting:
            group = waiting.pop()
            if group not in expanded:
                expanded[group] = None
                waiting.extend(reversed(self.compounds.get(group, (0, []))[1]))
        return list(expanded)

    def _check_cycles(self) -> None:
        """A compound group that is a member of itself, at any depth, is a problem: one for each circle."""
        graph = {name: [m for m in members if m in self.compounds] for name, (_, members) in self.compounds.items()}
        while True:
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                circle = list(reversed(error.args[1]))
                line = min(self.compounds[name][0] for name in circle)
                self.problem(line, f"group '{circle[0]}' contains itself: {' > '.join(circle)}")
                for name in circle:
                    graph[name] = []
            else:
                return

    def _group_names(self) -> list[str]:
        """All groups, those of nodes excepted: as they appear on node and group lines, then `all`."""
        mentioned = [group for line in self.nodes.values() for group in line.groups]
        members = [name for _, names in self.compounds.values() for name in names]
        names = dict.fromkeys([*mentioned, *self.compounds, *members, "all"])
        return [name for name in names if name not in self.nodes and name != "none"]

    def _check_groups(self, nodes: Mapping[str, Node]) -> None:
        for name, (line, members) in self.compounds.items():
            for group in (name, *members):
                if group in self.nodes:
                    self.problem(line, f"group '{group}' is named like the node on line {self.nodes[group].line}")
            if name not in self.ignored_groups and not any(name in node.groups for node in nodes.values()):
                self.warnings.append(f"{self.path}:{line}: group '{name}' applies to no node: put it on a 'node' line")
        for node_line in self.nodes.values():
            for group in node_line.groups:
                if group in self.nodes:
                    self.problem(
                        node_line.line, f"group '{group}' is named like the node on line {self.nodes[group].line}"
                    )
        for name, line in self.ignored_nodes.items():
            if name not in self.nodes:
                self.problem(line, f"no such node '{name}'{_nearest(name, self.nodes)}")
        groups = self._group_names()
        for name, line in self.ignored_groups.items():
            if name in IMPLICIT_GROUPS:
                self.problem(line, f"'ignore_group {name}': a built-in group cannot be ignored")
            elif name not in groups:
                self.problem(line, f"no such group '{name}'{_nearest(name, groups)}")

    def _yes_no(self, keyword: str) -> bool:
        line, value = self.values.get(keyword, (0, "no"))
        if value.lower() not in _YES_NO:
            self.problem(line, f"'{keyword}' expects yes or no, not '{value}'")
        return _YES_NO.get(value.lower(), False)

    def _number(self, keyword: str, default: int) -> int:
        line, value = self.values.get(keyword, (0, str(default)))
        if not re.fullmatch("[1-9][0-9]{0,5}", value):
            self.problem(line, f"'{keyword}' expects a number from 1, not '{value}'")
            return default
        return int(value)

    def _command(self, keyword: str, default: str) -> tuple[str, ...]:
        line, value = self.values.get(keyword, (0, default))
        try:
            return tuple(shlex.split(value)) or (default,)
        except ValueError as error:
            self.problem(line, f"'{keyword}' is not a command line: {error}")
            return (default,)


_Handler = Callable[[_Parser, int, str, list[str]], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "node": _Parser.node,
    "host": _Parser.node,
    "group": _Parser.group,
    "ignore_node": _Parser.ignore_node,
    "ignore_host": _Parser.ignore_node,
    "ignore_group": _Parser.ignore_group,
    "ignore": _Parser.ignore,
    "ignore_file": _Parser.ignore,
    "ignore_files": _Parser.ignore,
    "ignore_dir": _Parser.ignore,
    "ignore_dirs": _Parser.ignore,
    **dict.fromkeys(
        ("masterdir", "ignore_dotfiles", "ignore_dotdirs", "ssh_cmd", "rsync_cmd", "num_proc"), _Parser.value
    ),
    **dict.fromkeys(
        ("symlink_mode", "on_update", "always_run", "diff_cmd", "scp_cmd", "synctool_cmd", "logfile"),
        _Parser.not_yet,
    ),
}
