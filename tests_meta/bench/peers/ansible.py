"""ansible-core: a playbook of two looped tasks in check mode, with its own strategy or with mitogen's."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, Final

from tests_meta.bench.peers.task import GROUP, OWNER, Call, Entry, Seen, Task
from tests_meta.bench.ssh_nodes import FANOUT

_RESULT: Final = re.compile(r"^(ok|changed): \[(\S+)\] => \(item=(\S+)\)$", re.MULTILINE)
_CONFIG: Final = """\
[defaults]
inventory = inventory.ini
forks = {forks}
gathering = explicit
local_tmp = {directory}/tmp

[ssh_connection]
pipelining = True
ssh_args = {ssh_args}
control_path_dir = {directory}
"""


def plain(task: Task) -> Call:
    """ansible-core with the strategy `linear`."""
    return _call(task, {})


def mitogen(task: Task) -> Call:
    """ansible-core with the strategy `mitogen_linear`."""
    plugins = next(task.programs.parent.glob("lib/python*/site-packages/ansible_mitogen/plugins/strategy"))
    return _call(task, {"ANSIBLE_STRATEGY_PLUGINS": str(plugins), "ANSIBLE_STRATEGY": "mitogen_linear"})


def _call(task: Task, env: dict[str, str]) -> Call:
    ssh_args = shlex.join(["-F", str(task.ssh_config), "-oControlMaster=auto", "-oControlPersist=60s"])
    config = _CONFIG.format(forks=FANOUT, directory=task.directory, ssh_args=ssh_args)
    (task.directory / "ansible.cfg").write_text(config)
    lines = ["[all]", *task.nodes, "[all:vars]", f"ansible_python_interpreter={task.python}"]
    (task.directory / "inventory.ini").write_text("\n".join(lines) + "\n")
    (task.directory / "playbook.json").write_text(json.dumps(_playbook(task)))
    argv = [str(task.programs / "ansible-playbook"), "--check", "--diff", "playbook.json"]
    env |= {"ANSIBLE_CONFIG": str(task.directory / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    return Call(argv, parse, env)


def _playbook(task: Task) -> list[dict[str, Any]]:
    directory = {"path": "{{ item.path }}", "state": "directory"}
    file = {"dest": "{{ item.path }}", "src": "{{ item.src }}"}
    tasks = [
        _task("ansible.builtin.file", directory, [entry for entry in task.entries if entry.source is None]),
        _task("ansible.builtin.copy", file, [entry for entry in task.entries if entry.source]),
    ]
    return [{"hosts": "all", "gather_facts": False, "tasks": tasks}]


def _task(module: str, arguments: dict[str, str], entries: list[Entry]) -> dict[str, Any]:
    return {
        module: arguments | {"owner": OWNER, "group": GROUP, "mode": "{{ item.mode }}"},
        "loop": [{"path": e.path, "mode": f"{e.mode:04o}", "src": str(e.source or "")} for e in entries],
        "loop_control": {"label": "{{ item.path }}"},
    }


def parse(output: str) -> Seen:
    """A line for each item; in check mode `changed` is what would have been."""
    found = _RESULT.findall(output)
    return Seen(len(found), frozenset((node, path) for word, node, path in found if word == "changed"))
