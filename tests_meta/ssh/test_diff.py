"""`synctool --diff` on real nodes: what differs, on which nodes together, and no secret among it."""

from __future__ import annotations

import shlex

import pytest
from pytest_synctool.audit.fetch import LIMIT
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import Site
from tests_meta.terminal import Ended, run

MASTER = "one\ntwo\nthree\n"


def synctool(site: Site, *arguments: str) -> Ended:
    """Run synctool in the directory of the site; `@` stands for the test's own top."""
    site.configure()
    return run(site.directory, "synctool", *(argument.replace("@", site.top) for argument in arguments))


def diff(site: Site, *arguments: str) -> Ended:
    """Run it for the file `motd`."""
    return synctool(site, "-d", "@/motd", *arguments)


@pytest.fixture
def motd(live: Site) -> Site:
    """A file for all, as the master has it on every node."""
    live.put("motd._all", MASTER)
    for node in live.nodes:
        live.sh(node, f"mkdir -p @; printf {shlex.quote(MASTER)} >@/motd; chmod 644 @/motd")
    return live


def changed(site: Site, node: str = "node1") -> str:
    """What -d shows if a node has `TWO` instead of `two`."""
    lines = f"--- node{site.top}/motd\n+++ overlay{site.top}/motd._all\n@@ -1,3 +1,3 @@\n one\n-TWO\n+two\n three\n"
    return "".join(f"{node}: {line}\n" for line in lines.splitlines())


def test_nothing_differs(motd: Site) -> None:
    for option in ("-d", "--diff"):
        assert synctool(motd, option, "@/motd") == Ended(0, b"", b"")


def test_a_difference_can_be_repaired_at_once(motd: Site) -> None:
    """With -f these files, and no others; --unix prints the commands, and contacts no node without -f."""
    motd.put("other._all")
    motd.sh("node1", "sed -i s/two/TWO/ @/motd")
    ended = diff(motd, "-f", "-n", "node1,node2", "--no-saved")
    assert ended.status == 0, ended
    assert ended.out.decode() == changed(motd) + (
        "--fix specified, applying changes\n"
        f"node1: {motd.top}/motd updated (MD5 mismatch)\n"
        "2 nodes: 1 in sync, 1 fixed\n"
    )
    assert motd.sh("node1", "cat @/motd; ls @") == f"{MASTER}motd\n"
    command = f"diff -u {motd.top}/motd {motd.masterdir}/overlay{motd.top}/motd._all"
    ended = diff(motd, "--unix")
    assert ended == Ended(0, "".join(f"node{n}: {command}\n" for n in (1, 2, 3)).encode(), b"")


def test_equal_differences_are_one(motd: Site) -> None:
    """Under the nodes that have them, the most first."""
    motd.sh("node1", "echo four >>@/motd")
    for node in ("node2", "node3"):
        motd.sh(node, "sed -i s/two/TWO/ @/motd")
    motd.sh("node3", "touch -t 200001010000 @/motd")
    ended = diff(motd)
    assert ended.status == 1
    assert ended.out.decode().startswith(changed(motd, "node[2-3]") + "node1: --- node")
    assert ended.out.decode().endswith("node1: -four\n")
    assert ended.err == b""
    assert diff(motd, "-n", "node3").out.decode() == changed(motd, "node3")
    assert diff(motd, "-g", "batch", "-x", "node1").out.decode() == changed(motd, "node2")


def test_several_files(motd: Site) -> None:
    """One round trip for all of them."""
    motd.put("other._batch", "other\n")
    motd.sh("node1", "sed -i s/two/TWO/ @/motd; echo another >@/other")
    calls = motd.directory / "calls"
    wrapper = motd.directory / "counting-ssh"
    assert motd.cluster is not None
    wrapper.write_text(f'#!/bin/sh\necho x >>{calls}\nexec ssh -F {motd.cluster.ssh_config} "$@"\n')
    wrapper.chmod(0o755)
    conf = motd.configure()
    conf.write_text(conf.read_text().replace(f"ssh_cmd ssh -F {motd.cluster.ssh_config}", f"ssh_cmd {wrapper}"))
    command = ["synctool", "-d", f"{motd.top}/motd", "-d", f"{motd.top}/other"]
    ended = run(motd.directory, *command, "-n", "node1,node3")
    assert ended.status == 1
    assert ended.out.decode().startswith(changed(motd))
    assert b"node1: -another\n" in ended.out
    assert ended.err.decode() == f"node3: {motd.top}/other is not in the overlay tree\n"
    assert len(calls.read_text().split()) == 2


