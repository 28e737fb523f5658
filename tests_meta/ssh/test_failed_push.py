"""A push to the mirror that fails or is given up leaves no process on the controller."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests_meta.site import BY_RSYNC, Site


def processes_of(live: Site) -> list[int]:
    """Return the processes of this machine whose arguments name the masterdir, as the command of a push does."""
    name, space = os.fsencode(live.masterdir), os.readlink("/proc/self/ns/pid")
    ours = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
            is_ours = os.readlink(path.parent / "ns/pid") == space
        except OSError:  # it has ended
            continue
        if is_ours and name in words and b"synctool-new" in words:
            ours.append(int(path.parent.name))
    return ours


@pytest.mark.parametrize(
    "does", ["echo this is no rsync; exec sleep 300", "exec sleep 300"], ids=["says nonsense", "is silent"]
)
def test_rsync_on_the_node_does_not_end(live: Site, does: str) -> None:
    """The ssh of rsync ignores the signal with which rsync ends it, so that the reason can come. It ends all the same.

    What says nonsense is no rsync, so tar brings the files.
    """
    live.nodes = {"node1": "batch"}
    live.lines.append(BY_RSYNC)
    live.put("file._all")
    assert live.cluster is not None
    live.cluster.write("node1", "/usr/local/sbin/rsync", f"#!/bin/sh\n{does}\n".encode(), 0o755)
    try:
        run = live.pytest("--fix", "--node-timeout=3")
        assert (run.status, "files were brought by tar" in run.output) in ((0, True), (1, False)), run.output
        assert (run.status == 0) == does.startswith("echo")
        left = processes_of(live)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == []
    finally:
        live.sh("node1", "rm /usr/local/sbin/rsync")
