"""Crashes of xdist workers: other workers take over the remaining nodes, or these are errors. None of them passes."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests_meta.site import Run, Site

# A check of the site that logs node and worker to `calls`. It kills its worker at the nodes in CRASH, as many times as
# CRASH has after the colon.
OWN = """
import os, signal
from pathlib import Path
import pytest
@pytest.mark.delete
def CHECK(entry, actual):
    node = entry.destination.rpartition(b'-')[2].decode()
    worker = os.environ.get('PYTEST_XDIST_WORKER', 'alone')
    with open('calls', 'a') as calls:
        calls.write(f'{node} {worker}\\n')
    times = dict(pair.split(':') for pair in os.environ['CRASH'].split()).get(node, 0)
    for number in range(int(times)):
        try:
            Path(f'crashed-{node}-{number}').touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
    return []
"""


@pytest.fixture
def own(site: Site) -> Site:
    """Return a site with eight nodes that are this machine, each with two tests. A worker runs one node at a time."""
    site.nodes = {f"node{number}": "batch connection:chroot:///" for number in range(1, 9)}
    site.lines = ["num_proc 1"]
    for node in site.nodes:
        site.delete(f"mine-{node}._{node}")
    (site.directory / "test_own.py").write_text(OWN.replace("CHECK", "check_own"))
    return site


def run(site: Site, *arguments: str, crash: str = "") -> tuple[Run, dict[str, list[str]]]:
    """Return a run, and the workers that have audited each node."""
    calls = site.directory / "calls"
    calls.unlink(missing_ok=True)
    done = site.pytest(command=site.command("test_own.py", "-m", "delete", *arguments), environment={"CRASH": crash})
    workers: dict[str, list[str]] = {}
    for line in calls.read_text().splitlines() if calls.exists() else ():
        node, worker = line.split()
        workers.setdefault(node, []).append(worker)
    return done, workers


def words(done: Run) -> dict[str, Counter[str]]:
    """Return counts of the results of each node's tests, the error of the node itself included."""
    results: dict[str, Counter[str]] = {}
    for key, word in done.results.items():
        match = re.search(r"node\d|test_plain", " ".join(key))
        assert match is not None
        results.setdefault(match[0], Counter())[word] += 1
    return results


def lost(done: Run) -> set[str]:
    """Return the nodes with an error. Check that they have one error and two skips, and that all others have passed."""
    results = words(done)
    errors = {name for name, counted in results.items() if counted["error"]}
    for name, counted in results.items():
        assert counted == (Counter(error=1, skipped=2) if name in errors else Counter(passed=2)), (name, counted)
    assert len(results) == 8
    return errors


def test_a_replacement_takes_over(own: Site) -> None:
    """The node at which the worker crashed is one error; --lf runs all its tests. No other node is audited twice."""
    done, calls = run(own, "-n2", crash="node6:1")
    assert done.status == 1, done.output
    (node,) = lost(done)
    assert node in ("node5", "node6")  # xdist blames the current node; the worker may already run the next one
    assert re.search(rf"ERROR {node}: worker gw\d crashed while it was at this node", done.output)
    assert "8 nodes: 7 in sync, 1 not looked at" in done.output
    assert {len(workers) for name, workers in calls.items() if name not in ("node5", "node6")} == {1}
    assert len({worker for workers in calls.values() for worker in workers}) == 3
    again, calls = run(own, "--lf")
    assert again.status == 0, again.output
    assert words(again) == {node: Counter(passed=2)}
    assert list(calls) == [node]


def test_others_take_over_where_nobody_is_replaced(own: Site) -> None:
    """The other worker runs the remaining nodes, and the log of a repair names the node of the crash."""
    own.lines.append(f"logfile {own.directory / 'synctool.log'}")
    done, calls = run(own, "-n2", "--max-worker-restart=0", "--fix", crash="node6:1")
    assert done.status == 1, done.output
    (node,) = lost(done)
    assert "worker restarting disabled" in done.output
    assert len({worker for workers in calls.values() for worker in workers}) == 2
    assert {len(workers) for name, workers in calls.items() if name not in ("node5", "node6")} == {1}
    log = (own.directory / "synctool.log").read_text()
    assert re.search(rf" {node}: worker gw\d crashed while it was at this node\n", log)
    assert log.endswith(" synctool --fix ended: 0 fixed, 0 failed, 1 node not looked at\n")


