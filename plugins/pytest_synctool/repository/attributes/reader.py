"""Read attributes.yaml into rules, or raise an error that names every mistake in it with its line."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_synctool.common import acl
from pytest_synctool.common.capabilities import canonical, is_settable
from pytest_synctool.common.trust import EVERYBODY, Trust
from pytest_synctool.common.wording import TRUTHS, printable_text
from pytest_synctool.common.yaml_values import Items, Table, Text, Value
from pytest_synctool.config import command_line
from pytest_synctool.errors import TrustError
from pytest_synctool.repository.attributes.rules import ATTRIBUTES, LARGEST_ID, AttributeRules, Rule, is_account
from pytest_synctool.repository.patterns import is_pattern
from pytest_synctool.repository.rule_file import RuleReader, RuleValues, describe, name_problem, parse_rules, read_text

_TREE: Final = "tree"
_RESTORE: Final = "restore"
_KEYS: Final = ("path", "source", "groups", *ATTRIBUTES)


def load(path: Path, known_groups: Collection[str] | None, trust: Trust | None = None) -> AttributeRules:
    """Read a file of rules. A file that does not exist has no rules. With `known_groups` None, any group is accepted.

    Raises ConfigError if it cannot be read, or with a line for each mistake.
    """
    text = read_text(path, trust)
    return AttributeRules((), path) if text is None else parse(text, path, known_groups, trust)


def parse(text: str, path: Path, known_groups: Collection[str] | None, trust: Trust | None = None) -> AttributeRules:
    """Return the rules in a text. `path` is for messages. `known_groups` need not have `all` and `none`.

    `trust` says whose programs `decrypt` may run; without it, this is not judged. Raises ConfigError with a line for
    each mistake.
    """
    reader = _AttributeReader(known_groups, trust=trust, masterdir=path.parent)
    return AttributeRules(parse_rules(text, path, reader, _AttributeReader.rule), path)


@dataclass
class _AttributeReader(RuleReader):
    trust: Trust | None = None
    masterdir: Path = field(default_factory=Path)

    def rule(self, table: Table) -> Rule:
        """Return the rule of a table."""
        values = self._values(table)
        sources = self.names("source", values.get("source"), _source_problem)
        return Rule(
            line=table.line,
            names=self.paths(values.get("path")) or sources,
            groups=self.groups(values.get("groups")),
            owner=self.account("owner", values.get("owner")),
            group=self.account("group", values.get("group")),
            mode=self.mode(values.get("mode")),
            validate=self.validate(values.get("validate")),
            sensitive=self.truth("sensitive", values.get("sensitive")),
            follow=self.truth("follow", values.get("follow")),
            template=self.truth("template", values.get("template")),
            decrypt=self.decrypt(values.get("decrypt")),
            in_place=self.truth("in_place", values.get("in_place")),
            capabilities=self.capabilities(values.get("capabilities")),
            acl=self.acl(values.get("acl")),
            selinux=self.selinux(values.get("selinux")),
            exclusive=self.exclusive(values.get("exclusive")),
            allow=self.allow(values.get("allow")),
            although_vital=self.although_vital(values),
        )

    def _values(self, table: Table) -> RuleValues:
        """Return the values of a rule. Missing keys are noted as problems."""
        values = self.keys(table, _KEYS)
        if "path" in values and "source" in values:
            self.problem(table.line, "both 'path' and 'source': expected one of them")
        if values.misspelt:
            return values
        if "path" not in values and "source" not in values:
            self.problem(table.line, "neither 'path' nor 'source': expected one of them")
        if not any(attribute in values for attribute in ATTRIBUTES):
            self.problem(table.line, f"no attribute: expected at least one of {', '.join(ATTRIBUTES)}")
        return values

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

    def capabilities(self, value: Value | None) -> str | None:
        word = self.word("capabilities", value, "capabilities like cap_net_bind_service=ep, or none")
        if value is None or word is None:
            return None
        text = canonical(word)
        if text is None or not word:
            self.problem(
                value.line, f"'capabilities' expects text like cap_net_bind_service=ep, or none, not {describe(value)}"
            )
        elif not is_settable(text):
            self.problem(value.line, f"'capabilities' expects 'e' for all or none of them, not {describe(value)}")
        return text

    def acl(self, value: Value | None) -> str | None:
        word = self.word("acl", value, "entries like user:anna:rw,default:group:adm:r, or none")
        if value is None or word is None:
            return None
        text = acl.canonical(word)
        if text is None or not word:
            self.problem(
                value.line,
                f"'acl' expects entries like user:anna:rw,default:group:adm:r, or none, not {describe(value)}",
            )
        return text

    def selinux(self, value: Value | None) -> str | None:
        word = self.word("selinux", value, _RESTORE)
        if value is not None and word is not None and word != _RESTORE:
            self.problem(value.line, f"'selinux' expects {_RESTORE}, not {describe(value)}")
        return word

    def exclusive(self, value: Value | None) -> str | None:
        word = self.word("exclusive", value, "yes, tree or no")
        if value is None or word is None or word.lower() == _TREE:
            return None if word is None else _TREE
        if word.lower() not in TRUTHS:
            self.problem(value.line, f"'exclusive' expects yes, tree or no, not {describe(value)}")
        return "yes" if TRUTHS.get(word.lower()) else "no"

    def allow(self, value: Value | None) -> tuple[str, ...] | None:
        return None if value is None else self.names("allow", value, _allow_problem)

    def although_vital(self, values: RuleValues) -> bool | None:
        value = values.get("although_vital")
        is_meant = self.truth("although_vital", value)
        names = (values.get(key) for key in ("path", "source"))
        words = [
            word for name in names if name is not None for word in (name.items if isinstance(name, Items) else [name])
        ]
        if value is not None and is_meant and any(isinstance(word, Text) and is_pattern(word.text) for word in words):
            self.problem(value.line, "'although_vital' expects a rule that names the directory, without a pattern")
        return is_meant

    def decrypt(self, value: Value | None) -> str | None:
        word = self.word("decrypt", value, "a command like 'gpg --decrypt %s'")
        if value is None or word is None:
            return None
        try:
            words = command_line.split(word, self.trust or EVERYBODY, self.masterdir)
        except TrustError as error:
            self.problem(value.line, f"'decrypt': {error}")
        except ValueError as error:
            self.problem(value.line, f"'decrypt' is not a command line: {printable_text(str(error))}")
        else:
            if word.count("%s") != 1 or "%s" in words[0]:
                self.problem(value.line, f"'decrypt' expects a command with one %s for the file, not {describe(value)}")
            elif not word.isprintable():
                self.problem(
                    value.line, f"'decrypt' expects one line without control characters, not {describe(value)}"
                )
        return word

    def truth(self, key: str, value: Value | None) -> bool | None:
        word = self.word(key, value, "yes or no")
        if value is None or word is None:
            return None
        if word.lower() not in TRUTHS:
            self.problem(value.line, f"'{key}' expects yes or no, not {describe(value)}")
        return TRUTHS.get(word.lower())


def _allow_problem(name: str) -> str | None:
    if name.startswith("/"):
        return "expected a name or pattern below the directory, like *.local, without a slash in front"
    return name_problem(name)


def _source_problem(name: str) -> str | None:
    if not name.startswith(("overlay/", "purge/")):
        return "expected a source below the masterdir, like overlay/etc/fstab._all"
    return name_problem(name)
