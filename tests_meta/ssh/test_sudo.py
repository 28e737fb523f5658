"""Nodes that only an ordinary user may log in to, who is let through by a real sudo."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import BY_RSYNC, Site
from tests_meta.ssh.test_dsh import SLEEP, left_behind
from tests_meta.terminal import run

SUITE = "synctool_checks.test_overlay"
RULE = "op ALL=(ALL) NOPASSWD: ALL"
ACCOUNTS = (
    "grep -q ^op: /etc/passwd || { echo op:x:4242:4242::/tmp:/bin/sh >>/etc/passwd; "
    "echo 'op:*:19000:0:99999:7:::' >>/etc/shadow; echo op:x:4242: >>/etc/group; }; "
)


@pytest.fixture
def sudo(live: Site, cluster: EmbeddedCluster) -> Iterator[Site]:
    """node1, reached as a user who may use sudo, with a file that only root can put in place."""
    if shutil.which("sudo") is None:
        pytest.skip("sudo is not installed")
    cluster.run("node1", ACCOUNTS)
    cluster.write("node1", "/etc/sudoers.d/op", f"{RULE}\n".encode(), 0o440)
    cluster.run("node1", f"umask 022; mkdir -p {live.directory}")  # else the user would own it
    live.nodes = {"node1": "batch connection:ssh://op@node1"}
    live.put("file._all", mode=0o600)
    live.script("file.post", f"#!/bin/sh\nid -un >{live.top}/who\n")
    yield live
    cluster.run("node1", "rm -f /etc/sudoers.d/op")


def test_without_sudo_the_user_can_change_nothing(sudo: Site) -> None:
    """Otherwise the tests below would say nothing. The message names the option, whichever step fails first."""
    sudo.sh("node1", "mkdir -p @")
    for option, lines, step in (
        ("--skip-rsync", [], "no lock can be made there: "),
        ("--fix", [], "the mirror on the node: "),
        ("--fix", ["rsync_cmd no-such-rsync"], "the mirror on the node: "),
    ):
        sudo.lines = lines
        run = sudo.pytest("--fix", option)
        assert run.status == 1
        message = run.message("node1", f"{sudo.top}/file").splitlines()[0]
        assert step in message
        assert message.endswith("Permission denied (the login is not root: see --sudo)")


@pytest.mark.parametrize("way", ["both", "rsync", "tar"])
def test_audit_and_repair(sudo: Site, way: str) -> None:
    """Looking, pushing, repairing and triggers, all as root; ordinary tests with `host` too."""
    sudo.lines += {"both": [], "rsync": [BY_RSYNC], "tar": ["rsync_cmd no-such-rsync"]}[way]
    assert sudo.pytest("--sudo").word("node1", f"{sudo.top}/file") == "failure"
    fixed = sudo.pytest("--sudo", "--fix")
    assert fixed.status == 0, fixed.output
    assert sudo.sh("node1", f"cat @/who; stat -c '%U %a' @/file {sudo.masterdir}").split() == [
        "root", "root", "600", "root", "700",
    ]  # fmt: skip
    assert ("brought by tar" in fixed.output) is (way == "tar")
    assert sudo.pytest("--sudo", "-n2").status == 0
    sudo.nodes = {"node1": "batch connection:ssh://op@node1?sudo=true"}
    assert sudo.pytest().status == 0
    (sudo.directory / "test_site.py").write_text(
        "def test_me(host):\n    assert host.check_output('id -un') == 'root'\n"
    )
    command = sudo.command("--sudo")
    command[3:5] = ["test_site.py"]
    assert sudo.pytest(command=command).status == 0


def test_another_user(sudo: Site) -> None:
    """--sudo-user: everything happens as that user, who cannot change owners."""
    sudo.sh("node1", f"mkdir -p @ {sudo.masterdir}; chown nobody @ {sudo.masterdir}; chmod 755 @")
    run = sudo.pytest("--sudo", "--sudo-user=nobody", "--fix")
    assert sudo.sh("node1", f"stat -c %U {sudo.masterdir}") == "nobody\n"
    assert run.status == 1


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("rm /etc/sudoers.d/op", "sudo: a password is required"),
        ("mv /usr/bin/sudo /usr/bin/sudo.off", "sudo: not found"),
    ],
)
def test_sudo_that_asks_or_is_missing_is_said(sudo: Site, spoil: str, reason: str) -> None:
    """One error for the node, with sudo's own word, and no waiting for an answer."""
    sudo.sh("node1", spoil)
    try:
        for arguments in ((), ("--fix",)):
            run = sudo.pytest("--sudo", *arguments)
            assert run.status == 1
            assert run.results[(SUITE, "node1")] == "error"
            assert "node1 unreachable: " in run.messages[(SUITE, "node1")]
            assert reason in run.messages[(SUITE, "node1")]
            assert run.word("node1", f"{sudo.top}/file") == "skipped"
    finally:
        sudo.sh("node1", "[ ! -e /usr/bin/sudo.off ] || mv /usr/bin/sudo.off /usr/bin/sudo")


