"""A waivers.yaml for the copy of the masterdir on one node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pytest_synctool.model import Node
from pytest_synctool.patterns import as_name
from pytest_synctool.waivers.rules import Waivers
from pytest_synctool.yamlvalues import quoted

_HEADER: Final = "# What the master's waivers.yaml says of what this node has. Every --fix from there may replace it."


def exact(waivers: Waivers, node: Node, destinations: Sequence[bytes]) -> str:
    """The text of a waivers.yaml that says of these destinations what the waivers say of them on a node; or nothing.

    It names neither other nodes nor groups, and no patterns, so that nothing else is told by it.
    """
    lines = []
    for waiver in waivers.waivers:
        if not waiver.holds_for(node):
            continue
        if covered := [path for path in destinations if waiver in waivers.matching(path)]:
            lines += ["- path:", *(f"  - {quoted(as_name(path))}" for path in covered)]
            lines += ["  groups: all", f"  reason: {quoted(waiver.reason)}", f"  expires: {waiver.expires}"]
    return "\n".join((_HEADER, *lines, "")) if lines else ""