def test_what_is_no_file_there(motd: Site) -> None:
    motd.link("link._all", "target")
    motd.sh("node1", "rm @/motd; ln -s elsewhere @/link")
    motd.sh("node2", "rm @/motd; mkdir @/motd; ln -s target @/link")
    motd.sh("node3", "rm @/motd; mkfifo @/motd; echo file >@/link")
    ended = synctool(motd, "-d", "@/motd", "-d", "@/link")
    assert ended.status == 1
    assert ended.out.decode().replace(motd.top, "") == (
        "node1: /motd is missing\n"
        "node2: /motd is a directory, overlay/motd._all is a file\n"
        "node3: /motd is a special file, overlay/motd._all is a file\n"
        "node1: /link: link target: expected target, found elsewhere\n"
        "node3: /link is a file, overlay/link._all is a symbolic link\n"
    )


def test_owner_and_mode(motd: Site) -> None:
    motd.sh("node2", "chown daemon @/motd; chmod 755 @/motd")
    ended = diff(motd)
    lines = ["owner: expected root, found daemon", "mode: expected 0644, found 0755"]
    assert ended.out.decode() == "".join(f"node2: {motd.top}/motd: {line}\n" for line in lines)
    assert ended.status == 1


def test_binary_and_large(motd: Site) -> None:
    motd.sh("node1", r"printf '\0' >@/motd")
    motd.sh("node2", f"head -c {LIMIT + 1} /dev/zero >@/motd")
    motd.sh("node3", r"printf 'one\ntwo\nthr\033ee\r\n' >@/motd")
    one, two, *three = diff(motd).out.decode().splitlines()
    assert one == f"node1: {motd.top}/motd: binary files differ"
    assert two == (
        f"node2: {motd.top}/motd differs; 14 bytes here, {LIMIT + 1:,} there: more than {LIMIT:,} are not shown"
    )
    assert three[-2:] == ["node3: -thr\\x1bee\\r", "node3: +three"]


@pytest.mark.parametrize("whose", ["rule", "source", "node"])
def test_secrets(motd: Site, whose: str) -> None:
    """What not everybody may read is not shown, unless that is asked for; that it differs is told."""
    motd.nodes = {"node1": "batch"}
    if whose == "rule":
        (motd.masterdir / "attributes.yaml").write_text(f"- path: {motd.top}/motd\n  sensitive: yes\n")
    motd.sh("node1", f"echo hunter2 >@/motd; chmod {'600' if whose == 'node' else '644'} @/motd")
    motd.put("motd._all", "swordfish\n", 0o600 if whose == "source" else 0o644)
    ended = diff(motd)
    assert ended.status == 1
    assert b"motd differs; its contents are not shown, since " in ended.out
    for secret in (b"hunter2", b"swordfish"):
        assert secret not in ended.out + ended.err
        assert secret in diff(motd, "--show-sensitive").out
    motd.sh("node1", "echo swordfish >@/motd; chmod 600 @/motd")
    motd.put("motd._all", "swordfish\n", 0o600)
    assert diff(motd) == Ended(0, b"", b"")


def test_nodes_that_cannot_be_looked_at(motd: Site) -> None:
    """An error each on standard error; the others are compared all the same."""
    motd.nodes |= {"dead1": "batch interface:127.0.0.1", "dead2": "batch interface:127.0.0.1"}
    motd.sh("node1", "sed -i s/two/TWO/ @/motd")
    ended = diff(motd)
    assert ended.status == 3
    assert ended.out.decode() == changed(motd)
    assert ended.err == b"dead[1-2]: unreachable: Connection refused\n"


def test_a_file_that_cannot_be_read(motd: Site, cluster: EmbeddedCluster) -> None:
    """As an ordinary user; never taken for missing or empty."""
    accounts = "grep -q ^op: /etc/passwd || { echo op:x:4242:4242::/tmp:/bin/sh >>/etc/passwd; "
    accounts += "echo 'op:*:19000:0:99999:7:::' >>/etc/shadow; echo op:x:4242: >>/etc/group; }"
    cluster.run("node1", accounts)
    motd.nodes = {"node1": "batch connection:ssh://op@node1"}
    motd.sh("node1", "chmod 600 @/motd; echo longer than it was >>@/motd")
    for arguments in ((), ("--show-sensitive",)):
        ended = diff(motd, *arguments)
        assert (ended.status, ended.out.count(b"\n+")) == (1 if not arguments else 3, 0)
    assert ended.err.decode() == f"node1: {motd.top}/motd could not be read: Permission denied\n"
    motd.sh("node1", "chmod 700 @")
    ended = diff(motd)
    assert ended == Ended(3, b"", f"node1: {motd.top}/motd cannot be looked at: Permission denied\n".encode())


