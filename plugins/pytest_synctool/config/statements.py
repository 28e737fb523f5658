"""The statements of a configuration, read from either spelling, synctool.conf or synctool.yaml.

synctool.conf has one statement per line. `#` starts a comment, and a backslash at the end of a line continues it. YAML
has a key for each keyword.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from pytest_synctool.common.wording import close_match, nearest
from pytest_synctool.common.yaml_values import Items, Table, Text, Value
from pytest_synctool.config import later_keywords
from pytest_synctool.config.model import Place


class Complain(Protocol):
    """A function that takes a problem. With `hides_names`, nodes or groups of the line may be unknown now."""

    def __call__(self, place: Place, message: str, *, hides_names: bool = False) -> None: ...


class Shape(Enum):
    """The kind of arguments that follow a keyword."""

    WORDS = auto()
    TEXT = auto()  # one text, including blanks
    WORD_AND_TEXT = auto()


@dataclass(frozen=True, slots=True)
class Statement:
    """A keyword with its arguments, at least one. Aliases are replaced by the keyword that they stand for.

    `value` is that of a variable: the last argument, or a list or table, which only YAML has.
    """

    place: Place
    keyword: str
    arguments: tuple[str, ...]
    value: Value | None = None


VARIABLE: Final = "var"
# Keywords with a word and a text behind it, and the description of both.
_PAIRS: Final = {"on_update": "a path and a command", VARIABLE: "a name and a value"}
INCLUDE_NODES: Final = "include_nodes"
LISTED: Final = ("always_run", INCLUDE_NODES)
"""Keywords with a command, which takes the rest of a line: a list in YAML has a statement for each item."""
SHAPES: Final = {
    **dict.fromkeys(
        ("node", "group", "ignore_node", "ignore_group", "ignore", "include", "default_nodeset"), Shape.WORDS
    ),
    **dict.fromkeys(
        ("masterdir", "layout", "num_proc", "ignore_dotfiles", "ignore_dotdirs", "require_extension"), Shape.TEXT
    ),
    **dict.fromkeys(("symlink_mode", "logfile"), Shape.TEXT),
    **dict.fromkeys(("backup_copies", "syslogging", "colorize", "ssh_control_persist"), Shape.TEXT),
    **dict.fromkeys((*later_keywords.DIRECTORIES, *later_keywords.WITHOUT_EFFECT), Shape.TEXT),
    **dict.fromkeys(("ssh_cmd", "scp_cmd", "rsync_cmd", "diff_cmd", "synctool_cmd", *LISTED), Shape.TEXT),
    **dict.fromkeys(_PAIRS, Shape.WORD_AND_TEXT),
}
NAME_EXPECTED: Final = "expected letters, digits and . _ + -"
ALIASES: Final = {
    "host": "node",
    "ignore_host": "ignore_node",
    **dict.fromkeys(("ignore_file", "ignore_files", "ignore_dir", "ignore_dirs"), "ignore"),
}
# Statements that name nodes and groups, or files that may do so.
_NAMING: Final = ("node", "host", "group", "include", INCLUDE_NODES)


def is_yaml(path: Path) -> bool:
    """Return True if the name of a file is that of a YAML file."""
    return path.suffix in (".yaml", ".yml")


def read(text: str, path: Path, complain: Complain) -> Iterator[Statement]:
    """Yield the statements of a file. Pass each problem to `complain`. Raises NotYamlError."""
    return _of_yaml(text, path, complain) if is_yaml(path) else _of_conf(text, path, complain)


def _of_conf(text: str, path: Path, complain: Complain) -> Iterator[Statement]:
    for number, line in _logical_lines(text):
        place = Place(path, number)
        word, *rest = line.split(maxsplit=1)
        keyword = word.lower()
        keyword = ALIASES.get(keyword, keyword)
        shape = SHAPES.get(keyword)
        if shape is None:
            known = (*SHAPES, *ALIASES)
            hint = nearest(keyword, known) or f": expected one of {', '.join(SHAPES)}"
            complain(place, f"unknown keyword '{word}'{hint}", hides_names=close_match(keyword, known) in _NAMING)
        elif not rest:
            complain(place, f"'{keyword}' needs a value: add it, or remove this line")
        elif shape is Shape.WORD_AND_TEXT and len(rest[0].split(maxsplit=1)) < 2:
            complain(place, f"'{keyword}' needs {_PAIRS[keyword]}")
        else:
            most = {Shape.WORDS: -1, Shape.TEXT: 0, Shape.WORD_AND_TEXT: 1}[shape]
            arguments = tuple(rest[0].split(maxsplit=most)) if most else (rest[0],)
            yield Statement(place, keyword, arguments, Text(number, arguments[-1]) if keyword == VARIABLE else None)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each logical line that is not empty, without comments, after the number of its first physical line."""
    pending, start = "", 0
    # Only a newline ends a line: str.splitlines() would also cut at control characters inside a command.
    for number, line in enumerate([*text.split("\n"), ""], 1):
        line = line.rstrip("\r")
        start = start or number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        if stripped := _without_comment(pending + line).strip():
            yield start, stripped
        pending, start = "", 0


