"""Variables of templates: `var NAME VALUE` for all nodes, `var NAME._GROUP VALUE` for a group, or for one node.

Their values are those of the node's most important group that has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pytest_synctool.common.wording import Hints, printable_text
from pytest_synctool.common.yaml_values import Items, Text, Value
from pytest_synctool.config.model import Place, Variable, VariableValue, Word

NAME_EXPECTED: Final = "expected letters, digits and _, like ntp_server"
ALL: Final = "all"
MOST_VALUES: Final = 100_000

_NAME: Final = re.compile("[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
_NUMBER: Final = re.compile("-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_SEPARATOR: Final = "._"


class _ValueReader:
    """A reader of one value. `problem` is the last mistake in it, with its line."""

    def __init__(self) -> None:
        self.problem: tuple[int, str] | None = None
        self._left = MOST_VALUES

    def read(self, value: Value) -> VariableValue:
        """Return a number, a word, a tuple or a dictionary.

        A whole number is an `int` if it is written as Python writes it, so `0644` stays a word.
        """
        self._left -= 1
        if self._left < 0:  # aliases of YAML can stand for more than fits into the memory
            self.problem = (value.line, f"more than {MOST_VALUES:,} values in one variable")
            return Word()
        if isinstance(value, Text):
            return int(value.text) if _NUMBER.fullmatch(value.text) and value.text != "-0" else Word(value.text)
        if isinstance(value, Items):
            return tuple(self.read(item) for item in value.items if self._left >= 0)
        table: dict[str, VariableValue] = {}
        for key, cell in value.rows if self._left >= 0 else ():
            if key.text in table:
                self.problem = (key.line, f"'{printable_text(key.text)}' appears twice in a variable: remove one")
            table[key.text] = self.read(cell)
        return table


@dataclass
class Variables:
    """A collector of variables, by group and name."""

    complain: Callable[[Place, str], None]
    by_group: dict[str, dict[str, Variable]] = field(default_factory=dict)
    _hints: Hints = field(default_factory=Hints)

    def add(self, place: Place, name: str, group: str, value: Value) -> None:
        """Add the value of a variable for a group."""
        if not _NAME.fullmatch(name):
            self.complain(place, f"'{printable_text(name)}' is not the name of a variable: {NAME_EXPECTED}")
            return
        variables = self.by_group.setdefault(group, {})
        if name in variables:
            first = variables[name].place.seen_from(place)
            where = "" if group == ALL else f" for '{printable_text(group)}'"
            self.complain(place, f"variable '{name}' is set twice{where}, first {first}: remove one")
            return
        reader = _ValueReader()
        variables[name] = Variable(reader.read(value), place)
        if reader.problem is not None:
            line, message = reader.problem
            self.complain(Place(place.path, line), message)

    def check_groups(self, known_groups: Collection[str]) -> None:
        """Complain of variables for groups that are not known; `known_groups` has `all` and the nodes."""
        for group, variables in self.by_group.items():
            if group in known_groups:
                continue
            hint = self._hints.nearest("group", group, known_groups) or ": expected a group or node"
            for variable in variables.values():
                self.complain(variable.place, f"unknown group '{printable_text(group)}' of a variable{hint}")


def split_name(word: str) -> tuple[str, str]:
    """Split `slots._batch` into the name of a variable and its group, which is `all` if there is none."""
    name, separator, group = word.partition(_SEPARATOR)
    return (name, group) if separator else (word, ALL)


def in_lines(by_group: Mapping[str, Mapping[str, Variable]]) -> Iterator[str]:
    """Yield `NAME VALUE` or `NAME._GROUP VALUE` for each variable, as synctool.conf has them."""
    for group, variables in by_group.items():
        for name, variable in variables.items():
            yield f"{name}{'' if group == ALL else _SEPARATOR + group} {_text(variable.value)}"


def _text(value: VariableValue) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(each)}" for key, each in value.items()) + "}"
    return str(value)
