"""Nodes and groups that a command prints: `include_nodes FORMAT COMMAND`.

The FORMAT is named, never guessed. What a command prints becomes statements, as if they were in the configuration.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final, NamedTuple

from ClusterShell.Defaults import config_paths

from pytest_synctool.common.nodenames import MOST_NODES
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import resolve
from pytest_synctool.common.wording import nearest, printable_text
from pytest_synctool.config import command_line
from pytest_synctool.config.builder import Builder
from pytest_synctool.config.model import Place
from pytest_synctool.config.ranges import is_name
from pytest_synctool.config.statements import NAME_EXPECTED, Statement, read
from pytest_synctool.errors import ConfigError, TrustError

PrintNodes = Callable[[str, tuple[str, ...], Path], bytes]
"""A function that returns what a command prints, by the text of its statement, its words and the directory to run in.

It raises ConfigError with the reason, to be put behind the command.
"""

_CLUSTERSHELL: Final = "clustershell"
_PRINTABLE: Final = ("node", "group", "ignore_node", "ignore_group")  # the statements of the format `conf`
_MOST_PARENTS: Final = 1_000_000  # of all groups of an inventory, at any depth
_PART: Final = r"(?:\[[^\[\]]*\]|[^,\[\]])+"
_NODE_SET: Final = re.compile(rf"{_PART}(?:,{_PART})*")


class OutputError(ValueError):
    """A command has printed something else than its format. `line` is 0 if it has no lines."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Printed(NamedTuple):
    """A statement in the output of a command; `line` is 0 if the format has no lines."""

    line: int
    keyword: str
    arguments: tuple[str, ...]


class _Command(NamedTuple):
    """The command of a statement. `shown` is its name in messages."""

    form: str
    words: tuple[str, ...]
    shown: str


def refuse_to_print(_text: str, _words: tuple[str, ...], _directory: Path) -> bytes:
    """Raise ConfigError: some runs read a configuration and run nothing."""
    raise ConfigError("is not run here")


def add(statement: Statement, builder: Builder, print_nodes: PrintNodes) -> None:
    """Add what the command of a statement prints. Record a problem at the first line that is wrong."""
    place, text = statement.place, statement.arguments[0]
    try:
        command = _command(text, builder.path.parent, builder.trust)
    except ConfigError as error:
        builder.problems.unreadable(place, f"'include_nodes': {error}")
        return
    except ValueError as error:
        builder.problems.unreadable(place, f"'include_nodes' is not a command line: {error}")
        return
    builder.repeated.command(place, text)
    try:
        if text not in builder.node_outputs:
            builder.node_outputs[text] = print_nodes(text, command.words, builder.path.parent)
        for line, keyword, arguments in statements(command.form, builder.node_outputs[text]):
            where = command.shown + (f" line {line}" if line else "")
            if not builder.takes(Statement(Place(place.path, place.line, where), keyword, arguments)):
                builder.problems.has_all_files = False
                break  # one problem is enough: what follows may be an error message, or a page
            if len(builder.nodes) > MOST_NODES:
                raise OutputError(line, f"more than {MOST_NODES:,} nodes")
    except OutputError as error:
        where = command.shown + (f" line {error.line}" if error.line else "")
        builder.problems.unreadable(Place(place.path, place.line, where), str(error))
    except ConfigError as error:
        by_hand = printable_text(shlex.join(command.words))
        builder.problems.unreadable(place, f"{command.shown} {error} (by hand: {by_hand})")


def _command(text: str, directory: Path, trust: Trust) -> _Command:
    """Return the command of a statement. Raises ConfigError, and ValueError if it cannot be split."""
    form, _, rest = text.partition(" ")
    if form == _CLUSTERSHELL:
        source = rest.split()
        if len(source) > 1 or not all(map(is_name, source)):
            raise ConfigError(f"'{_CLUSTERSHELL}' expects the name of one source, or none")
        _check_clustershell(trust)
        words = (sys.executable, "-m", "ClusterShell.CLI.Nodeset", "-ll", *(("-s", *source) if source else ()))
        return _Command(form, words, f"'{printable_text(text)}'")
    if form not in _READERS:
        known = (*_READERS, _CLUSTERSHELL)
        hint = nearest(form, known) or f": expected one of {', '.join(sorted(known))}"
        raise ConfigError(f"unknown format '{printable_text(form)}'{hint}")
    words = command_line.split(rest, trust, directory)
    if not words:
        raise ConfigError(f"'{form}' needs a command")
    return _Command(form, words, f"'{printable_text(rest.strip())}'")


