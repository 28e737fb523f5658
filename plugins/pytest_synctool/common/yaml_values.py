"""The values of a YAML file: texts, lists and tables with line numbers.

The parser is a separate module because it is slow to load.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar. `null` without quotes is an empty text."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    line: int
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, in the order of the file. Keys can repeat."""

    line: int
    rows: tuple[tuple[Text, Value], ...]


Value = Text | Items | Table


class NotYamlError(Exception):
    """A text is not YAML, or uses an unsupported feature of YAML, on a line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def quoted(text: str) -> str:
    """Return a word in double quotes. PyYAML would be too slow for thousands of names on every node."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        escaped = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped)
    return f'"{escaped}"'
