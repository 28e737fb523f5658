"""--batch: the nodes that are repaired at the same time, and the options that it excludes.

A plugin of the tests logs when a connection to a node is used.
"""

from __future__ import annotations

import pytest

from tests_meta.site import Run, Site

# A plugin that writes a line to `calls` when a node is contacted and when it has answered. WAIT_FOR has pairs of nodes:
# the first node answers only after the second was contacted.
LOGGING = """
import os, threading
from pytest_synctool.connection.connections import Connections
connect = Connections.to
begun = {}
lock = threading.Lock()
def event(name):
    with lock:
        return begun.setdefault(name, threading.Event())
def log(line):
    with lock, open('calls', 'a') as calls:
        calls.write(line + '\\n')
class Logging:
    script_limit, is_local = None, True
    def __init__(self, name, transport):
        self.name, self.transport, self.close = name, transport, transport.close
    def run(self, script, deadline, *limits):
        log('begin ' + self.name)
        event(self.name).set()
        other = dict(pair.split(':') for pair in os.environ['WAIT_FOR'].split()).get(self.name)
        assert other is None or event(other).wait(60)
        try:
            return self.transport.run(script, deadline)
        finally:
            log('end ' + self.name)
Connections.to = lambda self, node: Logging(node.name, connect(self, node))
"""


@pytest.fixture
def six(site: Site) -> Site:
    """Return a site with six nodes that are this machine, with nothing to repair."""
    site.nodes = {f"node{number}": "batch connection:local://" for number in range(1, 7)}
    site.delete("nothing-like-it._all")
    (site.directory / "logging_calls.py").write_text(LOGGING)
    return site


def fix(site: Site, *arguments: str, wait_for: str = "") -> tuple[Run, list[str]]:
    """Return a run with --fix, and the lines of `calls`."""
    calls = site.directory / "calls"
    calls.unlink(missing_ok=True)
    environment = {"PYTHONPATH": ".", "WAIT_FOR": wait_for}
    run = site.pytest("-p", "logging_calls", "-m", "delete", "--fix", *arguments, environment=environment)
    return run, calls.read_text().splitlines() if calls.exists() else []


def nodes_of(calls: list[str]) -> list[str]:
    """Return the contacted nodes, sorted."""
    return sorted({line.split()[1] for line in calls})


def test_a_batch_runs_together_and_ends_before_the_next(six: Site) -> None:
    """The first node of a batch waits for the last one. No node of another batch is contacted meanwhile."""
    run, calls = fix(six, "--batch=2", wait_for="node1:node2 node3:node4 node5:node6")
    assert run.status == 0, run.output
    assert [nodes_of(calls[start : start + 4]) for start in (0, 4, 8)] == [
        ["node1", "node2"], ["node3", "node4"], ["node5", "node6"],
    ]  # fmt: skip
    assert len(calls) == 12
    assert "6 nodes: 6 in sync" in run.output


def test_without_batches_all_nodes_run_together(six: Site) -> None:
    """So the test above shows an effect of --batch."""
    run, calls = fix(six, wait_for="node1:node6")
    assert run.status == 0, run.output
    assert calls.index("begin node6") < calls.index("end node1")


def test_serial_and_a_percentage(six: Site) -> None:
    """--serial repairs one node after the other, and 34% of six nodes are two nodes."""
    run, calls = fix(six, "--serial")
    assert run.status == 0, run.output
    assert calls == [f"{word} node{number}" for number in range(1, 7) for word in ("begin", "end")]
    run, calls = fix(six, "--batch=34%", wait_for="node1:node2 node3:node4 node5:node6")
    assert run.status == 0, run.output
    assert nodes_of(calls[:4]) == ["node1", "node2"]


def test_after_a_batch_with_failures_no_other_begins(six: Site) -> None:
    """The nodes of later batches are not contacted. They are skipped with the reason, and --lf runs them."""
    six.nodes["node2"] = "batch connection:chroot:///nonexistent"
    run, calls = fix(six, "--batch=2")
    assert run.status == 1
    assert nodes_of(calls) == ["node1", "node2"]
    path = f"{six.top}/nothing-like-it"
    assert [run.word(f"node{n}", path, "delete") for n in range(1, 7)] == ["passed", *["skipped"] * 5]
    reason = "not begun: 1 of 2 nodes failed in the batch before"
    assert all(reason in run.message(f"node{n}", path, "delete") for n in (3, 4, 5, 6))
    assert f"SKIPPED node[3-6]: {reason}" in run.output
    assert "6 nodes: 1 in sync, 5 not looked at" in run.output
    assert "the same command with --lf" in run.output
    six.nodes["node2"] = "batch connection:local://"
    run, calls = fix(six, "--batch=2", "--lf")
    assert run.status == 0, run.output
    assert nodes_of(calls) == ["node2", "node3", "node4", "node5", "node6"]


def test_max_fail_nodes(six: Site) -> None:
    """If more nodes than this fail in all, no further batch begins."""
    six.nodes |= dict.fromkeys(("node1", "node3"), "batch connection:chroot:///nonexistent")
    run, calls = fix(six, "--batch=2", "--max-fail-nodes=2")
    assert run.status == 1
    assert len(nodes_of(calls)) == 6
    run, calls = fix(six, "--batch=2", "--max-fail-nodes=1")
    assert run.status == 1
    assert nodes_of(calls) == ["node1", "node2", "node3", "node4"]
    assert "not begun: 2 of 4 nodes failed in the batches before, and --max-fail-nodes is 1" in run.output


def test_ordinary_tests_are_left_alone(six: Site) -> None:
    """Tests that are no nodes run even if no further batch begins."""
    six.nodes["node1"] = "batch connection:chroot:///nonexistent"
    (six.directory / "test_own.py").write_text("def test_own():\n    open('own', 'w').close()\n")
    command = six.command("test_own.py", "-p", "logging_calls", "-k", "own or nothing", "--fix", "--serial")
    run = six.pytest(command=command, environment={"PYTHONPATH": ".", "WAIT_FOR": ""})
    assert run.status == 1
    assert "1 passed, 6 skipped, 1 error" in run.output
    assert (six.directory / "own").exists()


def test_maxfail_ends_the_run_in_the_middle_of_a_batch(six: Site) -> None:
    """With -x no repair begins after the first failure, even in the same batch."""
    six.nodes["node1"] = "batch connection:chroot:///nonexistent"
    run, calls = fix(six, "--batch=3", "-x")
    assert run.status == 1
    assert nodes_of(calls) == ["node1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_excluded_combinations_are_usage_errors(six: Site, arguments: tuple[str, ...], message: str) -> None:
    """The message has the reason, and no node is contacted."""
    environment = {"PYTHONPATH": ".", "WAIT_FOR": ""}
    run = six.pytest("-p", "logging_calls", *arguments, environment=environment)
    assert run.status == 4, run.output
    assert message in run.output
    assert "Traceback" not in run.output
    assert not (six.directory / "calls").exists()


def test_n0_is_one_process(six: Site) -> None:
    """-n0 switches xdist off, so --batch works."""
    assert fix(six, "--batch=2", "-n0")[0].status == 0
