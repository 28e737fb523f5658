"""The nodes and groups that ignore_node and ignore_group leave out of runs.

synctool 4.x took names here that nothing else in the configuration had. They are notices: such lines stay behind when
a node or a group goes away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_synctool.common.wording import Hints
from pytest_synctool.config.model import IMPLICIT_GROUPS, ConfigNotice, Place

RULE = "ignored-name"


@dataclass(frozen=True, slots=True)
class IgnoreLine:
    """A line of ignore_node or ignore_group with its names, ranges expanded."""

    place: Place
    names: tuple[str, ...]


@dataclass
class Ignored:
    """The nodes and groups that all lines together leave out, and what is odd about the lines."""

    nodes: set[str] = field(default_factory=set)
    groups: dict[str, Place] = field(default_factory=dict)
    notices: list[ConfigNotice] = field(default_factory=list)

    def add_nodes_of_none(self, lines: Mapping[Place, Sequence[str]]) -> None:
        """Leave out the nodes that are in the group `none`, by the line that defines them, as synctool 4.x did."""
        for place, names in lines.items():
            self.nodes.update(names)
            node = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
            message = f"node {node} is in the group 'none', and so ignored: write 'ignore_node' instead"
            self.notices.append(ConfigNotice(RULE, place, names[0], message))


def resolve(
    node_lines: Iterable[IgnoreLine],
    group_lines: Iterable[IgnoreLine],
    nodes: Collection[str],
    groups: Collection[str],
    complain: Callable[[Place, str], None],
) -> Ignored:
    """Return what the lines leave out. Pass each impossible name to `complain`.

    `nodes` and `groups` are the names in the rest of the configuration. A line `ignore_node GROUP...` ignores the
    group, as in synctool 4.x. A group behind a node does not: that is a `node` line that was turned into a comment.
    """
    ignored, hints = Ignored(), Hints()
    for line in node_lines:
        ignored.nodes.update(name for name in line.names if name in nodes)
        ignored.notices += _node_notices(line, ignored, nodes, groups, hints, complain)
    for line in group_lines:
        for name in line.names:
            if name == "all":
                complain(line.place, f"'ignore_group {name}': a built-in group cannot be ignored")
            elif name == "none":
                message = "'ignore_group none' has no effect, since no run has a node of this group: remove it"
                ignored.notices.append(ConfigNotice(RULE, line.place, name, message))
            elif name in nodes:
                ignored.nodes.add(name)
                message = f"'{name}' is a node, which is ignored: write 'ignore_node {name}'"
                ignored.notices.append(ConfigNotice(RULE, line.place, name, message))
            else:
                ignored.groups.setdefault(name, line.place)
                if name not in groups:
                    hint = hints.nearest("group", name, groups)
                    message = f"'ignore_group {name}': no node has this group{hint}: correct it, or remove it"
                    ignored.notices.append(ConfigNotice(RULE, line.place, name, message))
    return ignored


def _node_notices(
    line: IgnoreLine,
    ignored: Ignored,
    nodes: Collection[str],
    groups: Collection[str],
    hints: Hints,
    complain: Callable[[Place, str], None],
) -> Iterator[ConfigNotice]:
    unknown = [name for name in line.names if name not in nodes and name not in IMPLICIT_GROUPS]
    if line.names[:1] == ("all",):
        complain(line.place, "'ignore_node all': nothing would be left: name the nodes")
    if unknown and unknown[0] == line.names[0] and unknown[0] in groups:
        group = unknown.pop(0)
        ignored.groups.setdefault(group, line.place)
        message = f"'{group}' is a group, whose nodes are ignored: write 'ignore_group {group}'"
        yield ConfigNotice(RULE, line.place, group, message)
    if unknown:
        # Several names are a `node` line of the past. A hint at the name of another node would be wrong.
        hint = hints.nearest("node", unknown[0], nodes) if len(line.names) == 1 else ""
        names = ", ".join(f"'{name}'" for name in unknown)
        kind = "node" if len(unknown) == 1 else "nodes"
        message = f"no such {kind} {names}{hint}, which 'ignore_node' leaves out: correct it, or remove it"
        yield ConfigNotice(RULE, line.place, unknown[0], message)
