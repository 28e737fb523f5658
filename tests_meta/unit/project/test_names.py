"""Names in the package: a class name stands for one thing, and names say what a value is."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest_synctool

PACKAGE = Path(pytest_synctool.__file__).parent
# Names that only say that somebody looked or spoke.
VAGUE = {"found", "told", "said", "given", "those"}
# Change.found is public: suites of their own read it.
PUBLIC = {("model.py", "found")}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Yield each node of each module's syntax tree, with the module's path in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            yield str(path.relative_to(PACKAGE)), node


def defined(node: ast.AST) -> str | None:
    """Return the name that a node gives to a value or a function."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return node.attr
    if isinstance(node, ast.arg):
        return node.arg
    return node.name if isinstance(node, ast.FunctionDef) else None


def test_no_class_name_is_used_twice() -> None:
    counts = Counter(node.name for _, node in nodes() if isinstance(node, ast.ClassDef))
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_name_is_vague() -> None:
    vague = {(path, name) for path, node in nodes() if (name := defined(node)) is not None and name.strip("_") in VAGUE}
    assert vague == PUBLIC
