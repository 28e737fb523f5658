"""A reader for attributes.yaml and waivers.yaml: files in the masterdir that are lists of rules in YAML."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from pytest_synctool.common.textfile import read
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.wording import Hints, nearest, printable_text
from pytest_synctool.common.yaml_values import Items, NotYamlError, Table, Text, Value
from pytest_synctool.errors import ConfigError
from pytest_synctool.repository.patterns import PatternError, regex

_ALWAYS_KNOWN: Final = ("all", "none")

_AnyReader = TypeVar("_AnyReader", bound="RuleReader")
_Rule = TypeVar("_Rule")


def read_text(path: Path, trust: Trust | None = None) -> str | None:
    """Return the text of a trusted file, or None if it does not exist. Raises ConfigError if it cannot be read."""
    try:
        return read(path, trust)
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def parse_rules(
    text: str, path: Path, reader: _AnyReader, rule: Callable[[_AnyReader, Table], _Rule]
) -> tuple[_Rule, ...]:
    """Return the rules in a text: `rule` reads one from a table. Raises ConfigError with a line for each problem."""
    from pytest_synctool.common import yaml_parser  # not every masterdir has such a file

    try:
        document = yaml_parser.parse(text)
    except NotYamlError as error:
        raise ConfigError(f"{path}:{error.line}: {printable_text(str(error))}") from error
    rules = tuple(rule(reader, table) for table in reader.tables(document))
    if reader.problems:
        problems = sorted(reader.problems, key=lambda problem: problem.line)
        raise ConfigError("\n".join(f"{path}:{problem.line}: {problem.message}" for problem in problems))
    return rules


def describe(value: Value) -> str:
    """Return a description of an unexpected value for a message."""
    if isinstance(value, Text):
        return f"'{printable_text(value.text)}'" if value.text else "nothing"
    return "a list" if isinstance(value, Items) else "a table"


class RuleProblem(NamedTuple):
    """A mistake in a file of rules, with the line that it is on."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class RuleValues:
    """The values of the known keys of a rule. With `misspelt`, a missing key may be there under a similar name."""

    by_key: Mapping[str, Value]
    misspelt: bool

    def get(self, key: str) -> Value | None:
        """Return the value of a key, or None."""
        return self.by_key.get(key)

    def __contains__(self, key: str) -> bool:
        return key in self.by_key


@dataclass
class RuleReader:
    """A reader of the values of rules. It notes the problems by line; with a problem, the values are not to be used.

    `known_groups` need not have `all` and `none`. None stands for any groups: they are not known.
    """

    known_groups: Collection[str] | None
    problems: list[RuleProblem] = field(default_factory=list)
    hints: Hints = field(default_factory=Hints)

    def __post_init__(self) -> None:
        self._groups = None if self.known_groups is None else frozenset((*self.known_groups, *_ALWAYS_KNOWN))

    def problem(self, line: int, message: str) -> None:
        """Note a problem on a line."""
        self.problems.append(RuleProblem(line, message))

    def tables(self, document: Value) -> Iterator[Table]:
        """Yield the tables of a document that is a list of them."""
        if isinstance(document, Items):
            for item in document.items:
                if isinstance(item, Table):
                    yield item
                else:
                    self.problem(item.line, f"expected a rule like '- path: /etc/motd', not {describe(item)}")
        elif document != Table(1, ()):  # the document of an empty file
            self.problem(document.line, f"expected a list of rules like '- path: /etc/motd', not {describe(document)}")

    def keys(self, table: Table, known: Sequence[str]) -> RuleValues:
        """Return the values of the known keys of a table. Unknown and repeated keys are problems."""
        values: dict[str, Value] = {}
        lines: dict[str, int] = {}
        misspelt = False
        for key, value in table.rows:
            if key.text in lines:
                self.problem(key.line, f"'{printable_text(key.text)}' is set twice, first on line {lines[key.text]}")
                continue
            lines[key.text] = key.line
            if key.text in known:
                values[key.text] = value
                continue
            hint = nearest(key.text, known)
            misspelt = misspelt or bool(hint)
            expected = hint or f": expected one of {', '.join(known)}"
            self.problem(key.line, f"unknown key '{printable_text(key.text)}'{expected}")
        return RuleValues(values, misspelt)

    def paths(self, value: Value | None) -> tuple[str, ...]:
        """Return destinations, or patterns of destinations."""
        return self.names("path", value, lambda name: _path_problem(name) or name_problem(name))

    def names(self, key: str, value: Value | None, problem_of: Callable[[str], str | None]) -> tuple[str, ...]:
        """Return names. `problem_of` returns the problem of a name, or None."""
        words = self.words(key, value, "a name")
        for word in words:
            if problem := problem_of(word.text):
                self.problem(word.line, f"'{printable_text(word.text)}' is no '{key}': {problem}")
        return tuple(word.text for word in words)

    def groups(self, value: Value | None) -> tuple[str, ...]:
        """Return groups or nodes of the configuration, each once."""
        words = self.words("groups", value, "a group")
        for word in words:
            if self._groups is not None and word.text not in self._groups:
                hint = (
                    self.hints.nearest("group", word.text, self._groups)
                    or ": expected a group or node of the configuration"
                )
                self.problem(word.line, f"unknown group '{printable_text(word.text)}'{hint}")
        return tuple(dict.fromkeys(word.text for word in words))

    def words(self, key: str, value: Value | None, expected: str) -> list[Text]:
        """Return one word or a list of words, at least one. `expected` describes a word in messages."""
        if value is None:
            return []
        values = value.items if isinstance(value, Items) else (value,)
        if not values:
            self.problem(value.line, f"'{key}' expects {expected} or a list of them, not an empty list")
        words = []
        for each in values:
            if isinstance(each, Text) and each.text:
                words.append(each)
            else:
                self.problem(each.line, f"'{key}' expects {expected} or a list of them, not {describe(each)}")
        return words

    def word(self, key: str, value: Value | None, expected: str) -> str | None:
        """Return a single word without surrounding space, or None. `expected` describes it in messages."""
        if value is None:
            return None
        if isinstance(value, Text) and value.text:
            return value.text.strip()
        self.problem(value.line, f"'{key}' expects {expected}, not {describe(value)}")
        return None


def _path_problem(name: str) -> str | None:
    return None if name.startswith("/") else "expected a destination that starts with '/'"


def name_problem(name: str) -> str | None:
    """Return the problem of a path or pattern, absolute or below the masterdir, or None if it is valid."""
    if "\n" in name or "\0" in name:
        return "no name holds a newline or NUL"
    for component in name.removeprefix("/").split("/"):
        if component in ("", ".", ".."):
            actual = f"'{component}'" if component else "nothing"
            return f"expected a name between the slashes, not {actual}"
    try:
        regex(name)
    except PatternError as error:
        return str(error)
    return None
