"""--batch: which nodes are under way at the same time, by connections that tell; and what it does not go with."""

from __future__ import annotations

import pytest

from tests_meta.site import Run, Site

# Writes to `calls` when a node is contacted and when its answer is there. The first node of each batch answers only
# when the nodes named in WAIT_FOR have been contacted as well, or the deadline is over.
TELLING = """
import os, threading
from pytest_synctool.connection.connections import Connections
connect = Connections.to
begun = {}
lock = threading.Lock()
def event(name):
    with lock:
        return begun.setdefault(name, threading.Event())
def tell(line):
    with lock, open('calls', 'a') as calls:
        calls.write(line + '\\n')
class Telling:
    script_limit, is_local = None, True
    def __init__(self, name, transport):
        self.name, self.transport, self.close = name, transport, transport.close
    def run(self, script, deadline):
        tell('begin ' + self.name)
        event(self.name).set()
        other = dict(pair.split(':') for pair in os.environ['WAIT_FOR'].split()).get(self.name)
        assert other is None or event(other).wait(60)
        try:
            return self.transport.run(script, deadline)
        finally:
            tell('end ' + self.name)
Connections.to = lambda self, node: Telling(node.name, connect(self, node))
"""


@pytest.fixture
def telling(site: Site) -> Site:
    """Six nodes that are this machine, with nothing to repair."""
    site.nodes = {f"node{number}": "batch connection:local://" for number in range(1, 7)}
    site.delete("nothing-like-it._all")
    (site.directory / "telling.py").write_text(TELLING)
    return site


def fix(site: Site, *arguments: str, wait_for: str = "") -> tuple[Run, list[str]]:
    """A run with --fix, and what the connections told."""
    calls = site.directory / "calls"
    calls.unlink(missing_ok=True)
    environment = {"PYTHONPATH": ".", "WAIT_FOR": wait_for}
    run = site.pytest("-p", "telling", "-m", "delete", "--fix", *arguments, environment=environment)
    return run, calls.read_text().splitlines() if calls.exists() else []


def nodes_of(calls: list[str]) -> list[str]:
    """The nodes that were contacted, sorted."""
    return sorted({line.split()[1] for line in calls})


def test_a_batch_is_under_way_together_and_over_before_the_next(telling: Site) -> None:
    """The first of a batch waits for the last of it; no other node is contacted meanwhile."""
    run, calls = fix(telling, "--batch=2", wait_for="node1:node2 node3:node4 node5:node6")
    assert run.status == 0, run.output
    assert [nodes_of(calls[start : start + 4]) for start in (0, 4, 8)] == [
        ["node1", "node2"], ["node3", "node4"], ["node5", "node6"],
    ]  # fmt: skip
    assert len(calls) == 12
    assert "6 nodes: 6 in sync" in run.output


def test_without_batches_all_nodes_are_under_way_together(telling: Site) -> None:
    """What the test above shows is the work of --batch."""
    run, calls = fix(telling, wait_for="node1:node6")
    assert run.status == 0, run.output
    assert calls.index("begin node6") < calls.index("end node1")


def test_serial_and_a_percentage(telling: Site) -> None:
    """--serial is one after the other, and 34% of six nodes is two."""
    run, calls = fix(telling, "--serial")
    assert run.status == 0, run.output
    assert calls == [f"{word} node{number}" for number in range(1, 7) for word in ("begin", "end")]
    run, calls = fix(telling, "--batch=34%", wait_for="node1:node2 node3:node4 node5:node6")
    assert run.status == 0, run.output
    assert nodes_of(calls[:4]) == ["node1", "node2"]


