"""More than one admin machine: nodes of the embedded cluster that audit and repair others, for one run."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.gate import MakeGate, running
from tests_meta.inside import inside
from tests_meta.site import Run, Site


@dataclass(frozen=True)
class Admins:
    """node3 and node4 have this Python and the plugin; they see nothing of this machine's /tmp before bring()."""

    site: Site
    cluster: EmbeddedCluster
    names: tuple[str, ...] = ("node3", "node4")

    def bring(self) -> None:
        """Copy to them what an administrator has to: configuration, masterdir, and what ssh needs to reach nodes."""
        site, keys = self.site, self.cluster.directory / "keys"
        files = [site.configure(), self.cluster.ssh_config, keys / "id", keys / "known_hosts"]
        below = sorted(site.masterdir.rglob("*"))
        for admin in self.names:
            for path in (*files, *(path for path in below if path.is_file())):
                self.cluster.write(admin, str(path), path.read_bytes(), path.stat().st_mode & 0o777)
            for path in (path for path in below if path.is_dir()):
                words = shlex.quote(str(path))
                self.cluster.run(admin, f"mkdir -p {words} && chmod {path.stat().st_mode & 0o777:o} {words}")

    def remove(self, admin: str) -> None:
        """Take away what bring() has brought."""
        keys = self.cluster.directory / "keys"
        self.cluster.run(admin, shlex.join(["rm", "-rf", str(self.site.directory), str(keys)]))

    def tx(self, *names: str) -> list[str]:
        """The options of a run on them."""
        rest = f"python={sys.executable}//ssh_config={self.cluster.ssh_config}"
        return ["--dist=load", *(f"--tx=ssh={admin}//{rest}" for admin in names or self.names)]


@pytest.fixture
def admins(live: Site, cluster: EmbeddedCluster) -> Iterator[Admins]:
    """Two admin machines for node1, node2, node5, and one that is down."""
    live.nodes = dict.fromkeys(("node1", "node2", "node5"), "batch") | {"dead1": "batch interface:127.0.0.1"}
    live.put("file._all")
    live.delete("evil._all")
    made = Admins(live, cluster)
    with ExitStack() as stack:
        for admin in made.names:
            stack.enter_context(inside(live, admin))
            stack.callback(made.remove, admin)
        yield made


def on(run: Run, node: str) -> set[str]:
    """The workers that have told of a node."""
    return set(re.findall(rf"^\[(gw\d)\] .*::{node}(?:::.*)?$", run.output, re.MULTILINE))


def error(run: Run, node: str) -> str:
    """What the report says of a node that could not be looked at."""
    return run.messages.get(("synctool_checks.test_delete", node), "").partition("\n")[2]


def test_audit_and_repair(admins: Admins) -> None:
    """Each does its share, findings and counts come together here in one report, and the log is written here."""
    site, cluster = admins.site, admins.cluster
    site.lines.append(f"logfile {site.directory / 'synctool.log'}")
    admins.bring()
    cluster.run("node4", f"rm {shlex.quote(str(cluster.directory / 'keys' / 'id'))}")  # so that it gets in nowhere
    audit = site.pytest(*admins.tx(), "-v")
    assert audit.status == 1, audit.output
    (stranded,) = {w for node in site.nodes for w in on(audit, node) if "Permission denied" in error(audit, node)}
    for node in ("node1", "node2", "node5"):
        (worker,) = on(audit, node)
        expected = "skipped" if worker == stranded else "failure"
        assert audit.word(node, f"{site.top}/file") == expected
        assert audit.word(node, f"{site.top}/evil", "delete") == ("skipped" if worker == stranded else "passed")
    assert len(on(audit, "node1") | on(audit, "node2") | on(audit, "node5") | on(audit, "dead1")) == 2
    admins.bring()
    fixed = site.pytest(*admins.tx(), "--tx=popen", "--fix")  # this machine does a share as well
    assert fixed.status == 1, fixed.output
    assert error(fixed, "dead1").startswith("dead1 unreachable: Connection refused")
    assert "4 nodes: 3 fixed, 1 not looked at" in fixed.output
    for node in ("node1", "node2", "node5"):
        assert site.sh(node, "cat @/file") == "content\n"
        assert f" {node}: {site.top}/file created (missing)\n" in (site.directory / "synctool.log").read_text()
    assert cluster.run("node3", f"ls {shlex.quote(str(site.directory))}").stdout.split() == [
        b"masterdir",
        b"synctool.conf",
    ]


