"""attributes.yaml read into rules, or everything that is wrong with it, with lines."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_synctool.attributes.patterns import PatternError, regex
from pytest_synctool.attributes.rules import ATTRIBUTES, LARGEST_ID, AttributeRules, Rule, is_account
from pytest_synctool.errors import ConfigError
from pytest_synctool.model import printable_text
from pytest_synctool.textfile import read
from pytest_synctool.words import TRUTHS, Hints, nearest
from pytest_synctool.yamlvalues import Items, NotYamlError, Table, Text, Value

_KEYS: Final = ("path", "source", "groups", *ATTRIBUTES)
_ALWAYS_KNOWN: Final = ("all", "none")


def load(path: Path, known_groups: Collection[str]) -> AttributeRules:
    """Read a file of rules; one that does not exist has none.

    Raises ConfigError if it cannot be read, or with every problem found, one a line.
    """
    try:
        text = read(path)
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return AttributeRules((), path)
        raise
    return parse(text, path, known_groups)


def parse(text: str, path: Path, known_groups: Collection[str]) -> AttributeRules:
    """The rules in a text; `path` serves for messages, `all` and `none` need not be among the known groups.

    Raises ConfigError with every problem found, one a line.
    """
    from pytest_synctool import yamlfile  # not every masterdir has such a file

    try:
        document = yamlfile.parse(text)
    except NotYamlError as error:
        raise ConfigError(f"{path}:{error.line}: {printable_text(str(error))}") from error
    parser = _Parser(frozenset((*known_groups, *_ALWAYS_KNOWN)))
    rules = parser.rules(document)
    if parser.problems:
        problems = sorted(parser.problems, key=lambda problem: problem[0])
        raise ConfigError("\n".join(f"{path}:{line}: {message}" for line, message in problems))
    return AttributeRules(rules, path)


def _shape(value: Value) -> str:
    if isinstance(value, Text):
        return f"'{printable_text(value.text)}'" if value.text else "nothing"
    return "a list" if isinstance(value, Items) else "a table"


@dataclass
class _Parser:
    known_groups: frozenset[str]
    problems: list[tuple[int, str]] = field(default_factory=list)
    hints: Hints = field(default_factory=Hints)

    def problem(self, line: int, message: str) -> None:
        self.problems.append((line, message))

    def rules(self, document: Value) -> tuple[Rule, ...]:
        if isinstance(document, Items):
            return tuple(rule for item in document.items if (rule := self.rule(item)) is not None)
        if document != Table(1, ()):  # an empty file
            self.problem(document.line, f"expected a list of rules like '- path: /etc/motd', not {_shape(document)}")
        return ()

    def rule(self, item: Value) -> Rule | None:
        """What an item of the file says; not to be used once there are problems."""
        if not isinstance(item, Table):
            self.problem(item.line, f"expected a rule like '- path: /etc/motd', not {_shape(item)}")
            return None
        given = self.keys(item)
        return Rule(
            line=item.line,
            names=self.names("path", given.get("path")) or self.names("source", given.get("source")),
            groups=self.groups(given.get("groups")),
            owner=self.account("owner", given.get("owner")),
            group=self.account("group", given.get("group")),
            mode=self.mode(given.get("mode")),
            validate=self.validate(given.get("validate")),
            sensitive=self.truth("sensitive", given.get("sensitive")),
            follow=self.truth("follow", given.get("follow")),
        )

    def keys(self, table: Table) -> dict[str, Value]:
        """The values of the keys that mean something; the others are problems, and so is what is missing."""
        given: dict[str, Value] = {}
        lines: dict[str, int] = {}
        misspelt = False
        for key, value in table.rows:
            if key.text in lines:
                self.problem(key.line, f"'{printable_text(key.text)}' is set twice, first on line {lines[key.text]}")
                continue
            lines[key.text] = key.line
            if key.text in _KEYS:
                given[key.text] = value
                continue
            hint = nearest(key.text, _KEYS)
            misspelt = misspelt or bool(hint)
            expected = hint or f": expected one of {', '.join(_KEYS)}"
            self.problem(key.line, f"unknown key '{printable_text(key.text)}'{expected}")
        if "path" in given and "source" in given:
            self.problem(table.line, "both 'path' and 'source': expected one of them")
        if misspelt:  # what seems to be missing may be what was meant
            return given
        if "path" not in given and "source" not in given:
            self.problem(table.line, "neither 'path' nor 'source': expected one of them")
        if not any(attribute in given for attribute in ATTRIBUTES):
            self.problem(table.line, f"no attribute: expected at least one of {', '.join(ATTRIBUTES)}")
        return given

    def names(self, key: str, value: Value | None) -> tuple[str, ...]:
        words = self.words(key, value, "a name")
        for word in words:
            if problem := _name_problem(key, word.text):
                self.problem(word.line, f"'{printable_text(word.text)}' is no '{key}': {problem}")
        return tuple(word.text for word in words)

    def groups(self, value: Value | None) -> tuple[str, ...]:
        words = self.words("groups", value, "a group")
        for word in words:
            if word.text not in self.known_groups:
                hint = (
                    self.hints.nearest("group", word.text, self.known_groups)
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
                self.problem(each.line, f"'{key}' expects {what} or a list of them, not {_shape(each)}")
        return found

    def word(self, key: str, value: Value | None, what: str) -> str | None:
        if value is None:
            return None
        if isinstance(value, Text) and value.text:
            return value.text.strip()
        self.problem(value.line, f"'{key}' expects {what}, not {_shape(value)}")
        return None

    def account(self, key: str, value: Value | None) -> str | None:
        word = self.word(key, value, "a name or a number")
        if value is not None and word is not None and not is_account(word):
            self.problem(
                value.line,
                f"'{key}' expects a name without ':' or a number up to {LARGEST_ID}, not {_shape(value)}",
            )
        return word

    def mode(self, value: Value | None) -> int | None:
        word = self.word("mode", value, 'an octal number like "0644"')
        if value is None or word is None:
            return None
        if re.fullmatch("[0-7]{1,4}", word):
            return int(word, 8)
        without = " without '0o'" if word.lower().startswith("0o") else ""
        self.problem(
            value.line, f"'mode' expects an octal number up to 7777{without}, like \"0644\", not {_shape(value)}"
        )
        return None

    def validate(self, value: Value | None) -> str | None:
        word = self.word("validate", value, "a command like 'visudo -cf %s'")
        if value is None or word is None:
            return None
        if word.count("%s") != 1:
            self.problem(value.line, f"'validate' expects a command with one %s for the file, not {_shape(value)}")
        elif re.search("['\"]%s|%s['\"]", word):
            self.problem(
                value.line, f"'validate' expects %s without quotes, they are put around it, not {_shape(value)}"
            )
        elif not word.isprintable():
            self.problem(value.line, f"'validate' expects one line without control characters, not {_shape(value)}")
        return word

    def truth(self, key: str, value: Value | None) -> bool | None:
        word = self.word(key, value, "yes or no")
        if value is None or word is None:
            return None
        if word.lower() not in TRUTHS:
            self.problem(value.line, f"'{key}' expects yes or no, not {_shape(value)}")
        return TRUTHS.get(word.lower())


def _name_problem(key: str, name: str) -> str | None:
    """What is wrong with a `path` or `source`, and what was expected."""
    if key == "path" and not name.startswith("/"):
        return "expected a destination that starts with '/'"
    if key == "source" and not name.startswith("overlay/"):
        return "expected a source below the masterdir, like overlay/etc/fstab._all"
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
