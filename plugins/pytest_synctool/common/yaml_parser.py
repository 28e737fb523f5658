"""A parser of YAML files that keeps line numbers, and a writer of YAML.

The value of a scalar is its text as written: `0644`, `on` and `1e3` stay texts, quoted or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import yaml

from pytest_synctool.common.yaml_values import Items, NotYamlError, Table, Text, Value

_DEEPEST: Final = 50
_TAGS: Final = ("str", "int", "float", "bool", "null", "timestamp", "seq", "map")
_PLAIN_NULL: Final = ("", "~", "null", "Null", "NULL")


def parse(text: str) -> Value:
    """Parse a document. An empty document is an empty Table. Raises NotYamlError.

    Anchors and aliases are supported, but not merge keys, tags and several documents in one file.
    """
    try:
        return _Tree().build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise NotYamlError(line, f"not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:  # a control character
        raise NotYamlError(_line_of(error, text), f"not YAML: {str(error).splitlines()[0]}") from error


# The parser in C is much faster but not always installed.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _line_of(error: yaml.YAMLError, text: str) -> int:
    position = getattr(error, "position", None)
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else 1


def dump(data: object, *, block: bool = True) -> str:
    """Return plain lists, tables, words, numbers and truths as YAML. No word is split over lines.

    With `block` every item has its own line. Without it, each innermost list and table is on one line.
    """
    style = False if block else None
    width = 1 << 30 if block else 120
    text: str = yaml.dump(
        data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, default_flow_style=style, width=width
    )
    return text


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes words with odd characters, because PyYAML loses some line separators."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if data.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)


class _Open:
    """A list or table whose end has not been read."""

    def __init__(self, line: int, anchor: str | None, is_table: bool) -> None:
        self.line = line
        self.anchor = anchor
        self.is_table = is_table
        self.values: list[Value] = []

    def close(self) -> Value:
        """Return the complete list or table."""
        if not self.is_table:
            return Items(self.line, tuple(self.values))
        rows: list[tuple[Text, Value]] = []
        for key, value in zip(self.values[::2], self.values[1::2], strict=True):
            if not isinstance(key, Text):
                raise NotYamlError(key.line, "a key must be a plain word")
            rows.append((key, value))
        return Table(self.line, tuple(rows))


class _Tree:
    """Builds the tree from the parser's events, without recursion, so a deeply nested file cannot exhaust the stack."""

    def __init__(self) -> None:
        self.open: list[_Open] = []
        self.anchors: dict[str, Value] = {}
        self.root: Value | None = None

    def build(self, events: Iterator[yaml.Event]) -> Value:
        """Return the tree of the events of one document."""
        for event in events:
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
                raise NotYamlError(line, "a second document: expected one")
            if isinstance(event, yaml.NodeEvent):
                self._node(event, line)
            elif isinstance(event, yaml.CollectionEndEvent):
                complete = self.open.pop()
                self._add(complete.close(), complete.anchor)
        empty = self.root is None or (isinstance(self.root, Text) and not self.root.text)
        return Table(1, ()) if empty or self.root is None else self.root

    def _node(self, event: yaml.NodeEvent, line: int) -> None:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise NotYamlError(line, f"'*{event.anchor}' refers to no anchor, or to a value that contains it")
            self._add(self.anchors[event.anchor], None)
            return
        tag = getattr(event, "tag", None)
        if tag not in (None, "!") and str(tag).removeprefix("tag:yaml.org,2002:") not in _TAGS:
            raise NotYamlError(line, f"the tag '{tag}' is not supported")
        if isinstance(event, yaml.ScalarEvent):
            null = event.style in (None, "") and event.value in _PLAIN_NULL
            self._add(Text(line, "" if null else event.value), event.anchor)
            return
        if len(self.open) == _DEEPEST:
            raise NotYamlError(line, f"lists and tables are nested more than {_DEEPEST} deep")
        self.open.append(_Open(line, event.anchor, isinstance(event, yaml.MappingStartEvent)))

    def _add(self, value: Value, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = value
        if self.open:
            self.open[-1].values.append(value)
        else:
            self.root = value
