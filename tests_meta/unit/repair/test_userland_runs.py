"""A whole cycle with other programs and shells than those of most nodes: drift is seen, repaired, and seen no more."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pytest_synctool.audit.compare import compare, compare_absent
from pytest_synctool.audit.probe import Request, parse, script
from pytest_synctool.common.shell import whole
from pytest_synctool.model import ABSENT, Actual, Kind, Unknown
from pytest_synctool.repair.plan import plan
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Tree

from tests_meta.unit.disk_node import EXPECTED, DiskNode
from tests_meta.unit.helpers import IS_ROOT, Shell, state

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="sets owners, needs root")

DRIFT = (
    "rm -rf file link directory",
    "rm -rf *; mkdir file; echo x >link; echo x >directory; echo x >delete",
    "echo old >file; chmod 600 file; chown 1:1 file",
    "ln -sfn elsewhere link; chown -h 1:1 link",
    "chmod 700 directory; chown 1:1 directory; echo >delete",
    "rm -rf *; ln -s file file; ln -s link link; ln -s directory directory; ln -s delete delete",
    "rm -rf file; ln -s $(printf %0255d 0)/x file",
    "rm -rf *; mkfifo file link delete",
    "rm -rf *; ln -s above above",
    "rm -rf *; ln -s ./elsewhere above; ln -s above elsewhere",
)


def audited(node: DiskNode, *entries: Entry) -> dict[bytes, Actual]:
    """Return what the node's own programs say of the paths of entries."""
    requests = []
    for entry in entries:
        expected = entry.expected if entry.tree is Tree.OVERLAY else ABSENT
        size = entry.expected.size if expected is not ABSENT and entry.expected.kind is Kind.FILE else None
        requests.append(Request(entry.destination, size, expected=expected))
    return parse(requests, node.shell.run(whole(script(requests))).stdout)


def drifted(node: DiskNode, *entries: Entry) -> list[Entry]:
    """Return the entries that an audit by the node's own programs finds different."""
    actual = audited(node, *entries)
    different = []
    for entry in entries:
        state_ = actual[entry.destination]
        assert not isinstance(state_, Unknown), (entry.destination, state_)
        if compare(entry.expected, state_) if entry.tree is Tree.OVERLAY else compare_absent(state_):
            different.append(entry)
    return different


def test_a_cycle_of_every_kind_of_drift(userland: Shell, open_directory: Path) -> None:
    node = DiskNode.make(userland, open_directory)
    file = state(mode=0o640, uid=4242, gid=4243, owner=None, group=None, md5="22af645d1859cb5ca6da0c484f1f37ea")
    entries = [
        node.entry("file", file),
        node.entry("link", EXPECTED["link"]),
        node.entry("directory", EXPECTED["directory"]),
        node.entry("above", state(Kind.DIRECTORY, mode=0o755)),
        node.entry("above/file", file),
        node.delete("delete"),
        node.delete("above/delete"),
    ]
    overlay = {entry.destination: entry for entry in entries if entry.tree is Tree.OVERLAY}
    for drift in DRIFT:
        subprocess.run(["sh", "-c", f"rm -rf *.saved; {drift}"], cwd=node.files, check=True)
        different = drifted(node, *entries)
        assert different == [entry for entry in entries if node.changes(entry)], drift
        assert different, drift
        actual = audited(node, *entries)
        pairs = [(entry, actual[entry.destination]) for entry in different]
        failures = [
            result.failure if result else "did not run"
            for result in node.carry_out(plan(pairs, overlay, os.fsencode(node.master)))  # type: ignore[arg-type]
        ]
        assert failures == [None] * len(failures), (drift, failures)
        assert drifted(node, *entries) == [], drift
        if "chmod 600 file" in drift:
            assert (node.files / "file.saved").stat().st_mode & 0o7777 == 0o600