def test_all_workers_crash(own: Site) -> None:
    """Items for which no worker was left are errors, even a test that is about no node."""
    plain = "@pytest.mark.delete\ndef test_plain():\n    pass\n"
    (own.directory / "test_own.py").write_text((own.directory / "test_own.py").read_text() + plain)
    done, _ = run(own, "-n2", "--max-worker-restart=0", crash="node2:1 node6:1")
    assert done.status == 1, done.output
    results = words(done)
    assert results.pop("test_plain") == Counter(error=1)
    errors = {name for name, counted in results.items() if counted == Counter(error=1, skipped=2)}
    assert {name for name, counted in results.items() if counted == Counter(passed=2)} == set(own.nodes) - errors
    assert errors >= {"node3", "node4", "node7", "node8"}
    assert "crashed, and no worker was left to take over" in done.output
    again, calls = run(own, "--lf")
    assert again.status == 0, again.output
    assert set(words(again)) == {*errors, "test_plain"}
    assert set(calls) == errors


def test_a_crash_before_anything_is_dealt_out(own: Site) -> None:
    """No node was audited, so no test passes."""
    (own.directory / "fatal.py").write_text(
        "import os\n"
        "def pytest_collection():\n"
        "    if os.environ.get('PYTEST_XDIST_WORKER') == 'gw1':\n"
        "        os._exit(1)\n"
    )
    arguments = own.command("test_own.py", "-m", "delete", "-p", "fatal", "-n2", "--max-worker-restart=0")
    done = own.pytest(command=arguments, environment={"CRASH": "", "PYTHONPATH": "."})
    assert done.status == 1, done.output
    assert lost(done) == set(own.nodes)
    assert "ERROR node[1-8]: not looked at: worker gw1 crashed, and no worker was left to take over" in done.output


def test_the_first_failure_ends_the_run(own: Site) -> None:
    """With -x a crash counts as a failure, and no worker goes on."""
    done, _ = run(own, "-n1", "-x", crash="node1:1")
    assert done.status == 2, done.output
    assert "stopping after 1 failures" in done.output
    assert words(done)["node1"] == Counter(error=1, skipped=2)
    assert set(words(done)) == {"node1"}


def test_another_distribution(own: Site) -> None:
    """With another scheduler nothing is taken over, and a crash fails the run, even one after the last test."""
    (own.directory / "fatal.py").write_text(
        "import os\ndef pytest_sessionfinish():\n    if 'PYTEST_XDIST_WORKER' in os.environ:\n        os._exit(1)\n"
    )
    arguments = own.command("test_own.py", "-m", "delete", "-p", "fatal", "-n1", "--dist=loadfile")
    done = own.pytest(command=[*arguments, "--max-worker-restart=0"], environment={"CRASH": "", "PYTHONPATH": "."})
    assert done.status == 1, done.output
    assert "worker gw0 crashed: with --dist loadfile the controller cannot tell which tests are missing" in done.output


def test_a_worker_that_cannot_begin(own: Site) -> None:
    """The run ends with the worker's reason, printed once. No replacement is started."""
    (own.directory / "fatal.py").write_text(
        "import pytest\ndef pytest_configure(config):\n    if hasattr(config, 'workerinput'):\n"
        "        raise pytest.UsageError('first line\\nsecond line')\n"
    )
    done = own.pytest("-p", "fatal", "-n2", environment={"PYTHONPATH": "."})
    assert done.status == 4, done.output
    assert re.search(r"ERROR: worker gw\d cannot begin: first line\nsecond line\n", done.output)
    assert "Traceback" not in done.output
    assert "replacing" not in done.output
