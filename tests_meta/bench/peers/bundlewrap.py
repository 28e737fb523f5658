"""bundlewrap: `bw verify` on a repository of one bundle."""

from __future__ import annotations

import re
import shlex
import shutil
from typing import Any, Final

from tests_meta.bench.peers.task import GROUP, OWNER, Call, Seen, Task
from tests_meta.bench.ssh_nodes import FANOUT

_RESULT: Final = re.compile(r"^([✓✘]) (\S+)  \S+  (?:file|directory):(\S+)", re.MULTILINE)
_ITEMS_AT_ONCE: Final = 64  # with 4, its usual number, it takes more than twice as long


def verify(task: Task) -> Call:
    """All items of all nodes; `-a` has it name those as well that are as they should be."""
    nodes = {name: {"hostname": name, "bundles": ["site"], "os": "debian", "os_version": (12,)} for name in task.nodes}
    (task.directory / "nodes.py").write_text(f"nodes = {nodes!r}\n")
    (task.directory / "groups.py").write_text("groups = {}\n")
    bundle = task.directory / "bundles" / "site"
    sources = bundle / "files"
    sources.mkdir(parents=True)
    files: dict[str, dict[str, Any]] = {}
    directories: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(task.entries):
        attributes = {"owner": OWNER, "group": GROUP, "mode": f"{entry.mode:04o}"}
        if entry.source:
            shutil.copyfile(entry.source, sources / str(number))
            files[entry.path] = attributes | {"content_type": "binary", "source": str(number)}
        else:
            directories[entry.path] = attributes
    (bundle / "items.py").write_text(f"files = {files!r}\ndirectories = {directories!r}\n")
    argv = [str(task.programs / "bw"), "verify", "-a", "-p", str(FANOUT), "-P", str(_ITEMS_AT_ONCE), *task.nodes]
    options = shlex.join(["-F", str(task.multiplexed)])
    env = {"BW_SSH_ARGS": options, "BW_SCP_ARGS": options, "LC_ALL": "C.UTF-8"}
    return Call(argv, parse, env)


def parse(output: str) -> Seen:
    """A line for each item: a tick if it is as it should be."""
    found = _RESULT.findall(output)
    return Seen(len(found), frozenset((node, path) for mark, node, path in found if mark == "✘"))
