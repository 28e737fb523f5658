"""pyinfra: a deploy with an operation for each entry, `--dry`."""

from __future__ import annotations

import re
from typing import Final

from tests_meta.bench.peers.task import GROUP, OWNER, Call, Seen, Task

# Beside an operation's name: in how many nodes, and in which, it would change something, and the same if something
# else changes first; a dash where there are none.
_OPERATION: Final = re.compile(r"^ +(/\S+)  +(\S.*)$", re.MULTILINE)
_NODES: Final = re.compile(r"\d+ \(([^)]+)\)")
_READY: Final = re.compile(r"^ +\[\S+\] Ready: ", re.MULTILINE)


def dry(task: Task) -> Call:
    """Without -y, with which no changes are looked for."""
    known_hosts = task.ssh_config.parent / "keys" / "known_hosts"
    data = {"ssh_config_file": str(task.ssh_config), "ssh_known_hosts_file": str(known_hosts), "ssh_user": "root"}
    (task.directory / "inventory.py").write_text(f"nodes = ({list(task.nodes)!r}, {data!r})\n")
    lines = ["from pyinfra.operations import files"]
    for entry in task.entries:
        attributes = f"name={entry.path!r}, user={OWNER!r}, group={GROUP!r}, mode='{entry.mode:o}'"
        if entry.source:
            lines.append(f"files.put(src={str(entry.source)!r}, dest={entry.path!r}, {attributes})")
        else:
            lines.append(f"files.directory(path={entry.path!r}, {attributes})")
    (task.directory / "deploy.py").write_text("\n".join(lines) + "\n")
    return Call([str(task.programs / "pyinfra"), "--dry", "inventory.py", "deploy.py"], parse)


def parse(output: str) -> Seen:
    """A line for each operation that names the nodes which it would change; all nodes have to be ready before."""
    operations = _OPERATION.findall(output)
    drifted = {
        (node, path) for path, columns in operations for nodes in _NODES.findall(columns) for node in nodes.split(", ")
    }
    return Seen(len(operations) * len(_READY.findall(output)), frozenset(drifted))