def test_another_masterdir_is_refused(admins: Admins) -> None:
    """With the name of what differs, before any node is contacted; so is a machine that does not know what to do."""
    site, cluster = admins.site, admins.cluster
    admins.bring()
    path = site.masterdir / "overlay" / site.top[1:] / "file._all"
    cluster.write("node4", str(path), b"CONTENT\n")
    run = site.pytest(*admins.tx(), "--fix")
    assert run.status == 4, run.output
    conf = site.directory / "synctool.conf"
    assert re.search(
        rf"ERROR: worker gw1 on node4 cannot begin: its configuration or masterdir \({conf}, {site.masterdir}\) "
        rf"differs from the controller's\. Different: overlay{site.top}/file\._all\n",
        run.output,
    )
    assert "Traceback" not in run.output
    assert run.results == {}
    assert site.sh("node1", "ls @ 2>&1 || :").startswith("ls: cannot access")
    cluster.run("node4", shlex.join(["rm", str(conf)]))
    run = site.pytest(*admins.tx("node4"))
    assert run.status == 4
    assert f"worker gw0 on node4 cannot begin: {conf}: no such file (named by --synctool-conf)" in run.output


def test_an_admin_machine_that_is_lost(admins: Admins, gate: MakeGate) -> None:
    """In the middle of a repair: what it was at is an error, and the other machine takes over the rest."""
    site, cluster = admins.site, admins.cluster
    admins.bring()
    waiting = gate("node1", "mv")
    with running(site, *admins.tx()) as run:
        waiting.wait()
        at = "grep -lzx 'node[1]' /proc/[0-9]*/cmdline"  # the ssh that goes there
        (lost,) = [admin for admin in admins.names if cluster.run(admin, at, check=False).stdout]
        cluster.stop(lost)
        try:
            waiting.open()
            done = run.end()
        finally:
            cluster.start(lost)
    assert done.status == 1, done.output
    assert re.match(rf"node1: worker gw\d on {lost} crashed while it was at this node", error(done, "node1"))
    for node in ("node2", "node5"):
        assert done.word(node, f"{site.top}/file") == "passed"
        assert site.sh(node, "cat @/file") == "content\n"
    again = site.pytest("--lf", "--fix", "-k", "node1")
    assert again.status == 0, again.output
    assert site.sh("node1", "cat @/file") == "content\n"


def test_unreachable_admin_machines(admins: Admins) -> None:
    """All of them are told, before anything else is done; also a Python that is not there."""
    site, cluster = admins.site, admins.cluster
    site.lines.append(f"logfile {site.directory / 'synctool.log'}")
    cluster.stop("node4")
    try:
        run = site.pytest(*admins.tx(), f"--tx=ssh=-p {cluster.port} 127.0.0.1", "--fix")
    finally:
        cluster.start("node4")
    assert run.status == 4, run.output
    assert "ERROR: --tx ssh=node4: unreachable: Connection refused\n" in run.output
    assert f"--tx ssh=-p {cluster.port} 127.0.0.1: unreachable: " in run.output
    assert "node3: unreachable" not in run.output
    run = site.pytest(f"--tx=ssh=node3//python=/no/python//ssh_config={cluster.ssh_config}", "--dist=load")
    assert run.status == 4
    assert "ERROR: --tx ssh=node3: cannot run /no/python: " in run.output
    assert "name the Python that has pytest-synctool with --tx ssh=node3//python=PATH" in run.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tx=ssh=admin2"], "--tx needs --dist load: without it this machine does all the work"),
        (
            ["--tx=ssh=admin2", "--dist=load", "masterdir"],
            "--tx ssh= does not go with 'masterdir', which is a path on this machine",
        ),
        (["--tx=ssh=admin2", "--dist=load", "--lf"], "--lf and --ff do not go with --tx ssh=: only this machine"),
        (
            ["--tx=ssh=admin2", "--dist=load", "--max-worker-restart=2"],
            "--max-worker-restart does not go with --tx ssh=: a failed restart on a lost machine would end the run",
        ),
        (["--tx=ssh=admin2//ssh=admin3", "--dist=load"], "--tx: duplicate key: 'ssh'"),
        (["-n2", "--dist=worksteal", "--fix"], "--dist worksteal does not go with a repair: a node would have two"),
    ],
)
def test_what_it_does_not_go_with(site: Site, arguments: list[str], said: str) -> None:
    site.put("file._all")
    run = site.pytest(*arguments)
    assert run.status == 4
    assert said in run.output
    assert "Traceback" not in run.output
