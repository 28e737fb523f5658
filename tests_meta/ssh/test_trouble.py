"""Nodes and files that cannot be looked at: an error each, never a pass, never drift, and nobody else waits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import TOO_MANY_LINKS, Site

OVERLAY = "synctool_checks.test_overlay"


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_dead_node_is_one_error(live: Site, workers: tuple[str, ...]) -> None:
    """Its entries are skipped with the reason, other nodes are audited, and the status is 1."""
    live.nodes = {"node1": "batch", "dead1": "batch interface:127.0.0.1", "node2": "batch"}
    live.put("file._all")
    assert live.pytest("--fix", "--hosts=node1,node2").status == 0
    run = live.pytest(*workers)
    assert run.status == 1
    assert run.results[(OVERLAY, "dead1")] == "error"
    assert "dead1 unreachable: Connection refused" in run.messages[(OVERLAY, "dead1")]
    assert run.word("dead1", f"{live.top}/file") == "skipped"
    assert "dead1 unreachable: Connection refused" in run.message("dead1", f"{live.top}/file")
    assert run.word("node1", f"{live.top}/file") == run.word("node2", f"{live.top}/file") == "passed"
    assert run.count("error") == 1
    assert run.count("failure") == 0
    assert "ERROR dead1: unreachable: Connection refused" in run.output
    assert "3 nodes: 2 in sync, 1 not looked at" in run.output


def test_last_failed_takes_up_what_was_not_looked_at(live: Site, cluster: EmbeddedCluster) -> None:
    """--lf --fix after a node was down repairs just that node, when it is back."""
    live.put("file._all")
    live.delete("evil._all")
    assert live.pytest("--fix").status == 0
    cluster.stop("node2")
    try:
        assert live.pytest().status == 1
    finally:
        cluster.start("node2")
    live.sh("node2", "rm @/file; touch @/evil")
    live.sh("node1", "rm @/file")
    run = live.pytest("--lf", "--fix")
    assert run.status == 0, run.output
    assert "2 fixed" in run.output
    assert live.sh("node2", "ls @") == "file\n"
    assert live.sh("node1", "ls @") == ""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_hung_node_costs_its_own_deadline_only(
    live: Site, cluster: EmbeddedCluster, workers: tuple[str, ...]
) -> None:
    """A node that accepts connections and says nothing is given up; the others have been audited meanwhile."""
    live.put("file._all")
    assert live.pytest("--fix").status == 0
    cluster.freeze("node2")
    try:
        run = live.pytest("--connect-timeout=2", "--node-timeout=4", *workers)
    finally:
        cluster.thaw("node2")
    assert run.status == 1
    assert "node2 unreachable: " in run.messages[(OVERLAY, "node2")]
    assert run.word("node1", f"{live.top}/file") == run.word("node3", f"{live.top}/file") == "passed"


def test_all_dead_nodes_are_tried_at_once(live: Site) -> None:
    """The first connection attempt does not give up until the last has begun, which only works side by side."""
    dead = [f"dead{number}" for number in range(12)]
    live.nodes = dict.fromkeys(dead, "batch")
    started = live.directory / "started"
    started.mkdir()
    fake_ssh = live.directory / "ssh"
    fake_ssh.write_text(
        "#!/bin/sh\n"
        '[ "$1" != -G ] || exit 255\n'
        f"touch {started}/$$\n"
        f"all() {{ [ $(ls {started} | wc -l) = {len(dead)} ]; }}\n"
        "for try in $(seq 600); do all && break; sleep 0.1; done\n"
        "all || { echo alone >&2; exit 255; }\n"
        "echo 'Connection timed out' >&2\nexit 255\n"
    )
    fake_ssh.chmod(0o755)
    live.cluster = None
    live.lines = [f"ssh_cmd {fake_ssh}"]
    live.put("file._all")
    run = live.pytest()
    assert run.count("error") == len(dead)
    assert "ERROR dead[0-11]: unreachable: Connection timed out" in run.output


def test_a_file_that_cannot_be_looked_at_is_an_error(live: Site) -> None:
    """More links above it than the system follows: an error for that entry, the rest is audited."""
    live.nodes = {"node1": "batch"}
    live.put("good._all")
    live.put("links/file._all")
    assert live.pytest("--fix").status == 0
    live.sh("node1", f"cd @; {TOO_MANY_LINKS}")
    run = live.pytest()
    assert run.word("node1", f"{live.top}/links/file") == "error"
    assert "cannot be looked at: Too many levels of symbolic links" in run.message("node1", f"{live.top}/links/file")
    assert run.word("node1", f"{live.top}/links") == "failure"
    assert run.word("node1", f"{live.top}/good") == "passed"


def test_wrong_host_key_is_unreachable(live: Site, cluster: EmbeddedCluster) -> None:
    """Host key checking is never loosened."""
    known = live.directory / "known_hosts"
    known.write_text(
        f"[{cluster.addresses['node1']}]:{cluster.port} ssh-ed25519 "
        "AAAAC3NzaC1lZDI1NTE5AAAAIJm9qyV6zuJBBSlFhqs8xPpbOEQMPmfyxIGBXGbyAhmD\n"
    )
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    run = live.pytest(f"--ssh-extra-args=-oUserKnownHostsFile={known}")
    assert run.status == 1
    assert "node1 unreachable: Host key verification failed" in run.messages[(OVERLAY, "node1")]


def test_maxfail_and_exitfirst(live: Site) -> None:
    """-x and --maxfail stop the reports where any pytest suite would."""
    for number in range(6):
        live.put(f"file{number}._all")
    for arguments, failures in ((("-x",), 1), (("--maxfail=3",), 3)):
        run = live.pytest(*arguments)
        assert run.status == 1
        assert run.count("failure") == failures
        assert f"stopping after {failures} failures" in run.output
    run = live.pytest("-x", "-n2")
    assert run.status in (1, 2)
    assert 1 <= run.count("failure") <= 2


def test_host_fixture_runs_on_the_same_nodes(live: Site) -> None:
    """An ordinary test with testinfra's `host` goes to the selected nodes, through the same ssh."""
    (live.directory / "test_site.py").write_text(
        "def test_name(host):\n    assert host.check_output('hostname').startswith('node')\n"
        "def test_exit(host):\n    assert host.run('exit 3').rc == 3\n"
    )
    (live.directory / "own").mkdir()
    (live.directory / "own" / "test_local.py").write_text(
        "testinfra_hosts = ['local://']\ndef test_here(host):\n    assert host.check_output('echo $PWD')\n"
    )
    for hosts, expected in (("group:batch", 4), (None, 6)):
        command = live.command("-v", *([f"--hosts={hosts}"] if hosts else []))
        command[3:5] = ["test_site.py"]
        run = live.pytest(command=command)
        assert run.status == 0, run.output
        assert f"{expected} passed" in run.output
        assert "test_name[ssh://node1] PASSED" in run.output
    command = live.command("-v")
    command[3:5] = ["own"]
    assert "test_here[local] PASSED" in live.pytest(command=command).output


