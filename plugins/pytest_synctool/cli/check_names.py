"""The names of checks in the output of `synctool`, and in node ids."""

from __future__ import annotations

from pytest_synctool.audit.check import Check
from pytest_synctool.model import Node
from pytest_synctool.report.nodeids import encode
from pytest_synctool.report.record import SUITE


def check_name(check: Check) -> bytes:
    """Return the name of a check, as in node ids."""
    if check.command is None or check.is_task:
        return check.entry.destination
    return f"{check.command.kind}:".encode() + check.entry.destination


def nodeid(node: Node, check: Check) -> str:
    """Return the node id that the same check has in the suite of pytest."""
    kind, name = check.entry.tree.value, check_name(check)
    if check.command is not None and not check.is_task:
        kind = "always" if check.command.kind == "always" else "post"
        name = check.entry.destination if kind == "always" else name
    return f"{SUITE}{kind}.py::{node.name}::{encode(name)}"
