"""What a YAML file says: texts, lists and tables with their lines. The parser is apart, as it takes a while to load."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar. `null` without quotes is an empty one."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    line: int
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, in the order of the file; a key may stand there twice."""

    line: int
    rows: tuple[tuple[Text, Value], ...]


Value = Text | Items | Table


class NotYamlError(Exception):
    """The text is not YAML, or YAML that says nothing here; `line` is where."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def quoted(text: str) -> str:
    """A word in double quotes; YAML takes far too long for thousands of names on every node."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        escaped = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped)
    return f'"{escaped}"'
