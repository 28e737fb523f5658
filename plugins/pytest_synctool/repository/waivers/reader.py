"""Read waivers.yaml into waivers, or raise an error that names every mistake in it with its line."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from pytest_synctool.common.trust import Trust
from pytest_synctool.common.wording import printable_text
from pytest_synctool.common.yaml_values import Table, Text, Value
from pytest_synctool.errors import SelectionError
from pytest_synctool.repository.rule_file import RuleReader, describe, parse_rules, read_text
from pytest_synctool.repository.waivers.rules import Waiver, Waivers

_KEYS: Final = ("path", "nodes", "groups", "reason", "expires")
_NEEDED: Final = {"path": "a destination", "reason": "why", "expires": "the last day, as 2026-12-31"}


def load(
    path: Path, known_nodes: Collection[str] | None, known_groups: Collection[str] | None, trust: Trust | None = None
) -> Waivers:
    """Read a file of waivers. A file that does not exist has no waivers. None stands for any nodes, or any groups.

    Raises ConfigError if it cannot be read, or with a line for each mistake.
    """
    text = read_text(path, trust)
    return Waivers((), path) if text is None else parse(text, path, known_nodes, known_groups)


def parse(text: str, path: Path, known_nodes: Collection[str] | None, known_groups: Collection[str] | None) -> Waivers:
    """Return the waivers in a text. `path` is for messages. `known_groups` need not have `all` and `none`.

    Raises ConfigError with a line for each mistake.
    """
    reader = _WaiverReader(known_groups, known_nodes=None if known_nodes is None else frozenset(known_nodes))
    return Waivers(parse_rules(text, path, reader, _WaiverReader.waiver), path)


@dataclass
class _WaiverReader(RuleReader):
    known_nodes: frozenset[str] | None = frozenset()
    _lines: set[int] = field(default_factory=set)

    def waiver(self, table: Table) -> Waiver:
        """Return the waiver of a table."""
        if table.line in self._lines:  # reports name a waiver by its line
            self.problem(table.line, "another waiver on the same line: expected each on lines of its own")
        self._lines.add(table.line)
        values = self.keys(table, _KEYS)
        if not values.misspelt:
            for key, expected in _NEEDED.items():
                if key not in values:
                    self.problem(table.line, f"no '{key}': expected {expected}")
            if "nodes" not in values and "groups" not in values:
                self.problem(table.line, "neither 'nodes' nor 'groups': expected at least one; 'groups: all' is all")
        return Waiver(
            table.line,
            self.paths(values.get("path")),
            self.nodes(values.get("nodes")),
            frozenset(self.groups(values.get("groups"))),
            self.reason(values.get("reason")),
            self.expires(values.get("expires")),
        )

    def nodes(self, value: Value | None) -> frozenset[str]:
        """Return the names of nodes in node sets such as `node[1-3]`."""
        names: set[str] = set()
        for word in self.words("nodes", value, "a node or a node set like node[1-3]"):
            for name in self._unfolded(word.line, word.text):
                if self.known_nodes is None or name in self.known_nodes:
                    names.add(name)
                else:
                    hint = self._hint(name, self.known_nodes)
                    self.problem(word.line, f"unknown node '{printable_text(name)}'{hint}")
                    break  # the others of the same range are probably unknown too
        return frozenset(names)

    def _hint(self, name: str, known_nodes: Collection[str]) -> str:
        if name.removeprefix("@") in (self.known_groups or ()):
            return ": it is a group, and they are for 'groups'"
        return self.hints.nearest("node", name, known_nodes) or ": expected one of the configuration"

    def _unfolded(self, line: int, text: str) -> list[str]:
        from pytest_synctool.common.nodenames import unfold  # importing ClusterShell takes a while

        try:
            return [text] if text in (self.known_nodes or ()) else unfold(text, origin="'nodes'")
        except SelectionError as error:
            self.problem(line, printable_text(str(error)))
            return []

    def reason(self, value: Value | None) -> str:
        """Return words, joined to one line."""
        text = " ".join((self.word("reason", value, "some words") or "").split())
        if isinstance(value, Text) and value.text and not text:
            self.problem(value.line, f"'reason' expects some words, not {describe(value)}")
        return text

    def expires(self, value: Value | None) -> date:
        """Return a day. With a problem it is date.min."""
        word = self.word("expires", value, "a day like 2026-12-31")
        if value is not None and word is not None:
            try:
                if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", word):
                    return date.fromisoformat(word)
            except ValueError:
                pass  # a day such as 2026-02-30
            self.problem(value.line, f"'expires' expects a day like 2026-12-31, not {describe(value)}")
        return date.min
