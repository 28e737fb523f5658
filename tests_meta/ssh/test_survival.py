"""--fix is cut off: whatever is killed, interrupted or hangs, every file is the old or the new one, and whole.

After each, the next --fix ends the work, and the one after that finds nothing to do.
"""

from __future__ import annotations

import hashlib
import os

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.gate import Gate, MakeGate, running, settled
from tests_meta.site import Site

NAMES = [f"file{number:02}" for number in range(50)]
NODES = ["node1", "node2", "node3"]


def old(name: str) -> str:
    """What a file has on the nodes."""
    return f"old {name}\n"


def new(name: str) -> str:
    """What a file has in the masterdir."""
    return f"new {name}\n" * 300


def whole(live: Site, node: str) -> int:
    """How many files of a node are the new ones. All others are the old ones, and those are never lost."""
    look = "cd @ && /usr/bin/stat -c '%n %a %u:%g' file?? && md5sum file??"
    lines = live.sh(node, look + " && { md5sum file??.saved 2>&- || :; }").splitlines()
    found = dict(line.split(" ", 1) for line in lines[: len(NAMES)])
    digests = {name: digest for digest, _, name in (line.partition("  ") for line in lines[len(NAMES) :])}
    fresh = {name for name in NAMES if (found[name], digests[name]) == ("640 1:2", md5(new(name)))}
    for name in NAMES:
        if name in fresh:
            assert digests[f"{name}.saved"] == md5(old(name))
        else:
            assert (found[name], digests[name]) == ("600 3:4", md5(old(name)))
    return len(fresh)


def md5(text: str) -> str:
    """The digest of a text."""
    return hashlib.md5(text.encode()).hexdigest()


def age(live: Site, node: str) -> None:
    """Make all files of a node the old ones."""
    make = "".join(f"echo {old(name).strip()} >{name};" for name in NAMES)
    live.sh(node, f"mkdir -p @ && cd @ && {make} chown 3:4 file?? && chmod 600 file??")


@pytest.fixture
def fifty(live: Site) -> Site:
    """Fifty files that differ on every node, with another owner and mode."""
    for name in NAMES:
        path = live.put(f"{name}._all", new(name), 0o640)
        os.chown(path, 1, 2)
    for node in live.nodes:
        age(live, node)
    return live


def in_place(gate: Gate) -> int:
    """Return the number of new files in their places at a gate.

    All are made, and all old ones are linked, copied and kept, before the first one is renamed.
    """
    if gate.command != "mv":
        return 0
    return max(0, gate.call - 2 * len(NAMES) - (gate.when != "after"))


POINTS = pytest.mark.parametrize(
    "places",
    [
        [("cp", 1, "half"), ("mv", 101, "before"), ("mv", 101, "after")],
        [("cp", 25, "half"), ("ln", 1, "after"), ("mv", 125, "after")],
        [("mv", 150, "before"), ("mv", 75, "after"), ("cp", 50, "half")],
    ],
    ids=["first", "middle", "last"],
)


@POINTS
def test_controller_killed(fifty: Site, gate: MakeGate, places: list[tuple[str, int, str]]) -> None:
    """No file is torn where the nodes stand; each goes to the end of its repair by itself."""
    gates = [gate(node, *place) for node, place in zip(NODES, places, strict=True)]
    with running(fifty) as run:
        for one in gates:
            one.wait()
        run.kill()
    for one in gates:
        assert whole(fifty, one.node) == in_place(one)
        one.open()
        assert whole(fifty, one.node) == len(NAMES)
    settled(fifty)


@POINTS
def test_nodes_killed(
    fifty: Site, cluster: EmbeddedCluster, gate: MakeGate, places: list[tuple[str, int, str]]
) -> None:
    """The repair's shell, its connection, the whole node: each is a failure or an error, and nothing is torn."""
    gates = [gate(node, *place) for node, place in zip(NODES, places, strict=True)]
    with running(fifty, "--node-timeout=6") as run:
        for one, what in zip(gates, ("shell", "connection", "node"), strict=True):
            one.wait()
            one.kill(what)
        ended = run.end()
    assert ended.status == 1
    for one in gates:
        assert whole(fifty, one.node) == in_place(one)
    gates[1].open()
    assert whole(fifty, "node2") == len(NAMES)
    cluster.start("node3")
    for one in gates:
        one.remove()
    settled(fifty)


def test_killed_when_all_is_done(fifty: Site, gate: MakeGate) -> None:
    """Nothing is left to be repaired, so what the repair has left behind goes before the node is looked at again."""
    one = gate("node1", "mv", 150, "after")
    with running(fifty) as run:
        one.wait()
        one.kill("shell")
        ended = run.end()
    assert ended.word("node1", f"{fifty.top}/file49") == "passed"
    assert fifty.sh("node1", "ls /var/lib/pytest-synctool/stage") == ""
    one.remove()
    assert fifty.pytest().status == 0
    settled(fifty)


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_interrupted(fifty: Site, gate: MakeGate, workers: tuple[str, ...]) -> None:
    """Ctrl-C: a node under way goes to its end, one that has not begun is left alone, and the run ends."""
    fifty.lines.append("num_proc 1")
    one = gate("node1", "mv", 125)
    with running(fifty, *workers) as run:
        one.wait()
        run.interrupt()
        one.open()
        ended = run.end(30)
    assert ended.status == 2, ended.output
    assert "KeyboardInterrupt" in ended.output
    if not workers:
        assert "FIXED node1: " in ended.output
        assert ended.count("passed") >= len(NAMES)
    assert whole(fifty, "node1") == len(NAMES)
    others = [whole(fifty, node) for node in ("node2", "node3")]
    assert others == [0, 0] or (workers and set(others) <= {0, len(NAMES)})
    settled(fifty)


def test_hung_nodes(fifty: Site, cluster: EmbeddedCluster, gate: MakeGate) -> None:
    """A node that stops in the probe, in the push, in the repair or in a trigger: its deadline passes, others go on."""
    fifty.nodes |= {"node4": "batch", "node5": "batch"}
    for node in ("node4", "node5"):
        age(fifty, node)
    fifty.script("file00.post", "#!/bin/sh\nexec uptime\n")
    gates = [gate("node1", "stat"), gate("node2", "tar"), gate("node3", "mv", 125), gate("node4", "uptime")]
    with running(fifty, "--node-timeout=6", "--connect-timeout=2") as run:
        for one in gates:
            one.wait()
            cluster.freeze(one.node)
        ended = run.end()
    assert ended.status == 1
    errors = [
        node
        for node in fifty.nodes
        if f"{node} unreachable: " in ended.messages.get(("synctool_checks.test_overlay", node), "")
    ]
    assert errors == ["node1", "node2", "node3", "node4"]
    assert ended.word("node5", f"{fifty.top}/file49") == "passed"
    assert [whole(fifty, node) for node in fifty.nodes] == [0, 0, 24, 50, 50]
    for one in gates:
        cluster.thaw(one.node)
        one.open()
    settled(fifty)