def test_dsh(sudo: Site) -> None:
    """dsh becomes root where the node's line says so, and ends what runs as root there."""
    sudo.configure()
    assert run(sudo.directory, "dsh", "id", "-un").out == b"node1: op\n"
    assert run(sudo.directory, "dsh", "--sudo", "id", "-un").out == b"node1: root\n"
    assert run(sudo.directory, "dsh", "--sudo", "--sudo-user=nobody", "id", "-un").out == b"node1: nobody\n"
    sudo.nodes = {"node1": "batch connection:ssh://op@node1?sudo=true"}
    sudo.configure()
    ended = run(sudo.directory, "dsh", 'id -un; echo "it\'s $0"; cat; exit 255', data=b"data\n")
    assert (ended.status, ended.out) == (255, b"node1: root\nnode1: it's /bin/sh\nnode1: data\n")
    assert run(sudo.directory, "dsh", "--timeout=1", SLEEP).status == 124
    assert left_behind(sudo) == {}
    sudo.sh("node1", "rm /etc/sudoers.d/op")
    ended = run(sudo.directory, "dsh", "id", "-un")
    assert (ended.status, ended.out) == (1, b"")
    assert "node1: sudo: a password is required" in ended.errors()


def test_the_other_commands(sudo: Site) -> None:
    """synctool audits, repairs, compares and uploads as root with --sudo; dcp copies to where only root may write."""
    sudo.configure()
    sudo.sh("node1", "rm -rf @; mkdir -p @; chmod 755 @ /data; echo old >@/file; chmod 600 @/file")

    def synctool(*words: str) -> tuple[int, str]:
        ended = run(sudo.directory, "synctool", *words)
        return ended.status, (ended.out + ended.err).decode().replace(sudo.top, "@")

    status, lines = synctool("-q", "--show-sensitive", "-d", f"{sudo.top}/file")
    assert (status, "Permission denied" in lines) == (3, True)
    status, lines = synctool("-q", "--sudo", "--show-sensitive", "-d", f"{sudo.top}/file")
    assert (status, "-old" in lines) == (1, True)
    status, lines = synctool("-q", "-u", f"{sudo.top}/file")  # GNU tar gives the reason before its last line
    assert (status, "Permission denied" in lines) == (3, True), lines
    assert synctool("-q", "--sudo", "-u", f"{sudo.top}/file")[0] == 0
    assert synctool("-qf")[1].endswith("(the login is not root: see --sudo)\n")
    status, lines = synctool("-qf", "--sudo")
    assert status == 0, lines
    assert sudo.sh("node1", "cat @/file @/who") == "content\nroot\n"
    (sudo.directory / "copied").write_text("copied\n")
    words = ("dcp", "-q", "-d", sudo.top, "copied")
    assert run(sudo.directory, *words).status == 1
    assert run(sudo.directory, words[0], "--sudo", *words[1:]).status == 0
    assert sudo.sh("node1", "stat -c %U @/copied") == "root\n"
    assert synctool("--sudo-user=nobody") == (2, "synctool: error: --sudo-user needs --sudo\n")
