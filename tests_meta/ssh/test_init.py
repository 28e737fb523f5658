"""`synctool-init` on real nodes: the commands that it prints run as printed, and adopted files are in sync."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from tests_meta.inside import HOME, inside
from tests_meta.site import Site
from tests_meta.terminal import Ended, run


def printed(output: str) -> list[str]:
    """Return the commands that synctool-init has printed, each with the `cd` before it."""
    lines = [line[4:] for line in output.partition("Next:\n")[2].splitlines() if line.startswith("    ")]
    return [f"{lines[0]} && {line}" for line in lines[1:]]


def with_ssh(site: Site, path: Path) -> dict[str, str]:
    """Return an environment in which `ssh` reaches the nodes, as with a ~/.ssh/config."""
    assert site.cluster is not None
    path.mkdir()
    (path / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {shlex.quote(str(site.cluster.ssh_config))} "$@"\n')
    (path / "ssh").chmod(0o755)
    return {"PATH": f"{path}:/usr/bin:/bin", "PYTEST_ADDOPTS": "-p no:hypothesispytest"}


def test_adopted_files_are_in_sync(live: Site, tmp_path: Path) -> None:
    """A file and a directory of two nodes, one with BusyBox, with owners and modes that no checkout keeps."""
    # As on a controller that has a cluster already: no printed command may work on that one.
    environment = {**with_ssh(live, tmp_path / "programs"), "SYNCTOOL_CONF": "/nonexistent/synctool.conf"}
    for node in ("node1", "node5"):
        live.sh(
            node, "mkdir -p @/sub; chmod 750 @/sub; echo hello >@/sub/file; chown 1:1 @/sub/file; ln -s file @/sub/link"
        )
    live.sh("node1", "echo secret >@/secret; chmod 600 @/secret")

    def init(*words: str) -> Ended:
        return run(tmp_path, "synctool-init", *words, more=environment)

    for words, status, reason in (
        (["node1", f"{live.top}/sub", f"{live.top}/none"], 1, f"node1: {live.top}/none is missing"),
        (["node1", "/dev/null"], 2, "is a special file"),
        (["dead", "/etc/fstab"], 3, "dead: unreachable: "),
    ):
        ended = init("a site", "--from", *words)
        assert ended.status == status, ended.err.decode()
        assert reason in ended.err.decode()
        assert [path.name for path in tmp_path.iterdir() if "site" in path.name or "init" in path.name] == []
    ended = init(
        "a site", "--from", "node1", f"{live.top}/sub", f"{live.top}/secret", "--from", "node5", f"{live.top}/sub"
    )
    assert (ended.status, ended.err) == (0, b"")
    overlay = tmp_path / "a site/masterdir/overlay" / live.top[1:]
    assert sorted(path.name for path in overlay.rglob("*")) == [
        *("file._node1", "file._node5", "link._node1", "link._node5", "secret._node1", "sub"),
    ]
    assert not list((tmp_path / "a site").rglob(".synctool-*"))
    audits = printed(ended.out.decode())
    assert [shlex.split(line, comments=True)[3:] for line in audits] == [
        ["pytest"], ["pytest", "--fix"], ["synctool", "-c", "synctool.conf"], ["pytest", "--synctool-lint"],
    ]  # fmt: skip
    for line in audits[1:3]:  # a repair is an audit, too, and has nothing to do here
        done = run(tmp_path, "sh", "-c", line, more=environment)
        assert done.status == 0, done.out.decode()
    assert init("a site", "--from", "node1", "/etc/fstab").status == 2


def test_a_site_of_this_machine(live: Site) -> None:
    """Without --from: the audit has a finding, --fix puts the file in place, and `synctool` has nothing to do."""
    with inside(live, "node2") as node:
        script = f"mkdir -p {HOME} && cd {HOME} && umask 077 && {sys.executable} -m pytest_synctool.cli.init site"
        output = node.cluster.run("node2", script).stdout.decode()
        audit, repair, classic, lint = printed(output)
        quick = "export PYTEST_ADDOPTS='-p no:hypothesispytest'; "
        statuses = [
            node.cluster.run("node2", quick + line, check=False, timeout=120).returncode
            for line in (audit, repair, classic, lint)
        ]
        assert statuses == [1, 0, 0, 0]
        assert live.sh("node2", "stat -c '%a %U' /etc/synctool-example /etc") == "644 root\n755 root\n"
        live.sh("node2", "rm /etc/synctool-example")
