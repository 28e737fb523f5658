"""A worker of xdist that is killed in the middle of repairs: its nodes are still at work, under their locks."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from tests_meta.gate import MakeGate, running
from tests_meta.site import Site


def worker_at(controller: int, node: str) -> int:
    """The worker that has an ssh to a node."""
    for process in Path("/proc").glob("[0-9]*"):
        words = read(process / "cmdline").split(b"\0")
        if words[0].endswith(b"ssh") and node.encode() in words:
            line = list(ancestors(int(process.name)))
            if controller in line:
                return line[line.index(controller) - 1]
    raise AssertionError(f"no worker is at {node}")


def ancestors(pid: int) -> Iterator[int]:
    """A process, its parent, and so on."""
    while pid:
        yield pid
        found = re.search(rb"^PPid:\s(\d+)", read(Path(f"/proc/{pid}/status")), re.MULTILINE)
        pid = int(found[1]) if found else 0


def read(path: Path) -> bytes:
    """What a file of a process says, nothing if the process is over."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_who_takes_over_does_not_disturb_what_is_under_way(live: Site, gate: MakeGate) -> None:
    """It is refused by the node's lock, which is a failure; both nodes are taken up by --lf when that is over."""
    live.nodes = dict.fromkeys(("node1", "node2", "node3", "node5"), "batch")
    live.put("file._all")
    for node in ("node1", "node2"):
        live.sh(node, f"mkdir -p {os.path.dirname(live.top)}")  # else it is what the repair renames
    gates = [gate("node1", "mv"), gate("node2", "mv")]  # one share of two
    with running(live, "-n2", "--max-worker-restart=0") as run:
        for one in gates:
            one.wait()
        os.kill(worker_at(run.process.pid, "node1"), signal.SIGKILL)
        done = run.end()
    assert done.status == 1, done.output
    assert re.search(r"^ERROR node1: worker gw\d crashed while it was at this node$", done.output, re.MULTILINE)
    assert done.word("node1", f"{live.top}/file") == "skipped"
    assert "not fixed: another --fix is under way there" in done.message("node2", f"{live.top}/file")
    for node in ("node3", "node5"):
        assert done.word(node, f"{live.top}/file") == "passed"
    for one in gates:
        one.open()
    again = live.pytest("--lf", "--fix")
    assert again.status == 0, again.output
    assert {live.sh(node, "cat @/file") for node in live.nodes} == {"content\n"}
