"""The builder of a Config: it takes statements one by one, then checks how they fit together."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, NamedTuple

from pytest_synctool.common.ssh_address import AddressError
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.wording import TRUTHS, Hints, nearest
from pytest_synctool.config import command_line, ignored, later_keywords, variables
from pytest_synctool.config.addresses import ADDRESSES, CONNECTION, node_address, normalized
from pytest_synctool.config.ignore import IgnoreRules
from pytest_synctool.config.model import DEFAULT_NUM_PROC, IMPLICIT_GROUPS, Config, Layout, OnUpdate, Place
from pytest_synctool.config.node_line import NodeLine
from pytest_synctool.config.problems import InvalidConfigError, Problems
from pytest_synctool.config.ranges import RangeError, expand, is_name, spread
from pytest_synctool.config.repeated_nodes import RepeatedNodes
from pytest_synctool.config.selection import NONE, select
from pytest_synctool.config.statements import NAME_EXPECTED, VARIABLE, Statement
from pytest_synctool.errors import SelectionError, TrustError
from pytest_synctool.model import Node

_SPECIFIERS: Final = (*ADDRESSES, "hostname", "hostid", CONNECTION, "rsync")


class _CompoundGroup(NamedTuple):
    place: Place
    members: tuple[str, ...]


class _Setting(NamedTuple):
    place: Place
    text: str


class _Specifier(NamedTuple):
    """A specifier of a node line, with a value for each node of the line, or with no values if it is invalid."""

    key: str
    values: Sequence[str] = ()


@dataclass
class Builder:
    """A builder that takes statements and then makes a Config. `path` is the file that the user named.

    `trust` says whose files may be included.
    """

    path: Path
    trust: Trust
    problems: Problems = field(default_factory=Problems)
    warnings: list[str] = field(default_factory=list)
    nodes: dict[str, NodeLine] = field(default_factory=dict)
    compounds: dict[str, _CompoundGroup] = field(default_factory=dict)
    ignored_nodes: list[ignored.IgnoreLine] = field(default_factory=list)
    ignored_groups: list[ignored.IgnoreLine] = field(default_factory=list)
    patterns: dict[str, Place] = field(default_factory=dict)
    selection: dict[str, Place] = field(default_factory=dict)
    on_update: list[OnUpdate] = field(default_factory=list)
    always_run: list[str] = field(default_factory=list)
    values: dict[str, _Setting] = field(default_factory=dict)
    node_outputs: dict[str, bytes] = field(default_factory=dict)
    repeated: RepeatedNodes = field(default_factory=RepeatedNodes)
    later: later_keywords.LaterKeywords = field(default_factory=later_keywords.LaterKeywords)
    variables: variables.Variables = field(init=False)
    _hints: Hints = field(default_factory=Hints)

    def __post_init__(self) -> None:
        self.variables = variables.Variables(self.problems.add)

    def problem(self, place: Place, message: str, *, hides_names: bool = False) -> None:
        """Record a problem of a line. With `hides_names`, the line may have nodes or groups that are now unknown."""
        self.problems.add(place, message, hides_names=hides_names)

    def add(self, statement: Statement) -> None:
        """Add a statement."""
        place = statement.place
        self.problems.position(place.path)
        handler = _HANDLERS.get(statement.keyword)
        if handler is not None:
            handler(self, place, statement.arguments)
        elif statement.keyword == VARIABLE and statement.value is not None:
            self.variables.add(place, *variables.split_name(statement.arguments[0]), statement.value)
        elif statement.keyword in later_keywords.COLLECTED:
            self.later.add(statement.keyword, place, " ".join(statement.arguments))
        elif statement.keyword in self.values:
            first = self.values[statement.keyword].place.seen_from(place)
            self.problem(place, f"'{statement.keyword}' is set twice, first {first}: remove one")
        else:
            self.values[statement.keyword] = _Setting(place, statement.arguments[0])

    def takes(self, statement: Statement) -> bool:
        """Add a statement. Return False if it has problems."""
        before = self.problems.number
        self.add(statement)
        return self.problems.number == before

    def _node(self, place: Place, words: Sequence[str]) -> None:
        word, *rest = words
        names = self._names(place, "node", word)
        groups = {w: place for w in rest if ":" not in w and self._is_name(place, "group", w)}
        specifiers = [self._specifier(place, w, len(names)) for w in rest if ":" in w]
        if not place.printed:
            self.repeated.line(place, tuple(names))
        for number, name in enumerate(names):
            if name in IMPLICIT_GROUPS:
                self.problem(place, f"node '{name}' is named like a built-in group: rename it", hides_names=True)
                continue
            line = NodeLine((place,), groups, {each.key: each.values[number] for each in specifiers if each.values})
            earlier = self.nodes.get(name)
            if earlier is None:
                self.nodes[name] = line
            else:
                joined = earlier.joined(line)
                self.nodes[name] = joined.line
                if joined.needless is not None:
                    self.repeated.needless(joined.needless)
                for problem in joined.problems:
                    self.problem(place, f"node '{name}' {problem}: remove one", hides_names=True)

    def _specifier(self, place: Place, word: str, count: int) -> _Specifier:
        """Parse a specifier of a line with `count` nodes."""
        key, _, value = word.partition(":")
        if key not in _SPECIFIERS:
            expected = ", ".join(f"{specifier}:" for specifier in _SPECIFIERS)
            self.problem(
                place, f"unknown node specifier '{key}:'{nearest(key, _SPECIFIERS)}, expected one of {expected}"
            )
        elif not value or value.startswith("-"):
            self.problem(place, f"'{key}:' needs a value that does not start with '-'")
        elif key == "hostid" and not value.startswith("/"):
            self.problem(place, f"'hostid:' expects the path of a file on the node, like /etc/hostid, not '{value}'")
        elif key == "hostid":
            return _Specifier(key, [os.path.normpath(value)] * count)
        elif key == "rsync" and value.lower() not in TRUTHS:
            self.problem(place, f"'rsync:' expects yes or no, not '{value}'")
        elif key == "rsync":
            return _Specifier(key, [value] * count)
        elif count:
            try:
                return _Specifier(key, [normalized(key, each) for each in spread(value, count)])
            except (RangeError, AddressError) as error:
                self.problem(place, f"'{key}:' {error}")
        return _Specifier(key)

    def _group(self, place: Place, words: Sequence[str]) -> None:
        name, *members = words
        if not self._is_name(place, "group", name):
            return
        if name in self.compounds:
            first = self.compounds[name].place.seen_from(place)
            message = f"group '{name}' is defined twice, first {first}: join their members on one line"
            self.problem(place, message, hides_names=True)
        elif name in IMPLICIT_GROUPS:
            self.problem(place, f"group '{name}' is built in and cannot be defined: rename it", hides_names=True)
        elif not members:
            self.problem(place, f"group '{name}' has no members: add some, like 'group {name} batch'")
        else:
            names = tuple(name for member in members for name in self._names(place, "group", member))
            self.compounds[name] = _CompoundGroup(place, names)

    def _ignore_node(self, place: Place, words: Sequence[str]) -> None:
        names = tuple(name for word in words for name in self._names(place, "node", word))
        self.ignored_nodes.append(ignored.IgnoreLine(place, names))

    def _ignore_group(self, place: Place, words: Sequence[str]) -> None:
        names = tuple(name for word in words for name in self._names(place, "group", word))
        self.ignored_groups.append(ignored.IgnoreLine(place, names))

    def _ignore(self, place: Place, words: Sequence[str]) -> None:
        for word in words:
            self.patterns.setdefault(word, place)

    def _default_nodeset(self, place: Place, words: Sequence[str]) -> None:
        self.selection.update(dict.fromkeys(words, place))

    def _on_update(self, place: Place, arguments: Sequence[str]) -> None:
        path, command = arguments
        if not path.startswith("/") or os.path.normpath(path) != path:
            self.problem(place, f"'on_update' expects an absolute path, not '{path}'")
        elif (earlier := next((rule for rule in self.on_update if rule.path == os.fsencode(path)), None)) is not None:
            first = earlier.place.seen_from(place)
            self.problem(place, f"'on_update {path}' appears twice, first {first}: join the commands with ';'")
        else:
            self.on_update.append(OnUpdate(os.fsencode(path), command, place))

    def _always_run(self, _place: Place, arguments: Sequence[str]) -> None:
        self.always_run.extend(arguments)

    def _names(self, place: Place, kind: str, word: str) -> list[str]:
        """Expand a word to names. Record a problem and return no names if it is invalid."""
        try:
            names = expand(word)
        except RangeError as error:
            self.problem(place, str(error), hides_names=True)
            return []
        return names if self._is_name(place, kind, names[0]) else []

    def _is_name(self, place: Place, kind: str, name: str) -> bool:
        if is_name(name):
            return True
        self.problem(place, f"'{name}' is not a {kind} name: {NAME_EXPECTED}", hides_names=True)
        return False

    def finish(self) -> Config:
        """Make the configuration. Raises InvalidConfigError with all problems, in the order of files and lines."""
        masterdir, layout = self._masterdir(), self._layout()
        places = self._group_places()
        left_out = ignored.resolve(self.ignored_nodes, self.ignored_groups, self.nodes, places, self.problem)
        expanded = {name: self._expanded([name, *line.groups]) for name, line in self.nodes.items()}
        of_none: dict[Place, list[str]] = {}
        for name in (name for name, groups in expanded.items() if NONE in groups):
            of_none.setdefault(self.nodes[name].place, []).append(name)
        left_out.add_nodes_of_none(of_none)
        nodes = {name: self._resolved(name, line, expanded[name], left_out) for name, line in self.nodes.items()}
        if not nodes and self.problems.has_all_files:
            self.problem(Place(self.path, 0), "no 'node' line: expected at least one, like 'node node1 batch'")
        self._check_groups(nodes, places, left_out.groups)
        places.update({name: place for name, place in left_out.groups.items() if name not in places})
        self._check_cycles()
        notices = (*left_out.notices, *self.later.notices(), *self.repeated.notices())
        config = Config(
            path=self.path,
            masterdir=masterdir,
            nodes=nodes,
            groups=_members(nodes, places),
            ignore=IgnoreRules(
                tuple(self.patterns),
                dotfiles=self._truth("ignore_dotfiles", False),
                dotdirs=self._truth("ignore_dotdirs", False),
                origins=self._ignore_origins(),
            ),
            require_extension=self._truth("require_extension", True),
            ssh_cmd=self._command("ssh_cmd", Config.ssh_cmd),
            scp_cmd=self._command("scp_cmd", Config.scp_cmd),
            rsync_cmd=self._command("rsync_cmd", Config.rsync_cmd),
            diff_cmd=self._command("diff_cmd", Config.diff_cmd),
            synctool_cmd=self._command("synctool_cmd", Config.synctool_cmd),
            num_proc=int(self._matching("num_proc", "[1-9][0-9]{0,5}", "a number from 1") or DEFAULT_NUM_PROC),
            symlink_mode=self._octal("symlink_mode"),
            layout=layout,
            directories=self.later.directories(masterdir, layout, self.problem),
            without_effect=self.later.without_effect,
            backup_copies=self._truth("backup_copies", True),
            syslogging=self._truth("syslogging", True),
            colorize=self._truth("colorize", True),
            ssh_persist=self._ssh_persist(),
            logfile=self._matching("logfile", "/.*", "an absolute path"),
            on_update=tuple(self.on_update),
            always_run=tuple(self.always_run),
            ignored_groups=frozenset(left_out.groups),
            variables=self.variables.by_group,
            warnings=(*self.warnings, *(f"{each.place}: {each.message}" for each in notices if each.is_warning)),
            notices=notices,
            group_places=places,
            command_places={word: self.values[word].place for word in _PROGRAMS if word in self.values},
            node_places={name: line.places for name, line in self.nodes.items()},
            node_outputs=self.node_outputs,
            trust=self.trust,
        )
        if self.problems.has_all_names:
            self.variables.check_groups(config.known_groups)
        config = self._with_default_nodeset(config)
        if lines := self.problems.lines(self.path):
            raise InvalidConfigError("\n".join(lines), config, has_all_names=self.problems.has_all_names)
        return config

    def _masterdir(self) -> Path:
        if "masterdir" not in self.values:
            if (default := later_keywords.default_masterdir(self.path)) is not None:
                return default
            if self.problems.has_all_files:
                message = "no 'masterdir' line: expected one, like 'masterdir /var/lib/synctool'"
                self.problem(Place(self.path, 0), message)
            return Path("/")
        setting = self.values["masterdir"]
        masterdir = Path(os.path.normpath(setting.place.path.absolute().parent / setting.text))
        if not os.path.isdir(masterdir):
            self.problem(setting.place, f"masterdir {masterdir} is not a directory: create it, or correct this line")
        return masterdir

    def _resolved(self, name: str, line: NodeLine, expanded: Sequence[str], left_out: ignored.Ignored) -> Node:
        is_ignored = name in left_out.nodes or any(group in left_out.groups for group in expanded)
        groups = (*(g for g in expanded if g not in left_out.groups and g not in IMPLICIT_GROUPS), "all")
        specifiers = line.specifiers
        own = node_address(name, specifiers)
        return Node(
            name=name,
            groups=groups,
            address=own.address,
            hostname=specifiers.get("hostname"),
            ipaddress=own.ipaddress,
            connection=own.connection,
            rsync=TRUTHS[specifiers.get("rsync", "yes").lower()],
            ignored=is_ignored,
            hostid=specifiers.get("hostid"),
        )

    def _expanded(self, groups: Sequence[str]) -> list[str]:
        """Expand compound groups in place, at any depth. Of equal groups the first one stays."""
        expanded: dict[str, None] = {}
        waiting = list(reversed(groups))
        while waiting:
            group = waiting.pop()
            if group not in expanded:
                expanded[group] = None
                if group in self.compounds:
                    waiting.extend(reversed(self.compounds[group].members))
        return list(expanded)

    def _check_cycles(self) -> None:
        """Record a problem for each cycle of compound groups that contain themselves, at any depth."""
        graph = {name: [m for m in group.members if m in self.compounds] for name, group in self.compounds.items()}
        while True:
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                cycle = list(reversed(error.args[1]))
                place = min((self.compounds[name].place for name in cycle), key=self.problems.order)
                self.problem(place, f"group '{cycle[0]}' contains itself: {' > '.join(cycle)}: remove one of them")
                for name in cycle:
                    graph[name] = []
            else:
                return

    def _group_places(self) -> dict[str, Place]:
        """Return the line of every group, without the groups of single nodes. The last group is `all`."""
        places: dict[str, Place] = {}
        for line in self.nodes.values():
            for name, place in line.groups.items():
                places.setdefault(name, place)
        places.update({name: group.place for name, group in self.compounds.items()})
        for group in self.compounds.values():
            for name in group.members:
                places.setdefault(name, group.place)
        places.setdefault("all", Place(self.path, 0))
        return {name: place for name, place in places.items() if name not in self.nodes and name != "none"}

    def _check_groups(
        self, nodes: Mapping[str, Node], places: Mapping[str, Place], left_out: Mapping[str, Place]
    ) -> None:
        used = {group for node in nodes.values() for group in node.groups}
        for name, compound in self.compounds.items():
            self._check_not_nodes(compound.place, (name, *compound.members))
            if name not in left_out and name not in used:
                hint = self._hints.nearest("group", name, [group for group in places if group not in self.compounds])
                place = compound.place
                self.warnings.append(f"{place}: group '{name}' applies to no node{hint}: put it on a 'node' line")
        for line in self.nodes.values():
            for group, place in line.groups.items():
                self._check_not_nodes(place, (group,))

    def _check_not_nodes(self, place: Place, groups: Sequence[str]) -> None:
        for group in groups:
            if group in self.nodes:
                line = self.nodes[group].place.seen_from(place)
                self.problem(place, f"group '{group}' is named like the node {line}")

    def _with_default_nodeset(self, config: Config) -> Config:
        if not self.selection:
            return config
        if NONE in self.selection:
            if len(self.selection) > 1:
                self.problem(self.selection[NONE], "'default_nodeset none' does not go with other nodes")
            return replace(config, default_nodeset=NONE)
        for term, place in self.selection.items():
            try:
                select(config, term, origin="'default_nodeset'")
            except SelectionError as error:
                self.problem(place, str(error))
        return replace(config, default_nodeset=",".join(self.selection))

    def _ignore_origins(self) -> dict[str, str]:
        """Return the text by which messages name each ignore rule: `'ignore *.swp' (synctool.conf:7)`."""
        origins = {pattern: f"'ignore {pattern}' ({place})" for pattern, place in self.patterns.items()}
        for keyword in ("ignore_dotfiles", "ignore_dotdirs"):
            if keyword in self.values:
                origins[keyword] = f"'{keyword}' ({self.values[keyword].place})"
        return origins

    def _truth(self, keyword: str, default: bool) -> bool:
        if keyword not in self.values:
            return default
        setting = self.values[keyword]
        if setting.text.lower() not in TRUTHS:
            self.problem(setting.place, f"'{keyword}' expects yes or no, not '{setting.text}'")
        return TRUTHS.get(setting.text.lower(), default)

    def _matching(self, keyword: str, pattern: str, expected: str) -> str | None:
        if keyword not in self.values:
            return None
        setting = self.values[keyword]
        if re.fullmatch(pattern, setting.text):
            return setting.text
        self.problem(setting.place, f"'{keyword}' expects {expected}, not '{setting.text}'")
        return None

    def _ssh_persist(self) -> int | None:
        if "ssh_control_persist" not in self.values:
            return None
        setting = self.values["ssh_control_persist"]
        seconds = later_keywords.persist_seconds(setting.text)
        if seconds is None:
            self.problem(
                setting.place, f"'ssh_control_persist' expects a time like 1h30m, yes or none, not '{setting.text}'"
            )
        return seconds

    def _layout(self) -> Layout | None:
        release = self._matching("layout", "[4567]", "4, 5, 6 or 7, the release of synctool")
        if release is None:
            return None
        return Layout.GROUPS if release in "67" else Layout.PATHS

    def _octal(self, keyword: str) -> int | None:
        value = self._matching(keyword, "[0-7]{1,4}", "an octal number like 0755")
        return None if value is None else int(value, 8)

    def _command(self, keyword: str, default: tuple[str, ...]) -> tuple[str, ...]:
        if keyword not in self.values:
            return default
        setting = self.values[keyword]
        try:
            return command_line.split(setting.text, self.trust) or default
        except TrustError as error:
            self.problem(setting.place, f"'{keyword}': {error}")
        except ValueError as error:
            self.problem(setting.place, f"'{keyword}' is not a command line: {error}")
        return default


_PROGRAMS: Final = ("ssh_cmd", "rsync_cmd", "diff_cmd")


def _members(nodes: Mapping[str, Node], groups: Mapping[str, Place]) -> dict[str, tuple[str, ...]]:
    members: dict[str, list[str]] = {group: [] for group in groups}
    for name, node in nodes.items():
        for group in node.groups[1:]:
            if group in members:  # a group named like a node has no place
                members[group].append(name)
    return {group: tuple(names) for group, names in members.items()}


_Handler = Callable[[Builder, Place, Sequence[str]], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "node": Builder._node,
    "group": Builder._group,
    "ignore_node": Builder._ignore_node,
    "ignore_group": Builder._ignore_group,
    "ignore": Builder._ignore,
    "default_nodeset": Builder._default_nodeset,
    "on_update": Builder._on_update,
    "always_run": Builder._always_run,
}