def _without_comment(line: str) -> str:
    """Remove a comment. It starts with `#`, at the start of a line or after white space."""
    return re.sub(r"(^|\s)#.*", "", line)


_NODE_KEYS: Final = ("groups", "interface", "ipaddress", "hostname", "connection", "rsync", "hostid")
# The YAML keys that differ from their keyword.
_YAML_KEYS: Final = {
    **{"nodes": "node", "groups": "group", "ignore_nodes": "ignore_node", "ignore_groups": "ignore_group"},
    "vars": VARIABLE,
}

YAML_KEYS: Final = (*_YAML_KEYS, *(keyword for keyword in SHAPES if keyword not in _YAML_KEYS.values()))


def _of_yaml(text: str, path: Path, complain: Complain) -> Iterator[Statement]:
    from pytest_synctool.common import yaml_parser  # slow to load, and most configurations are not YAML

    yield from _YamlReader(path, complain).statements(yaml_parser.parse(text))


class _Arguments(NamedTuple):
    line: int
    words: tuple[str, ...]


@dataclass
class _YamlReader:
    path: Path
    complain: Complain
    _keyword: str = ""  # of the value that is read

    def _problem(self, line: int, message: str, *, hides_names: bool = False) -> None:
        """Report a problem. Every problem below a keyword that names nodes and groups hides names."""
        hides_names = hides_names or self._keyword in _NAMING
        self.complain(Place(self.path, line), message, hides_names=hides_names)

    def statements(self, root: Value) -> Iterator[Statement]:
        """Yield the statements of a file. A list makes one statement, a table one for each row."""
        for key, value in self._rows(root, "the file", YAML_KEYS):
            self._keyword = keyword = _YAML_KEYS.get(key.text, key.text)
            if keyword == VARIABLE:
                yield from self._variables(value)
                continue
            for arguments in self._arguments(key, keyword, value):
                place = Place(self.path, arguments.line)
                if all(arguments.words) and arguments.words:
                    yield Statement(place, keyword, arguments.words)
                else:
                    self._problem(arguments.line, f"'{key.text}' needs a value: add it, or remove this key")
            self._keyword = ""

    def _arguments(self, key: Text, keyword: str, value: Value) -> Iterable[_Arguments]:
        if key.text == "nodes":
            return self._nodes(value)
        if key.text == "groups":
            return self._groups(value)
        if keyword == "on_update":
            return self._on_update(value)
        if keyword in LISTED:
            return [_Arguments(value.line, (word,)) for word in self._words(value, f"'{key.text}'")]
        if keyword == "ignore" or SHAPES[keyword] is Shape.WORDS:
            return [_Arguments(value.line, tuple(self._words(value, f"'{key.text}'")))]
        return [_Arguments(key.line, tuple(self._word(value, f"'{key.text}'")))]

    def _groups(self, value: Value) -> Iterator[_Arguments]:
        for name, members in self._rows(value, "'groups'"):
            yield _Arguments(name.line, (name.text, *self._words(members, f"group '{name.text}'")))

    def _nodes(self, value: Value) -> Iterator[_Arguments]:
        for name, node in self._rows(value, "'nodes'"):
            where = f"node '{name.text}'"
            if not isinstance(node, Table):
                yield _Arguments(name.line, (name.text, *self._words(node, where, may_be_empty=True)))
                continue
            groups: list[str] = []
            specifiers: list[str] = []
            for key, detail in self._rows(node, where, _NODE_KEYS):
                if key.text == "groups":
                    groups = self._words(detail, f"the groups of {where}", may_be_empty=True)
                    for group in (group for group in groups if ":" in group):
                        self._problem(detail.line, f"'{group}' is not a group name: {NAME_EXPECTED}")
                else:
                    specifiers += [f"{key.text}:{word}" for word in self._word(detail, f"'{key.text}' of {where}")]
            yield _Arguments(name.line, (name.text, *groups, *specifiers))

    def _variables(self, value: Value) -> Iterator[Statement]:
        for name, each in self._rows(value, "'vars'"):
            yield Statement(Place(self.path, name.line), VARIABLE, (name.text,), each)

    def _on_update(self, value: Value) -> Iterator[_Arguments]:
        if not isinstance(value, Items):
            self._expected(value, "'on_update'", "a list of tables with path and command")
            return
        for item in value.items:
            rows = {
                key.text: self._word(text, f"'{key.text}'")
                for key, text in self._rows(item, "'on_update'", ("path", "command"))
            }
            if set(rows) == {"path", "command"}:
                yield _Arguments(item.line, (*rows["path"], *rows["command"]))
            elif isinstance(item, Table):
                self._problem(item.line, "'on_update' needs a path and a command")

    def _rows(self, value: Value, where: str, known: Iterable[str] | None = None) -> Iterator[tuple[Text, Value]]:
        """Yield the rows of a table. Report rows with an unknown or repeated key and leave them out."""
        if not isinstance(value, Table):
            self._expected(value, where, "a table")
            return
        lines: dict[str, int] = {}
        for key, cell in value.rows:
            if known is not None and key.text not in known:
                known = tuple(known)
                hint = nearest(key.text, known) or f": expected one of {', '.join(known)}"
                hides_names = _YAML_KEYS.get(close_match(key.text, known)) in _NAMING
                self._problem(key.line, f"unknown keyword '{key.text}' in {where}{hint}", hides_names=hides_names)
            elif key.text in lines:
                message = f"'{key.text}' appears twice, first on line {lines[key.text]}: remove one"
                self._problem(key.line, message, hides_names=_YAML_KEYS.get(key.text) in _NAMING)
            else:
                lines[key.text] = key.line
                yield key, cell

    def _words(self, value: Value, where: str, *, may_be_empty: bool = False) -> list[str]:
        """Return the words of a list, or a single word."""
        if isinstance(value, Items):
            return [word for item in value.items for word in self._word(item, where)]
        if may_be_empty and value == Text(value.line, ""):
            return []
        return self._word(value, where)

    def _word(self, value: Value, where: str) -> list[str]:
        if isinstance(value, Text) and "\0" not in value.text and "\n" not in value.text:
            return [value.text]
        self._expected(value, where, "a text on one line")
        return []

    def _expected(self, value: Value, where: str, expected: str) -> None:
        actual = {Text: "a text", Items: "a list", Table: "a table"}[type(value)]
        if isinstance(value, Text) and "\n" in value.text:
            actual = "several lines"
        self._problem(value.line, f"{where}: expected {expected}, not {actual}")