def test_after_a_batch_with_failures_no_other_begins(telling: Site) -> None:
    """The nodes of later batches are skipped with the reason, not contacted, and taken up by --lf."""
    telling.nodes["node2"] = "batch connection:chroot:///nonexistent"
    run, calls = fix(telling, "--batch=2")
    assert run.status == 1
    assert nodes_of(calls) == ["node1", "node2"]
    path = f"{telling.top}/nothing-like-it"
    assert [run.word(f"node{n}", path, "delete") for n in range(1, 7)] == ["passed", *["skipped"] * 5]
    reason = "not begun: 1 of 2 nodes failed in the batch before"
    assert all(reason in run.message(f"node{n}", path, "delete") for n in (3, 4, 5, 6))
    assert f"SKIPPED node[3-6]: {reason}" in run.output
    assert "6 nodes: 1 in sync, 5 not looked at" in run.output
    assert "the same command with --lf" in run.output
    telling.nodes["node2"] = "batch connection:local://"
    run, calls = fix(telling, "--batch=2", "--lf")
    assert run.status == 0, run.output
    assert nodes_of(calls) == ["node2", "node3", "node4", "node5", "node6"]


def test_max_fail_nodes(telling: Site) -> None:
    """So many nodes may fail in all; one more ends the run after its batch."""
    telling.nodes |= dict.fromkeys(("node1", "node3"), "batch connection:chroot:///nonexistent")
    run, calls = fix(telling, "--batch=2", "--max-fail-nodes=2")
    assert run.status == 1
    assert len(nodes_of(calls)) == 6
    run, calls = fix(telling, "--batch=2", "--max-fail-nodes=1")
    assert run.status == 1
    assert nodes_of(calls) == ["node1", "node2", "node3", "node4"]
    assert "not begun: 2 of 4 nodes failed in the batches before, and --max-fail-nodes is 1" in run.output


def test_ordinary_tests_are_left_alone(telling: Site) -> None:
    """They run, wherever they stand, also when no other batch begins."""
    telling.nodes["node1"] = "batch connection:chroot:///nonexistent"
    (telling.directory / "test_own.py").write_text("def test_own():\n    open('own', 'w').close()\n")
    command = telling.command("test_own.py", "-p", "telling", "-k", "own or nothing", "--fix", "--serial")
    run = telling.pytest(command=command, environment={"PYTHONPATH": ".", "WAIT_FOR": ""})
    assert run.status == 1
    assert "1 passed, 6 skipped, 1 error" in run.output
    assert (telling.directory / "own").exists()


def test_maxfail_ends_the_run_in_the_middle_of_a_batch(telling: Site) -> None:
    """With -x no repair begins that was not asked for any more, in a batch as everywhere."""
    telling.nodes["node1"] = "batch connection:chroot:///nonexistent"
    run, calls = fix(telling, "--batch=3", "-x")
    assert run.status == 1
    assert nodes_of(calls) == ["node1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--batch=2",), "--batch needs --fix: an audit changes nothing"),
        (("--serial",), "--serial needs --fix"),
        (("--max-fail-nodes=0",), "--max-fail-nodes needs --fix"),
        (("--fix", "--max-fail-nodes=1"), "--max-fail-nodes needs --batch or --serial"),
        (("--fix", "--batch=2", "--serial"), "--serial is --batch=1: give one of them"),
        (("--fix", "--batch=2", "--collect-only"), "--fix does not go with --collect-only"),
        (("--fix", "--batch=2", "--synctool-lint"), "--fix does not go with --synctool-lint"),
        (("--batch=2", "--collect-only"), "--batch needs --fix"),
        (("--fix", "--batch=0"), "argument --batch: expected a number of nodes from 1, or a percentage from 1% to"),
        (("--fix", "--batch=200%"), "not '200%'"),
        (("--fix", "--serial", "--max-fail-nodes=-1"), "expected a number from 0, not '-1'"),
        (("--fix", "--batch=2", "-n2"), "--batch does not go with -n: several processes cannot wait for each other's"),
        (("--fix", "--serial", "--tx=popen", "--dist=load"), "--serial does not go with -n"),
    ],
)
def test_what_it_does_not_go_with(telling: Site, arguments: tuple[str, ...], said: str) -> None:
    """A usage error with the reason, and no node is contacted."""
    environment = {"PYTHONPATH": ".", "WAIT_FOR": ""}
    run = telling.pytest("-p", "telling", *arguments, environment=environment)
    assert run.status == 4, run.output
    assert said in run.output
    assert "Traceback" not in run.output
    assert not (telling.directory / "calls").exists()


def test_n0_is_one_process(telling: Site) -> None:
    """-n0 switches xdist off."""
    assert fix(telling, "--batch=2", "-n0")[0].status == 0
