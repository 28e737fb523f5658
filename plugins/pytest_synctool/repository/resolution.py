"""The repository: the source of each destination on each node.

The masterdir is walked once. Whether a node gets an entry depends only on the groups that the masterdir names. So a
destination is resolved once for all nodes with the same of these groups, and they share one list of entries. The source
of the most important group wins (documentation, "The groups a node is in").
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from pytest_synctool import config as configuration
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.trusted_files import resolve
from pytest_synctool.common.wording import printable
from pytest_synctool.config.model import Config
from pytest_synctool.errors import ConfigError, SynctoolError
from pytest_synctool.model import Node
from pytest_synctool.repository.attributes import FILE_NAME as ATTRIBUTES_FILE
from pytest_synctool.repository.attributes import NO_RULES, AttributeRules
from pytest_synctool.repository.attributes import load as load_attributes
from pytest_synctool.repository.candidates import Candidate, Masterdir, Reason
from pytest_synctool.repository.destination_resolver import DeleteDirectory, Groups, Resolver, by_importance
from pytest_synctool.repository.entry import Entry, EntryList
from pytest_synctool.repository.entry_commands import owners
from pytest_synctool.repository.exclusive import exclusive_contents
from pytest_synctool.repository.made_contents import Decrypt, MadeContents, check, refuse_to_decrypt
from pytest_synctool.repository.masterdir import scan_configured
from pytest_synctool.repository.source import Destination, Tree, by_component
from pytest_synctool.repository.variable_files import GroupVariables, VariableFiles
from pytest_synctool.repository.variable_files import load as load_variables
from pytest_synctool.repository.waivers import FILE_NAME as WAIVERS_FILE
from pytest_synctool.repository.waivers import NO_WAIVERS, Waivers
from pytest_synctool.repository.waivers import load as load_waivers

_Value = TypeVar("_Value")

_NOTHING: Final = "nothing in overlay/ or delete/ is for it, so that an audit only sees whether it answers"
_TASKS: Final = os.fsencode(Tree.TASKS.value) + b"/"


class _Blocking(NamedTuple):
    """A destination that can block others, and those below it, as positions in the list of destinations."""

    position: int
    below: range


def is_idle(entries: Sequence[Entry]) -> bool:
    """Return True if there is nothing to compare: a node without entries, or with tasks only."""
    return not entries or entries[0].tree is Tree.TASKS  # tasks are the last ones


class Repository:
    """A walked masterdir with its rules. It resolves the entries of nodes."""

    def __init__(
        self,
        masterdir: Masterdir,
        attributes: AttributeRules = NO_RULES,
        on_update: Mapping[bytes, str] | None = None,
        waivers: Waivers = NO_WAIVERS,
        warnings: Iterable[str] = (),
        contents: MadeContents | None = None,
    ) -> None:
        self.masterdir = masterdir
        self.attributes = attributes
        self.waivers = waivers
        self._contents = MadeContents() if contents is None else contents
        self._warnings = dict.fromkeys(
            f"{printable(left.relative)}: {left.text}"
            for left in masterdir.left_out
            if left.reason is not Reason.IGNORED
        )
        self._warnings.update(dict.fromkeys(warnings))
        # Deletions come first, and directories before the paths in them.
        order = {Tree.DELETE: 0, Tree.OVERLAY: 1, Tree.TASKS: 2}
        destinations = sorted(masterdir.candidates, key=lambda each: (order[each.tree], by_component(each.path)))
        commands = {path: os.fsencode(text) for path, text in (on_update or {}).items()}
        directories = {os.path.dirname(each.path) for each in destinations if each.tree is Tree.DELETE}
        above = {path: DeleteDirectory(path, masterdir, commands.get(path)) for path in directories}
        self._resolvers = [
            Resolver(
                each,
                masterdir,
                attributes,
                None if each.tree is Tree.TASKS else commands.get(each.path),
                above[os.path.dirname(each.path)] if each.tree is Tree.DELETE else None,
                self._contents,
            )
            for each in destinations
        ]
        self._has_exclusive = attributes.has_exclusive or bool(masterdir.purged)
        self._has_templates = attributes.has_templates or any(s.is_template for _, s in masterdir.sources())
        self._by_group: dict[str, list[int]] = {}
        for position, resolver in enumerate(self._resolvers):
            for group in resolver.groups:
                self._by_group.setdefault(group, []).append(position)
        self._base = [resolver.entry(("all",)) for resolver in self._resolvers]
        self._deleted_and_kept = self._find_deleted_and_kept()
        self._blocking = self._find_blocking()
        self._helpers = [
            candidate
            for candidates in masterdir.candidates.values()
            for candidate in candidates
            if candidate.groups[-1] == "none" and candidate.source is not None and not candidate.source.is_directory
        ]
        self._resolved: dict[Groups, EntryList] = {}
        self._idle: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """The names that were left out, and why, a line each. Resolving the entries of a node can add lines."""
        return list(self._warnings)

    @property
    def idle(self) -> list[str]:
        """A line about the resolved nodes for which there is nothing to compare, if there are any."""
        return [f"{fold(self._idle)}: {_NOTHING}"] if self._idle else []

    def entries(self, node: Node) -> EntryList:
        """Return the entries of a node, at most one for a destination. Nodes with the same entries share one list.

        Those of delete/ come first, then those of overlay/ with parents first, then those of tasks/ by name.
        """
        groups = tuple(group for group in node.groups if group in self._by_group)
        if groups not in self._resolved:
            self._resolved[groups] = self._resolve(groups)
        entries = self._resolved[groups]
        if is_idle(entries):
            self._idle.setdefault(node.name)
        return self._contents.of_node(entries, node)

    @property
    def variables(self) -> GroupVariables:
        """The variables of templates, by group and name."""
        return self._contents.variables

    def check_contents(self, nodes: Iterable[Node]) -> None:
        """Raise RepositoryError if contents for these nodes cannot be made, with a line for each reason.

        This renders all templates and runs all commands that decrypt.
        """
        check((node, self.entries(node)) for node in nodes)

    def considered(self, destination: Destination, node: Node) -> tuple[list[Candidate], list[Candidate]]:
        """Return the sources of a destination that apply to a node, the most important first, and the other ones."""
        candidates = self.masterdir.candidates.get(destination, [])
        applying = by_importance(candidates, node.groups)
        return applying, [candidate for candidate in candidates if candidate not in applying]

    def _resolve(self, groups: Groups) -> EntryList:
        row = list(self._base)
        for position in {position for group in groups if group != "all" for position in self._by_group[group]}:
            row[position] = self._resolvers[position].entry(groups)
        self._drop_blocked(row)
        for deleted, kept in self._deleted_and_kept:
            # Otherwise each --fix would undo the previous one.
            if (entry := row[deleted]) is not None and (other := row[kept]) is not None:
                self._warn(f"{entry.source.shown}: skipped, {other.source.shown} is for the same destination")
                row[deleted] = None
        entries = [entry for entry in row if entry is not None]
        templates = (entry for entry in entries if entry.is_template) if self._has_templates else ()
        exclusive = exclusive_contents(entries) if self._has_exclusive else ()
        return EntryList(entries, self._helpers_of(entries, groups), templates, exclusive)

    def _helpers_of(self, entries: Sequence[Entry], groups: Groups) -> list[bytes]:
        """Return the names of the files for group none that commands of these entries may read.

        A task sources functions from tasks/, and a trigger fills in a template beside it.
        """
        if not self._helpers:
            return []
        has_tasks = any(entry.tree is Tree.TASKS for entry in entries)
        beside = {os.path.dirname(entry.trigger) for entry in owners(entries) if entry.trigger is not None}
        reached = by_importance(self._helpers, (*groups, "none"))
        return [
            helper.relative
            for helper in reached
            if (has_tasks and helper.relative.startswith(_TASKS)) or os.path.dirname(helper.relative) in beside
        ]

    def _find_deleted_and_kept(self) -> list[tuple[int, int]]:
        """Return the positions of the paths that are in delete/ and in overlay/, as pairs in this order."""
        positions = {resolver.destination: position for position, resolver in enumerate(self._resolvers)}
        return [
            (position, kept)
            for (tree, path), position in positions.items()
            if tree is Tree.DELETE and (kept := positions.get(Destination(Tree.OVERLAY, path))) is not None
        ]

    def _find_blocking(self) -> list[_Blocking]:
        blocking: list[_Blocking] = []
        for position, (resolver, following) in enumerate(pairwise(self._resolvers)):
            if not (following.lies_below(resolver) and resolver.may_block):
                continue
            end = position + 2
            while end < len(self._resolvers) and self._resolvers[end].lies_below(resolver):
                end += 1
            blocking.append(_Blocking(position, range(position + 1, end)))
        return blocking

    def _drop_blocked(self, row: list[Entry | None]) -> None:
        """Remove the entries below a destination that is not a directory on these nodes."""
        for blocking in self._blocking:
            above = row[blocking.position]
            if above is None or above.source.is_directory:
                continue
            for position in blocking.below:
                if (entry := row[position]) is not None:
                    shown = printable(above.destination)
                    self._warn(f"{entry.source.shown}: skipped, {shown} is not a directory on some nodes")
                    row[position] = None

    def _warn(self, message: str) -> None:
        self._warnings.setdefault(message)


def emptiness(config: Config, repository: Repository) -> str | None:
    """Return what is wrong if there is nothing in the masterdir that a run could look at or do."""
    if repository.masterdir.candidates or config.always_run:
        return None
    return (
        f"nothing to look at: overlay/, delete/ and tasks/ in {printable(os.fsencode(config.masterdir))} have no entry "
        "for any node (expected names like overlay/etc/motd._all); create one, or correct 'masterdir'"
    )


def load_config(path: Path, trust: Trust, masterdir_trust: Trust, print_nodes: configuration.PrintNodes) -> Config:
    """Read and check a configuration. Raises ConfigError with its problems and those of the masterdir, one a line.

    `masterdir_trust` says whose files in the masterdir are obeyed. It is only for the search for problems there.
    `print_nodes` runs the commands of include_nodes.
    """
    try:
        return configuration.load(path, trust, print_nodes)
    except configuration.InvalidConfigError as error:
        collected = _Errors([error])
        if os.path.isdir(error.config.masterdir) and error.config.masterdir != Path("/"):
            _load(replace(error.config, trust=masterdir_trust), collected, knows_names=error.has_all_names)
        raise collected.joined() from error


def load(config: Config, decrypt: Decrypt = refuse_to_decrypt, *, cached: bool = True) -> Repository:
    """Return the repository of a cluster. `decrypt` runs the commands that print the contents of encrypted files.

    Unless `cached`, every source is read anew.

    Raises RepositoryError, TrustError, or ConfigError for attributes.yaml or waivers.yaml. The message has a line for
    each problem of all of them.
    """
    errors = _Errors()
    repository = _load(config, errors, decrypt, cached=cached)
    if errors.errors:
        raise errors.joined()
    return repository


@dataclass
class _Errors:
    """The errors of several files, each with a line per problem."""

    errors: list[SynctoolError] = field(default_factory=list)

    def of(self, read: Callable[[], _Value], default: _Value) -> _Value:
        """Return what `read` returns, or the default if it raises an error. Keep the error."""
        try:
            return read()
        except SynctoolError as error:
            self.errors.append(error)
            return default

    def joined(self) -> SynctoolError:
        """Return the only error, or one with the lines of all."""
        if len(self.errors) == 1:
            return self.errors[0]
        return ConfigError("\n".join(dict.fromkeys(line for error in self.errors for line in str(error).split("\n"))))


def _load(
    config: Config,
    errors: _Errors,
    decrypt: Decrypt = refuse_to_decrypt,
    *,
    knows_names: bool = True,
    cached: bool = True,
) -> Repository:
    """Return the repository of a cluster without what is wrong, and collect the errors.

    With `knows_names` False, any name of a node or group in the rules is accepted.
    """
    nothing = Repository(Masterdir(config.masterdir), NO_RULES, {}, NO_WAIVERS)
    if not errors.of(lambda: _is_trusted(config), False):
        return nothing  # everything in it would be refused for the same reason
    nodes, groups = (config.nodes, config.known_groups) if knows_names else (None, None)
    attributes_file, waivers_file = config.masterdir / ATTRIBUTES_FILE, config.masterdir / WAIVERS_FILE
    attributes = errors.of(lambda: load_attributes(attributes_file, groups, config.trust), NO_RULES)
    waivers = errors.of(lambda: load_waivers(waivers_file, nodes, groups, config.trust), NO_WAIVERS)
    variables = errors.of(lambda: load_variables(config, knows_names=knows_names), VariableFiles())
    on_update = {rule.path: rule.command for rule in config.on_update}
    contents = MadeContents(config.nodes, config.groups, variables.variables, decrypt)

    def read() -> Repository:
        masterdir = scan_configured(config, cached=cached)
        return Repository(masterdir, attributes, on_update, waivers, variables.warnings, contents)

    return errors.of(read, nothing)


def _is_trusted(config: Config) -> bool:
    """Return True. Raises TrustError if accounts that are not trusted can change the directory itself."""
    with suppress(OSError):  # the walk reports it
        resolve(config.masterdir, config.trust)
    return True