def _check_clustershell(trust: Trust) -> None:
    """Check that nobody else can change what ClusterShell reads: it has commands. Raises TrustError."""
    for directory in (Path(path) for path in config_paths("")):
        if directory.is_dir():
            for path in (directory, *sorted(directory.rglob("*"))):
                try:
                    resolve(path, trust)
                except TrustError:
                    raise
                except (OSError, ConfigError):
                    continue  # a dangling link, or no regular file: ClusterShell reads nothing there


def statements(form: str, output: bytes) -> Iterator[Printed]:
    """Yield the statements in the output of a command. Raises OutputError for the first fault."""
    try:
        text = output.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OutputError(output.count(b"\n", 0, error.start) + 1, "is not text in UTF-8") from error
    count = 0
    for printed in _READERS.get(form, _of_clustershell)(text):
        count += printed.keyword == "node"
        yield printed
    if not count:
        raise OutputError(0, "prints no node: expected at least one")


def _of_conf(text: str) -> Iterator[Printed]:
    """Yield lines of synctool.conf, those about nodes and groups only."""

    def complain(place: Place, message: str, *, hides_names: bool = False) -> None:
        raise OutputError(place.line, message)

    for statement in read(text, Path("printed.conf"), complain):
        if statement.keyword not in _PRINTABLE:
            raise OutputError(
                statement.place.line,
                f"'{statement.keyword}' cannot be included: expected one of {', '.join(_PRINTABLE)}",
            )
        yield Printed(statement.place.line, statement.keyword, statement.arguments)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each line that is not empty, without comments, after its number."""
    for number, line in enumerate(text.split("\n"), 1):
        if words := line.partition("#")[0].split():
            yield number, words


def _nodes(line: int, node_set: str, groups: list[str]) -> Iterator[Printed]:
    """Yield a statement for each part of a node set, like `n[1-3],web1`."""
    groups = [name for name in groups if name != "all"]
    for name in groups:
        _check_group(line, name)
    if ":" in node_set or not _NODE_SET.fullmatch(node_set):
        raise OutputError(line, f"'{printable_text(node_set)}' is not a list of nodes")
    for name in re.findall(_PART, node_set):
        yield Printed(line, "node", (name, *groups))


def _check_group(line: int, name: str) -> None:
    if not is_name(name):
        raise OutputError(line, f"'{printable_text(name)}' is not a group name: {NAME_EXPECTED}")


def _of_slurm(text: str) -> Iterator[Printed]:
    """Yield lines of `sinfo -h -o "%N %P"`: nodes, and their partitions and features, separated by commas."""
    for number, (nodes, *rest) in _lines(text):
        if len(rest) > 1:
            raise OutputError(number, f"has {len(rest) + 1} words: expected nodes and partitions, like 'n[1-3] batch'")
        groups = [word.removesuffix("*") for word in ",".join(rest).split(",")]  # * is the default partition
        yield from _nodes(number, nodes, [group for group in groups if group not in ("", "(null)")])


def _of_genders(text: str) -> Iterator[Printed]:
    """Yield lines of a genders file: nodes, and their attributes. `rack=3` makes the groups `rack-3` and `rack`."""
    for number, (nodes, *rest) in _lines(text):
        groups: list[str] = []
        for attribute in ",".join(rest).split(",") if rest else ():
            name, _, value = attribute.partition("=")
            if value and is_name(f"{name}-{value}"):
                groups.append(f"{name}-{value}")
            groups.append(name)
        yield from _nodes(number, nodes, [group for group in groups if group])


def _of_clustershell(text: str) -> Iterator[Printed]:
    """Yield lines of `nodeset -ll`: `@group nodes`, or `@source:group nodes`."""
    for number, words in _lines(text):
        if len(words) > 2 or not words[0].startswith("@"):
            raise OutputError(number, "expected a group and its nodes, like '@batch n[1-3]'")
        group = words[0].rpartition(":")[2].removeprefix("@")
        for nodes in words[1:]:  # a group may have none
            yield from _nodes(number, nodes, [group])


def _of_ansible(text: str) -> Iterator[Printed]:
    """Yield the hosts of an inventory, as `ansible-inventory --list` prints it.

    The importance of their groups is that of Ansible: a group before its parents, else the last of the alphabet first.
    """
    groups = _ansible_groups(text)
    addresses = _addresses(groups.pop("_meta", {}))
    parents: dict[str, set[str]] = {name: set() for name in groups}
    for name, group in groups.items():
        for child in _names(name, group, "children"):
            parents.setdefault(child, set()).add(name)
    above: dict[str, set[str]] = {}
    depth: dict[str, int] = {}
    count = 0
    try:
        for name in TopologicalSorter(parents).static_order():
            above[name] = {name}.union(*(above[parent] for parent in parents[name]))
            count += len(above[name])
            if count > _MOST_PARENTS:
                raise OutputError(0, f"the groups have more than {_MOST_PARENTS:,} parents")
            depth[name] = max((depth[parent] + 1 for parent in parents[name]), default=0)
    except CycleError as error:
        cycle = " > ".join(printable_text(name) for name in error.args[1])
        raise OutputError(0, f"a group contains itself: {cycle}") from error
    hosts: dict[str, set[str]] = {}
    for name, group in groups.items():
        for host in _names(name, group, "hosts"):
            hosts.setdefault(host, set()).update(above[name])
    for host, names in hosts.items():
        ranked = sorted(names - {"all", "ungrouped"}, key=lambda name: (depth[name], name), reverse=True)
        if not is_name(host):
            raise OutputError(0, f"'{printable_text(host)}' is not a node name: {NAME_EXPECTED}")
        for name in ranked:
            _check_group(0, name)
        yield Printed(0, "node", (host, *ranked, *addresses.get(host, ())))


def _ansible_groups(text: str) -> dict[str, Any]:
    """Return the groups of an inventory, and `_meta`. Raises OutputError."""
    import json  # most configurations include no nodes

    try:
        groups = json.loads(text, object_pairs_hook=_table)
    except json.JSONDecodeError as error:
        raise OutputError(error.lineno, f"is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise OutputError(0, f"is not JSON: {error}") from error
    if not isinstance(groups, dict):
        raise OutputError(0, "is no inventory: expected a table of groups")
    return groups


def _table(rows: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(rows)
    if len(table) < len(rows):
        raise ValueError("a key appears twice in a table")
    return table


def _names(group: str, value: object, kind: str) -> list[str]:
    """Return the hosts or children of a group, which is a table; that of some scripts is a list of hosts."""
    names: object = value.get(kind, []) if isinstance(value, Mapping) else value if kind == "hosts" else []
    if not isinstance(value, Mapping | list) or not isinstance(names, list) or not all(map(_is_text, names)):
        raise OutputError(0, f"the {kind} of group '{printable_text(group)}' are no list of names")
    return names


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _addresses(meta: object) -> dict[str, tuple[str, ...]]:
    """Return the specifier of each host that has the variable ansible_host or ansible_port."""
    variables = meta.get("hostvars", {}) if isinstance(meta, Mapping) else None
    if not isinstance(variables, Mapping) or not all(isinstance(each, Mapping) for each in variables.values()):
        raise OutputError(0, "the variables of hosts (_meta) are no table")
    addresses: dict[str, tuple[str, ...]] = {}
    for host, values in variables.items():
        address, port = values.get("ansible_host", host), values.get("ansible_port", "")
        if address == host and port in ("", 22, "22"):
            continue
        text = f"{address}:{port}" if port else f"{address}"
        if ":" in str(address) and port:
            text = f"[{address}]:{port}"
        if not re.fullmatch(r"[A-Za-z0-9\[\]:.%_+-]+", text):
            name = printable_text(host)
            raise OutputError(0, f"the address of '{name}' is not one: '{printable_text(text[:80])}'")
        addresses[host] = (f"interface:{text}",)
    return addresses


_READERS: Final[dict[str, Callable[[str], Iterator[Printed]]]] = {
    "ansible": _of_ansible,
    "conf": _of_conf,
    "genders": _of_genders,
    "slurm": _of_slurm,
}
