"""testinfra, file by file: a test for each path, with a question to the node for each property."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Final

from tests_meta.bench.peers.task import GROUP, OWNER, Call, Seen, Task

WORKERS: Final = len(os.sched_getaffinity(0))
_RESULT: Final = re.compile(r"^(PASSED|FAILED) \S+?\[ssh://(\S+?)-(/\S+)\]", re.MULTILINE)
_TESTS: Final = """\
import json
from pathlib import Path

import pytest

ENTRIES = json.loads(Path(__file__).with_name("entries.json").read_text())


@pytest.mark.parametrize(("path", "mode", "md5"), ENTRIES, ids=[entry[0] for entry in ENTRIES])
def test_entry(host, path, mode, md5):
    file = host.file(path)
    assert file.is_directory if md5 is None else file.is_file
    assert file.user == {owner!r}
    assert file.group == {group!r}
    assert file.mode == mode
    if md5 is not None:
        assert file.md5sum == md5
"""


def multiplexed(task: Task) -> Call:
    """With one ssh connection per node, which takes settings of ssh that testinfra does not make by itself."""
    return _call(task, task.multiplexed)


def default(task: Task) -> Call:
    """As it comes: an ssh connection for each question."""
    return _call(task, task.ssh_config)


def _call(task: Task, ssh_config: Path) -> Call:
    entries = [(entry.path, entry.mode, _md5(entry.source)) for entry in task.entries]
    (task.directory / "entries.json").write_text(json.dumps(entries))
    (task.directory / "test_entries.py").write_text(_TESTS.format(owner=OWNER, group=GROUP))
    (task.directory / "pytest.ini").write_text("[pytest]\n")
    hosts = ",".join(f"ssh://{node}" for node in task.nodes)
    argv = [str(task.programs / "python"), "-m", "pytest", "-q", "-rfp", "--tb=no", "-p", "no:cacheprovider"]
    argv += [f"-n{WORKERS}", f"--hosts={hosts}", f"--ssh-config={ssh_config}", "test_entries.py"]
    return Call(argv, parse, statuses=(0, 1))


def _md5(source: Path | None) -> str | None:
    return hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest() if source else None


def parse(output: str) -> Seen:
    """A line for each test."""
    found = _RESULT.findall(output)
    return Seen(len(found), frozenset((node, path) for word, node, path in found if word == "FAILED"))
