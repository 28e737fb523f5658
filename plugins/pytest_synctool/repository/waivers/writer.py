"""The text of a waivers.yaml for the mirror of a node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pytest_synctool.common.yaml_values import quoted
from pytest_synctool.model import Node
from pytest_synctool.repository.entry import ExclusiveContents
from pytest_synctool.repository.exclusive import can_match
from pytest_synctool.repository.patterns import escape
from pytest_synctool.repository.waivers.rules import Waiver, Waivers

_MIRROR_HEADER: Final = "# The controller's waivers.yaml, reduced to this node. A later --fix may replace this file."


def mirror_text(
    waivers: Waivers, node: Node, destinations: Iterable[bytes], exclusive: Sequence[ExclusiveContents] = ()
) -> str:
    """Return the text of a waivers.yaml for a node with these destinations; empty if no waiver covers them.

    The text has neither other nodes nor groups, and no patterns but of names in its own exclusive directories, so that
    it reveals nothing about other nodes.
    """
    covered: dict[Waiver, list[str]] = {waiver: [] for waiver in waivers.waivers if waiver.holds_for(node)}
    for path in destinations if covered else ():
        for waiver in waivers.matching(path):
            if waiver in covered:
                covered[waiver].append(escape(path))
    for waiver, patterns in covered.items() if exclusive else ():
        patterns += [path for path in waiver.paths if any(can_match(path, each) for each in exclusive)]
    lines = []
    for waiver, patterns in covered.items():
        if patterns:
            lines += ["- path:", *(f"  - {quoted(pattern)}" for pattern in dict.fromkeys(patterns))]
            lines += ["  groups: all", f"  reason: {quoted(waiver.reason)}", f"  expires: {waiver.expires}"]
    return "\n".join((_MIRROR_HEADER, *lines, "")) if lines else ""
