"""attributes.yaml read into rules, or everything that is wrong with it, with lines."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from pytest_synctool.common.wording import TRUTHS
from pytest_synctool.common.yaml_values import Table, Value
from pytest_synctool.repository.attributes.rules import ATTRIBUTES, LARGEST_ID, AttributeRules, Rule, is_account
from pytest_synctool.repository.rule_file import RuleReader, describe, name_problem, parse_rules, read_text

_KEYS: Final = ("path", "source", "groups", *ATTRIBUTES)


def load(path: Path, known_groups: Collection[str]) -> AttributeRules:
    """Read a file of rules; one that does not exist has none.

    Raises ConfigError if it cannot be read, or with every problem found, one a line.
    """
    text = read_text(path)
    return AttributeRules((), path) if text is None else parse(text, path, known_groups)


def parse(text: str, path: Path, known_groups: Collection[str]) -> AttributeRules:
    """The rules in a text; `path` serves for messages, `all` and `none` need not be among the known groups.

    Raises ConfigError with every problem found, one a line.
    """
    return AttributeRules(parse_rules(text, path, _AttributeReader(known_groups), _AttributeReader.rule), path)


class _AttributeReader(RuleReader):
    def rule(self, table: Table) -> Rule:
        """What a table of the file says."""
        given = self._given(table)
        sources = self.names("source", given.get("source"), _source_problem)
        return Rule(
            line=table.line,
            names=self.paths(given.get("path")) or sources,
            groups=self.groups(given.get("groups")),
            owner=self.account("owner", given.get("owner")),
            group=self.account("group", given.get("group")),
            mode=self.mode(given.get("mode")),
            validate=self.validate(given.get("validate")),
            sensitive=self.truth("sensitive", given.get("sensitive")),
            follow=self.truth("follow", given.get("follow")),
        )

    def _given(self, table: Table) -> dict[str, Value]:
        """The values of the keys that mean something; what is missing is a problem."""
        given, misspelt = self.keys(table, _KEYS)
        if "path" in given and "source" in given:
            self.problem(table.line, "both 'path' and 'source': expected one of them")
        if misspelt:
            return given
        if "path" not in given and "source" not in given:
            self.problem(table.line, "neither 'path' nor 'source': expected one of them")
        if not any(attribute in given for attribute in ATTRIBUTES):
            self.problem(table.line, f"no attribute: expected at least one of {', '.join(ATTRIBUTES)}")
        return given

    def account(self, key: str, value: Value | None) -> str | None:
        word = self.word(key, value, "a name or a number")
        if value is not None and word is not None and not is_account(word):
            self.problem(
                value.line,
                f"'{key}' expects a name without ':' or a number up to {LARGEST_ID}, not {describe(value)}",
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
            value.line, f"'mode' expects an octal number up to 7777{without}, like \"0644\", not {describe(value)}"
        )
        return None

    def validate(self, value: Value | None) -> str | None:
        word = self.word("validate", value, "a command like 'visudo -cf %s'")
        if value is None or word is None:
            return None
        if word.count("%s") != 1:
            self.problem(value.line, f"'validate' expects a command with one %s for the file, not {describe(value)}")
        elif re.search("['\"]%s|%s['\"]", word):
            self.problem(
                value.line, f"'validate' expects %s without quotes, they are put around it, not {describe(value)}"
            )
        elif not word.isprintable():
            self.problem(value.line, f"'validate' expects one line without control characters, not {describe(value)}")
        return word

    def truth(self, key: str, value: Value | None) -> bool | None:
        word = self.word(key, value, "yes or no")
        if value is None or word is None:
            return None
        if word.lower() not in TRUTHS:
            self.problem(value.line, f"'{key}' expects yes or no, not {describe(value)}")
        return TRUTHS.get(word.lower())


def _source_problem(name: str) -> str | None:
    if not name.startswith("overlay/"):
        return "expected a source below the masterdir, like overlay/etc/fstab._all"
    return name_problem(name)