def test_a_check_of_the_site_runs_over_the_probe(live: Site) -> None:
    """A site's own check sees the actual state; what it raises is an error of its test, told without traceback."""
    live.nodes = {"node1": "batch"}
    live.put("open._all", mode=0o666)
    live.put("good._all")
    assert live.pytest("--fix").status == 0
    (live.directory / "test_site.py").write_text(
        "from pytest_synctool.model import Change\n"
        "def check_not_world_writable(entry, actual):\n"
        "    if actual.mode & 0o002:\n        return [Change('world-writable', 'no', 'yes')]\n    return []\n"
        "def check_broken(entry, actual):\n    return 1 / 0\n"
    )
    command = live.command()
    command[3:5] = ["test_site.py"]
    run = live.pytest(command=command)
    where = "test_site.check_not_world_writable.node1"
    assert run.results[(where, f"{live.top}/open")] == "failure"
    assert run.results[(where, f"{live.top}/good")] == "passed"
    assert "check_broken raised ZeroDivisionError" in run.messages[("test_site.check_broken.node1", f"{live.top}/good")]


def test_the_audit_path_holds_no_writer(live: Site, cluster: EmbeddedCluster) -> None:
    """An audit of drift of all kinds leaves every file of the node's own layer as it was."""
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    live.put("d/file._all")
    live.delete("evil._all")
    assert live.pytest("--fix").status == 0
    live.sh("node1", "rm -r @/d; echo x >@/file; touch @/evil")
    look = "find /etc /var /data /root /tmp /usr/local -xdev -newer /tmp/mark ! -path '*/cache/*' -print | sort"
    live.sh("node1", "touch /tmp/mark")
    before = live.sh("node1", look).splitlines()
    assert live.pytest().count("failure") == 4
    # What is on this machine as well shows through: another test may work on it at the same time.
    after = [path for path in live.sh("node1", look).splitlines() if not os.path.lexists(path)]
    assert set(after) <= set(before)


def test_ssh_is_the_only_thing_that_runs_without_fix(live: Site) -> None:
    """A dry run starts neither rsync nor a second connection: one round trip a node."""
    calls = live.directory / "calls"
    wrapper = live.directory / "ssh"
    wrapper.write_text(f'#!/bin/sh\necho "$*" >>{calls}\nexec ssh "$@"\n')
    wrapper.chmod(0o755)
    live.put("file._all")
    live.lines.append(f"rsync_cmd {live.directory / 'no-such-rsync'}")
    conf = live.configure()
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))
    command = live.command()
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))
    run = live.pytest(command=command)
    assert run.word("node1", f"{live.top}/file") == "failure"
    assert len(Path(calls).read_text().splitlines()) == 3
