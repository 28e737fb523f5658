"""A waivers.yaml for the copy of the masterdir on one node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pytest_synctool.common.yaml_values import quoted
from pytest_synctool.model import Node
from pytest_synctool.repository.patterns import escape
from pytest_synctool.repository.waivers.rules import Waiver, Waivers

_HEADER: Final = "# What the master's waivers.yaml says of what this node has. Every --fix from there may replace it."


def mirror_text(waivers: Waivers, node: Node, destinations: Iterable[bytes]) -> str:
    """The text of a waivers.yaml that says of these destinations what the waivers say of them on a node; or nothing.

    It names neither other nodes nor groups, and no patterns, so that nothing else is told by it.
    """
    covered: dict[Waiver, list[bytes]] = {waiver: [] for waiver in waivers.waivers if waiver.holds_for(node)}
    for path in destinations if covered else ():
        for waiver in waivers.matching(path):
            if waiver in covered:
                covered[waiver].append(path)
    lines = []
    for waiver, paths in covered.items():
        if paths:
            lines += ["- path:", *(f"  - {quoted(escape(path))}" for path in paths)]
            lines += ["  groups: all", f"  reason: {quoted(waiver.reason)}", f"  expires: {waiver.expires}"]
    return "\n".join((_HEADER, *lines, "")) if lines else ""