def test_a_frozen_node_costs_its_own_deadline_only(motd: Site, cluster: EmbeddedCluster) -> None:
    motd.sh("node1", "sed -i s/two/TWO/ @/motd")
    cluster.freeze("node2")
    try:
        ended = diff(motd, "--timeout", "3", "--connect-timeout", "2")
    finally:
        cluster.thaw("node2")
    assert (ended.status, ended.out.decode()) == (3, changed(motd))
    assert ended.err.startswith(b"node2: unreachable: ")


def test_busybox(motd: Site) -> None:
    motd.nodes = {"node5": "batch"}
    motd.sh("node5", f"mkdir -p @; printf {shlex.quote(MASTER)} | sed s/two/TWO/ >@/motd")
    assert diff(motd).out.decode() == changed(motd, "node5")


class TestCommand:
    """diff_cmd."""

    def test_it_is_run_as_configured(self, motd: Site) -> None:
        motd.lines.append("diff_cmd diff -c")
        motd.sh("node1", "sed -i s/two/TWO/ @/motd")
        ended = diff(motd)
        assert ended.status == 1
        assert f"node1: *** node{motd.top}/motd\nnode1: --- overlay{motd.top}/motd._all\n" in ended.out.decode()
        assert b"node1: ! TWO" in ended.out
        assert b"diff_cmd" not in ended.err  # it is carried out, so nothing has to be said

    def test_nobody_else_can_read_what_it_gets(self, motd: Site) -> None:
        command = motd.directory / "look"
        command.write_text('#!/bin/sh\numask\nstat -c "%a %U" . "$1" "$2"\ncat "$1" "$2"\npwd\nexit 1\n')
        command.chmod(0o755)
        motd.lines.append(f"diff_cmd {command}")
        motd.sh("node1", "echo other >@/motd")
        *lines, directory = [line.removeprefix("node1: ") for line in diff(motd).out.decode().splitlines()]
        assert lines[1:] == ["700 root", "600 root", "600 root", "other", "one", "two", "three"]
        assert run(motd.directory, "ls", directory).status != 0

    def test_what_fails(self, motd: Site) -> None:
        motd.sh("node1", "echo other >@/motd")
        motd.lines.append("diff_cmd sh -c 'cat $1 $2 >&2; exit 2' sh")
        ended = diff(motd)
        assert ended.status == 3
        assert ended.err.decode() == "node1: 'sh -c cat $1 $2 >&2; exit 2 sh' failed with status 2\n"
        motd.lines[-1] = "diff_cmd no-such-diff -u"
        ended = diff(motd)
        assert (ended.status, ended.out) == (2, b"")
        assert b"'diff_cmd': there is no command 'no-such-diff' on this machine" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "@/none"], "-d: no selected node has @/none in the overlay tree (did you mean '@/mine'?)"),
        (["-d", "@/mine", "-n", "node1"], "-d: no selected node has @/mine in the overlay tree (did you mean '@'?)"),
        (
            ["-d", "motd"],
            "-d: expected a path like /etc/fstab, or a source of a selected node like overlay/etc/fstab._all, not 'mo",
        ),
        (["--show-sensitive"], "synctool: error: --show-sensitive needs -d"),
        (["-d", "@/motd", "-r", "@/motd"], "synctool: error: -r does not go with -d"),
        (["-d", "@/motd", "-t"], "synctool: error: -t does not go with -d"),
        (["-d", "@/motd", "--manifest"], "synctool: error: --manifest does not go with -d"),
    ],
)
def test_mistakes(motd: Site, arguments: list[str], message: str) -> None:
    motd.put("mine._login")
    ended = synctool(motd, *arguments)
    assert (ended.status, ended.out) == (2, b"")
    assert ended.err.decode().splitlines()[-1].startswith(message.replace("@", motd.top))
