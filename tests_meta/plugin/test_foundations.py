"""Internals of pytest, xdist and testinfra on which the plugin relies. These tests fail if an upgrade changes them."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path

import pytest
import testinfra.backend
from _pytest.cacheprovider import LFPlugin
from _pytest.config.argparsing import Parser
from pytest_synctool.plugin.options import _names_of_options
from testinfra.backend.ssh import SshBackend
from xdist.dsession import DSession
from xdist.remote import WorkerInteractor
from xdist.scheduler.load import LoadScheduling

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site


def test_xdist_scheduler_has_what_node_shares_builds_on() -> None:
    """NodeShares overrides the public methods of LoadScheduling and calls two private ones."""
    assert list(inspect.signature(LoadScheduling._send_tests).parameters) == ["self", "node", "num"]
    assert list(inspect.signature(LoadScheduling._check_nodes_have_same_collection).parameters) == ["self"]
    source = inspect.getsource(LoadScheduling)
    for attribute in ("node2pending", "node2collection", "pending", "collection"):
        assert f"self.{attribute}" in source
    for method in ("mark_test_complete", "remove_node"):
        assert "self.check_schedule(node" in inspect.getsource(getattr(LoadScheduling, method))


def test_xdist_restarts_as_many_workers_as_workers_py_expects() -> None:
    """xdist calls the plugins' hook first, then removes the worker, then counts the crash."""
    source = inspect.getsource(DSession.worker_errordown)
    order = ("pytest_testnodedown", "self.sched.remove_node(", "_failed_nodes_count += 1", "_clone_node")
    assert [source.index(word) for word in order] == sorted(source.index(word) for word in order)
    assert "self._failed_nodes_count > self._max_worker_restart" in source
    assert "pytest_handlecrashitem" in inspect.getsource(DSession.handle_crashitem)


def test_xdist_worker_has_a_queue_of_its_next_items() -> None:
    """The look-ahead in a worker reads this queue."""
    assert WorkerInteractor.__name__ == "WorkerInteractor"
    source = inspect.getsource(WorkerInteractor)
    for attribute in ("torun", "item_index", "nextitem_index"):
        assert f"self.{attribute}" in source
    assert "shouldstop" in inspect.getsource(DSession)


def test_testinfra_backends_can_be_replaced() -> None:
    """testinfra looks up the ssh backend in a plain dictionary."""
    assert isinstance(testinfra.backend.BACKENDS, dict)
    assert testinfra.backend.get_backend_class("ssh") is SshBackend


def test_options_of_all_plugins_can_be_listed() -> None:
    """The plugin leaves the short names of its options to others who have them, and to those who come late."""
    parser = Parser(_ispytest=True)
    parser.addoption("--ours")
    parser.getgroup("other").addoption("--theirs")
    assert {"--ours", "--theirs"} == set(_names_of_options(parser))
    if hasattr(parser, "optparser"):  # pytest 9 adds an option at once, and refuses one that is there
        assert "--ours" in parser.optparser._option_string_actions


def test_last_failed_cache_key() -> None:
    """The plugin adds the tests of unreachable nodes to those that --lf runs, under pytest's key."""
    assert "cache/lastfailed" in inspect.getsource(LFPlugin)


def test_xdist_deals_out_shares(site: Site) -> None:
    """Every worker gets its whole share of the nodes at once; xdist's own scheduler would start with two nodes."""
    site.delete("nothing-like-it._all")
    (site.directory / "naming.py").write_text(
        "import pytest\n"
        "@pytest.hookimpl(wrapper=True)\n"
        "def pytest_xdist_make_scheduler(config, log):\n"
        "    made = yield\n"
        "    open('scheduler', 'w').write(type(made).__name__)\n"
        "    return made\n"
    )
    for arguments, expected in ((("-n2",), "NodeShares"), (("-n2", "--dist=worksteal"), "WorkStealingScheduling")):
        site.pytest("-p", "naming", "-m", "delete", *arguments, environment={"PYTHONPATH": "."})
        assert (site.directory / "scheduler").read_text() == expected


def test_without_a_cache(site: Site) -> None:
    """With pytest's cache switched off, an unreachable node is still reported."""
    site.nodes = {"gone": "batch connection:chroot:///nonexistent"}
    site.put("file._all")
    run = site.pytest("-p", "no:cacheprovider")
    assert run.status == 1
    assert "1 node: 1 not looked at" in run.output
    assert "Traceback" not in run.output


@ALONE_AND_XDIST
def test_every_process_probes_only_its_own_nodes(site: Site, workers: tuple[str, ...]) -> None:
    """No node is contacted twice, though every process starts nodes ahead."""
    site.nodes = {f"node{number}": "batch connection:chroot:///" for number in range(20)}
    site.delete("nothing-like-it._all")
    (site.directory / "counting.py").write_text(
        "from pytest_synctool.connection.connections import Connections\n"
        "connect = Connections.to\n"
        "def counting(self, node):\n"
        "    with open('calls', 'a') as calls:\n"
        "        calls.write(node.name + '\\n')\n"
        "    return connect(self, node)\n"
        "Connections.to = counting\n"
    )
    run = site.pytest("-p", "counting", "-m", "delete", *workers, environment={"PYTHONPATH": "."})
    assert run.status == 0, run.output
    assert run.count("passed") == 20
    calls = (site.directory / "calls").read_text().split()
    assert sorted(calls) == sorted(site.nodes)


@ALONE_AND_XDIST
def test_a_long_run_shows_a_letter_per_node(site: Site, workers: tuple[str, ...]) -> None:
    """The terminal shows few letters for thousands of tests. Counts, percentage and report cover all tests."""
    site.nodes = {f"node{number}": "batch connection:chroot:///" for number in range(3)}
    site.nodes["gone"] = "batch connection:chroot:///nonexistent"
    for number in range(700):
        site.delete(f"nothing-like-it-{number}._all")
    run = site.pytest("-q", "-m", "delete", *workers)
    letters = next(line for line in run.output.splitlines() if line.endswith("[100%]")).split()[0]
    assert sorted(letters) == ["."] * 3 + ["E"]
    assert "2100 passed, 700 skipped, 1 error" in run.output
    assert run.count("passed") == 2100
    assert run.count("skipped") == 700
    verbose = site.pytest("-v", "-m", "delete", *workers)
    assert verbose.output.count("PASSED") == 2100


@pytest.mark.parametrize("arguments", [(), ("-n2",), ("-k", "nothing-like-it")], ids=["alone", "xdist", "nothing"])
def test_nothing_is_left_of_the_sockets_of_a_repair(site: Site, arguments: tuple[str, ...]) -> None:
    """The directory of the sockets is removed by the process that made it, even if it contacted no node."""
    site.nodes = {"gone": "batch connection:chroot:///nonexistent"}
    site.delete("evil._all")
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # a short name, as sockets need one
        run = site.pytest("--fix", "--no-syslog", *arguments, environment={"TMPDIR": directory})
        assert run.status == (5 if "-k" in arguments else 1), run.output
        assert [path.name for path in Path(directory).glob("synctool-*")] == []
