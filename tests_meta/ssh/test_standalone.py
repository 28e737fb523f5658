"""A node at work on itself: pytest runs on a real node, over the local connection, against the masterdir there."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from io import BytesIO

import pytest
from pytest_synctool import journal

from tests_meta.gate import MakeGate, running
from tests_meta.inside import Inside, inside
from tests_meta.site import Site
from tests_meta.ssh.test_sudo import ACCOUNTS, RULE

LOG = "/tmp/standalone.log"


@pytest.fixture
def alone(live: Site) -> Iterator[Inside]:
    """node2, which has what the site has."""
    with inside(live, "node2") as node:
        live.sh("node2", f"rm -f {LOG}")
        yield node


def carry(node: Inside) -> None:
    """Bring the whole masterdir of the site to the node, as a shared file system would."""
    stream = BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.add(node.site.masterdir, "masterdir")
    directory = node.site.masterdir.parent
    node.cluster.write(node.node, "/run/masterdir.tar", stream.getvalue())
    node.site.sh(node.node, f"mkdir -p {directory} && tar xpf /run/masterdir.tar -C {directory}")
    node.configure()


def full(site: Site) -> None:
    """Something of every tree."""
    site.put("file._batch", "for batch\n", 0o600)
    site.put("other._login")
    site.script("file.post", f'#!/bin/sh\nenv | grep ^SYNCTOOL_ | sort >>{LOG}; echo "in $(pwd)" >>{LOG}\n')
    site.delete("evil._all")
    site.lines.append(f"on_update {site.top} from-scripts")
    site.nodes["node2"] += " hostname:node2.example.org"
    for name, text in (("scripts/from-scripts", "from scripts"), ("tasks/check._batch", "a task")):
        path = site.masterdir / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {text} of $SYNCTOOL_NODE >>{LOG}\n")
        path.chmod(0o755)


@pytest.mark.parametrize("more", [(), ("-n2",), ("--batch=1",), ("--serial", "--skip-rsync")], ids=" ".join)
def test_repair(alone: Inside, more: tuple[str, ...]) -> None:
    """Files, deletions, triggers and tasks, with the node's own names; one log; nothing beside the masterdir."""
    site = alone.site
    full(site)
    site.lines.append("logfile /run/synctool.log")
    carry(alone)
    site.sh(
        "node2",
        "mkdir -p @; chmod 755 @ /data; touch @/evil; echo old >@/file; chmod 600 @/file; rm -f /run/synctool.log",
    )
    before = site.sh("node2", f"cd {site.masterdir}; find . -printf '%P %i %C@\\n' | sort")
    audit = alone.pytest("--hosts=localhost", "--tasks")
    assert audit.status == 1
    assert audit.count("failure") == 2
    assert audit.word("node2", "/check", "tasks") == "skipped"
    assert site.sh("node2", f"cat @/file; ls {LOG} /run/synctool.log 2>&- || :") == "old\n"
    run = alone.pytest("--hosts=localhost", "--fix", "--tasks", *more)
    assert run.status == 0, run.output
    assert site.sh("node2", "stat -c '%a %U' @/file; cat @/file @/file.saved; ls -A @").split("\n")[:-1] == [
        "600 root", "for batch", "old", "file", "file.saved",
    ]  # fmt: skip
    assert site.sh("node2", f"cat {LOG}").splitlines() == [
        f"SYNCTOOL_MASTERDIR={site.masterdir}",
        "SYNCTOOL_NODE=node2",
        "SYNCTOOL_NODENAME=node2.example.org",
        f"SYNCTOOL_ROOT={site.masterdir}",
        f"in {site.top}",
        "from scripts of node2",
        "a task of node2",
    ]
    log = [line.partition(" ")[2] for line in site.sh("node2", "cat /run/synctool.log").splitlines()]
    assert log == [
        "synctool --fix began: root, 1 node",
        f"node2: {site.top}/evil deleted (must not exist)",
        f"node2: {site.top}/file updated (file size mismatch)",
        f"node2: running command $masterdir/overlay{site.top}/file.post",
        "node2: running command from-scripts",
        "node2: running command $masterdir/tasks/check._batch",
        "synctool --fix ended: 3 fixed, 0 failed",
    ]
    assert alone.pytest("--nodename=node2").status == 0
    assert site.sh("node2", f"cd {site.masterdir}; find . -printf '%P %i %C@\\n' | sort") == before
    directory = os.fsdecode(journal.directory(os.fsencode(site.masterdir)))
    assert site.sh("node2", f"ls -d {directory} {directory}/../lock* 2>&- || :") == ""


def test_a_masterdir_that_can_only_be_read(alone: Inside) -> None:
    """As it is where nodes share the file system that it is on."""
    full(alone.site)
    carry(alone)
    masterdir = alone.site.masterdir
    alone.site.sh("node2", f"mount --bind {masterdir} {masterdir}; mount -o remount,bind,ro {masterdir}")
    try:
        run = alone.pytest("--hosts=localhost", "--fix", "--tasks")
        assert run.status == 0, run.output
        assert alone.pytest("--hosts=localhost").status == 0
    finally:
        alone.site.sh("node2", f"umount {masterdir}")


