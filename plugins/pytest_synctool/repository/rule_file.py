"""Files of the masterdir that are a list of rules in YAML: what they have in common, and all that is wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from pytest_synctool.common.textfile import read
from pytest_synctool.common.wording import Hints, nearest, printable_text
from pytest_synctool.common.yaml_values import Items, NotYamlError, Table, Text, Value
from pytest_synctool.errors import ConfigError
from pytest_synctool.repository.patterns import PatternError, regex

_ALWAYS_KNOWN: Final = ("all", "none")

_AnyReader = TypeVar("_AnyReader", bound="RuleReader")
_Rule = TypeVar("_Rule")


def read_text(path: Path) -> str | None:
    """The text of a file, None if there is none. Raises ConfigError if it cannot be read."""
    try:
        return read(path)
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def parse_rules(
    text: str, path: Path, reader: _AnyReader, rule: Callable[[_AnyReader, Table], _Rule]
) -> tuple[_Rule, ...]:
    """The rules in a text, each made of a table of it. Raises ConfigError with every problem found, one a line."""
    from pytest_synctool.common import yaml_parser  # not every masterdir has such a file

    try:
        document = yaml_parser.parse(text)
    except NotYamlError as error:
        raise ConfigError(f"{path}:{error.line}: {printable_text(str(error))}") from error
    rules = tuple(rule(reader, table) for table in reader.tables(document))
    if reader.problems:
        problems = sorted(reader.problems, key=lambda problem: problem[0])
        raise ConfigError("\n".join(f"{path}:{line}: {message}" for line, message in problems))
    return rules


def describe(value: Value) -> str:
    """What is there instead of what was expected."""
    if isinstance(value, Text):
        return f"'{printable_text(value.text)}'" if value.text else "nothing"
    return "a list" if isinstance(value, Items) else "a table"


@dataclass
class RuleReader:
    """Reads values of rules, and notes what is wrong, by line; what it returns then is not to be used.

    `all` and `none` need not be among the known groups.
    """

    known_groups: Collection[str]
    problems: list[tuple[int, str]] = field(default_factory=list)
    hints: Hints = field(default_factory=Hints)

    def __post_init__(self) -> None:
        self._groups = frozenset((*self.known_groups, *_ALWAYS_KNOWN))

    def problem(self, line: int, message: str) -> None:
        """Note what is wrong on a line."""
        self.problems.append((line, message))

    def tables(self, document: Value) -> Iterator[Table]:
        """The tables that the document is a list of."""
        if isinstance(document, Items):
            for item in document.items:
                if isinstance(item, Table):
                    yield item
                else:
                    self.problem(item.line, f"expected a rule like '- path: /etc/motd', not {describe(item)}")
        elif document != Table(1, ()):  # an empty file
            self.problem(document.line, f"expected a list of rules like '- path: /etc/motd', not {describe(document)}")

    def keys(self, table: Table, known: Sequence[str]) -> tuple[dict[str, Value], bool]:
        """The values of known keys, and whether what seems to be missing among them may be there misspelt."""
        given: dict[str, Value] = {}
        lines: dict[str, int] = {}
        misspelt = False
        for key, value in table.rows:
            if key.text in lines:
                self.problem(key.line, f"'{printable_text(key.text)}' is set twice, first on line {lines[key.text]}")
                continue
            lines[key.text] = key.line
            if key.text in known:
                given[key.text] = value
                continue
            hint = nearest(key.text, known)
            misspelt = misspelt or bool(hint)
            expected = hint or f": expected one of {', '.join(known)}"
            self.problem(key.line, f"unknown key '{printable_text(key.text)}'{expected}")
        return given, misspelt

    def paths(self, value: Value | None) -> tuple[str, ...]:
        """Destinations on nodes, or patterns of them."""
        return self.names("path", value, lambda name: _path_problem(name) or name_problem(name))

    def names(self, key: str, value: Value | None, problem_of: Callable[[str], str | None]) -> tuple[str, ...]:
        """Names, each one that nothing is wrong with."""
        words = self.words(key, value, "a name")
        for word in words:
            if problem := problem_of(word.text):
                self.problem(word.line, f"'{printable_text(word.text)}' is no '{key}': {problem}")
        return tuple(word.text for word in words)

    def groups(self, value: Value | None) -> tuple[str, ...]:
        """Groups, or nodes, of the configuration."""
        words = self.words("groups", value, "a group")
        for word in words:
            if word.text not in self._groups:
                hint = (
                    self.hints.nearest("group", word.text, self._groups)
                    or ": expected a group or node of the configuration"
                )
                self.problem(word.line, f"unknown group '{printable_text(word.text)}'{hint}")
        return tuple(dict.fromkeys(word.text for word in words))

    def words(self, key: str, value: Value | None, what: str) -> list[Text]:
        """A word, or a list of at least one."""
        if value is None:
            return []
        values = value.items if isinstance(value, Items) else (value,)
        if not values:
            self.problem(value.line, f"'{key}' expects {what} or a list of them, not an empty list")
        found = []
        for each in values:
            if isinstance(each, Text) and each.text:
                found.append(each)
            else:
                self.problem(each.line, f"'{key}' expects {what} or a list of them, not {describe(each)}")
        return found

    def word(self, key: str, value: Value | None, what: str) -> str | None:
        """A single word."""
        if value is None:
            return None
        if isinstance(value, Text) and value.text:
            return value.text.strip()
        self.problem(value.line, f"'{key}' expects {what}, not {describe(value)}")
        return None


def _path_problem(name: str) -> str | None:
    return None if name.startswith("/") else "expected a destination that starts with '/'"


def name_problem(name: str) -> str | None:
    """What is wrong with a path or a pattern of some, wherever it begins, and what was expected."""
    if "\n" in name or "\0" in name:
        return "no name holds a newline or NUL"
    for component in name.removeprefix("/").split("/"):
        if component in ("", ".", ".."):
            found = f"'{component}'" if component else "nothing"
            return f"expected a name between the slashes, not {found}"
    try:
        regex(name)
    except PatternError as error:
        return str(error)
    return None