def to_yaml(statements: Iterable[Statement]) -> str:
    """Return the statements of a valid configuration as YAML, without comments."""
    from pytest_synctool.common import yaml_parser

    document: dict[str, Any] = {}
    yaml_keys = {keyword: key for key, keyword in _YAML_KEYS.items()}
    for statement in statements:
        key = yaml_keys.get(statement.keyword, statement.keyword)
        first, *rest = statement.arguments
        if key == "nodes":
            document.setdefault(key, {})[first] = _node_as_yaml(rest)
        elif key == "groups":
            document.setdefault(key, {})[first] = rest
        elif key == "vars":
            document.setdefault(key, {})[first] = rest[0]
        elif key == "on_update":
            document.setdefault(key, []).append({"path": first, "command": rest[0]})
        elif SHAPES[statement.keyword] is Shape.WORDS or key in LISTED:
            document.setdefault(key, []).extend(statement.arguments)
        else:
            document[key] = _plain(first)
    return yaml_parser.dump(document, block=False)


def _node_as_yaml(words: Sequence[str]) -> Any:
    groups = [word for word in words if ":" not in word]
    if len(groups) == len(words):
        return groups
    specifiers = {key: _plain(value) for key, _, value in (word.partition(":") for word in words if ":" in word)}
    return {"groups": groups, **specifiers} if groups else specifiers


def _plain(value: str) -> str | int | bool:
    """Return a value as the number or truth that YAML reads back as the same text, else as text."""
    if value in ("yes", "no"):
        return value == "yes"
    return int(value) if value.isascii() and value.isdecimal() and str(int(value)) == value else value