def test_nodes_that_share_a_masterdir_do_not_keep_each_other_from_it(alone: Inside) -> None:
    """All of them may be at work on themselves in the same minute, and so may the master."""
    full(alone.site)
    carry(alone)
    lock = f"{alone.site.masterdir}/.synctool-lock"
    script = f'flock -n {lock} flock -n {alone.site.masterdir} "$@"'
    run = alone.pytest("--hosts=localhost", "--fix", prefix=["sh", "-c", script, "sh"])
    assert run.status == 0, run.output


def test_one_repair_of_the_node_at_a_time(alone: Inside, gate: MakeGate) -> None:
    """While the master repairs it the node changes nothing, is told who is at work, and goes on afterwards."""
    alone.site.nodes = {"node2": "batch"}
    alone.site.put("file._all")
    carry(alone)
    alone.site.sh("node2", f"touch {alone.site.masterdir}/.synctool-mirror")
    at = gate("node2", "install")
    with running(alone.site) as master:
        at.wait()
        run = alone.pytest("--hosts=localhost", "--fix")
        at.open()
        assert master.end().status == 0
    assert run.status == 1
    assert "not fixed: another --fix is under way there: root@" in run.message("node2", f"{alone.site.top}/file")
    assert alone.pytest("--hosts=localhost", "--fix").status == 0


def test_what_is_owed_is_known_to_both(alone: Inside) -> None:
    """A trigger that failed under one of them is a failing test of the other, whose --fix runs it."""
    site = alone.site
    site.nodes = {"node2": "batch"}
    site.put("file._all")
    site.script("file.post", f"#!/bin/sh\n[ -e {LOG} ]\n")
    name = f"post:{site.top}/file"
    carry(alone)
    run = alone.pytest("--hosts=localhost", "--fix")
    assert f"put right, but overlay{site.top}/file.post failed: exit status 1" in run.message(
        "node2", f"{site.top}/file"
    )
    assert "owed" in site.pytest().message("node2", name, "post")
    assert "owed" in alone.pytest("--hosts=localhost").message("node2", name, "post")
    site.sh("node2", f"touch {LOG}")
    assert f"FIXED node2: {name} ran" in alone.pytest("--hosts=localhost", "--fix").output
    assert site.pytest().status == 0


def test_sudo(alone: Inside) -> None:
    """An ordinary user of the node, who may use sudo and read the masterdir; without --sudo nothing is changed."""
    if shutil.which("sudo") is None:
        pytest.skip("sudo is not installed")
    site = alone.site
    site.nodes = {"node2": "batch"}
    site.put("file._all", mode=0o644)
    site.script("file.post", f"#!/bin/sh\nid -un >{LOG}\n")
    carry(alone)
    site.sh(
        "node2", ACCOUNTS + f"chmod 711 /root; cd {site.masterdir}; while chmod a+x . && [ $PWD != / ]; do cd ..; done"
    )
    alone.cluster.write("node2", "/etc/sudoers.d/op", f"{RULE}\n".encode(), 0o440)
    user = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups"]
    try:
        run = alone.pytest("--hosts=localhost", "--fix", prefix=user)
        assert run.status == 1
        assert "Permission denied" in run.message("node2", f"{site.top}/file")
        run = alone.pytest("--hosts=localhost", "--fix", "--sudo", prefix=user)
        assert run.status == 0, run.output
        assert site.sh("node2", f"stat -c %U @/file; cat {LOG}") == "root\nroot\n"
    finally:
        site.sh("node2", "rm -f /etc/sudoers.d/op; chmod 700 /root")


def test_a_repair_that_takes_too_long(alone: Inside) -> None:
    """It is killed in the middle, as nothing would be over ssh: the next one ends the work all the same."""
    site = alone.site
    site.nodes = {"node2": "batch"}
    site.put("a._all")
    site.put("b._all")
    site.script("a.post", f"#!/bin/sh\n[ -e {LOG} ] || {{ echo $$ >{LOG}; exec sleep 100; }}\n")
    site.script("b.post", f"#!/bin/sh\necho b >>{LOG}\n")
    carry(alone)
    run = alone.pytest("--hosts=localhost", "--fix", "--node-timeout=3")
    pid = site.sh("node2", f"cat {LOG}")
    site.sh("node2", f"kill {pid}")
    assert run.status == 1
    assert "put right, but no answer within 3 s" in run.message("node2", f"{site.top}/a")
    run = alone.pytest("--hosts=localhost", "--fix")
    assert run.status == 0, run.output
    assert site.sh("node2", f"cat {LOG}") == f"{pid}b\n"
    assert alone.pytest("--hosts=localhost").status == 0
