"""The mirror on real nodes: all that the node may see, nothing else, and never a directory that is not its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import BY_RSYNC, Run, Site
from tests_meta.unit.helpers import ODD_NAMES

MARK = ".synctool-mirror"
ways = pytest.mark.parametrize("way", ["both", "rsync", "tar", "busybox tar"])


@pytest.fixture
def one(live: Site) -> Site:
    """A site with one node."""
    live.nodes = {"node1": "batch"}
    return live


@contextmanager
def reached_by(live: Site, way: str) -> Iterator[str]:
    """The one node, which takes files by this alone; another node if it is BusyBox's.

    By "both" it chooses itself: tar takes what comes first, rsync the rest.
    """
    node = "node5" if way.startswith("busybox") else "node1"
    live.nodes = {node: "batch"}
    if way in ("both", "rsync"):
        if way == "rsync":
            live.lines.append(BY_RSYNC)
        yield node
        return
    # /usr/bin is in the PATH of scripts on BusyBox's node, too.
    places = ["/usr/bin/rsync", *(["/run/busybox/rsync"] if node == "node5" else [])]
    live.sh(node, "; ".join(f"mv {rsync} {rsync}.off" for rsync in places))
    try:
        yield node
    finally:
        live.sh(node, "; ".join(f"mv {rsync}.off {rsync}" for rsync in places))


def listing(live: Site, node: str) -> set[str]:
    """All that is in a node's masterdir, links with a `@`, directories with a slash at their end."""
    found = set()
    for word, end in (("f", ""), ("l", "@"), ("d", "/")):
        names = live.sh(node, f"cd {live.masterdir} && find . -mindepth 1 -type {word}").splitlines()
        found |= {name.removeprefix("./") + end for name in names}
    return found


def files(live: Site, node: str) -> set[str]:
    """The same without directories and the mark."""
    return {name for name in listing(live, node) if not name.endswith("/")} - {MARK}


def with_ssh(live: Site, script: str, *arguments: str) -> Run:
    """A run whose ssh is a shell script: `$*` are the arguments, and what it does not end goes on as ssh."""
    wrapper = live.directory / "ssh"
    wrapper.write_text(f'#!/bin/sh\n{script}\nexec ssh "$@"\n')
    wrapper.chmod(0o755)
    command = live.command(*arguments)
    conf = live.directory / "synctool.conf"
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))
    return live.pytest(command=command)


@ways
def test_all_that_a_node_may_see_and_nothing_else(live: Site, way: str) -> None:
    """Sources, triggers, tasks, scripts, names of delete/, and what attributes.yaml says of these.

    What it could see before and what is gone from the repository is removed.
    """
    live.put("mine._batch")
    live.put("d/old._all")
    live.link("link._all", "/etc/../nowhere")
    live.script("mine.post", "#!/bin/sh\n")
    live.put("evil._all", "why it is evil\n", tree="delete")
    live.put("good._login", tree="delete")
    for tree, name in (("tasks", "check._batch"), ("tasks", "check._login"), ("scripts", "lib/tool"), ("scripts", "x")):
        path = live.masterdir / tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o750)
    (live.masterdir / "scripts" / "self").symlink_to("lib/tool")
    rules = "[{path: /**, sensitive: yes}, {path: /**/mine, owner: daemon, groups: batch}, {path: /x, group: daemon}]\n"
    (live.masterdir / "attributes.yaml").write_text(rules)
    (live.masterdir / "README").write_text("not for nodes\n")
    with reached_by(live, way) as node:
        run = live.pytest("--fix")
        assert run.status == 0, run.output
        top = f"overlay{live.top}"
        scripts = {"scripts/lib/tool", "scripts/x", "scripts/self@"}
        made = {f"delete{live.top}/evil._all", "attributes.yaml"}
        now = {f"{top}/mine._batch", f"{top}/mine.post", f"{top}/link._all@", "tasks/check._batch", *scripts, *made}
        assert files(live, node) == {*now, f"{top}/d/old._all"}
        assert live.sh(node, f"cat {live.masterdir}/delete{live.top}/evil._all") == ""
        assert yaml.safe_load(live.sh(node, f"cat {live.masterdir}/attributes.yaml")) == [
            {"sensitive": "yes", "source": ["overlay/data", top, f"{top}/d", f"{top}/d/old._all", f"{top}/link._all"]},
            {"owner": "daemon", "sensitive": "yes", "source": [f"{top}/mine._batch"]},
        ]
        assert live.sh(node, f"cd {live.masterdir}; stat -c %a . scripts/x; readlink scripts/self").split() == [
            "700", "750", "lib/tool",
        ]  # fmt: skip
        # The node is in another group now, a source is gone, and somebody has put things there.
        live.nodes = {node: "login"}
        live.put("theirs._login")
        (live.masterdir / top / "d" / "old._all").unlink()
        (live.masterdir / top / "d").rmdir()
        (live.masterdir / "attributes.yaml").unlink()
        live.sh(node, f"cd {live.masterdir}; touch mine overlay/more; mkdir -p delete/x tasks/y; ln -s / overlay/root")
        run = live.pytest("--fix")
        assert run.status == 0, run.output
        now = {f"{top}/theirs._login", f"{top}/link._all@", "tasks/check._login", *scripts}
        deleted = {f"delete{live.top}/{name}" for name in ("evil._all", "good._login")}
        assert files(live, node) == {*now, *deleted, "mine"}
        above = {
            "delete/",
            "delete/data/",
            f"delete{live.top}/",
            "overlay/",
            "overlay/data/",
            f"{top}/",
            "tasks/",
            "scripts/",
            "scripts/lib/",
        }
        assert {name for name in listing(live, node) if name.endswith("/")} == above
        warning = f"WARNING {node}: no rsync there, files were brought by tar"
        assert (warning in run.output) is way.endswith("tar")
        assert live.pytest().status == 0


@ways
def test_odd_names(live: Site, way: str) -> None:
    """Every name that a file can have arrives as it is, and goes again."""
    for name in ODD_NAMES:
        live.put(name + b"._batch", name)
    live.put("plain._all")
    with reached_by(live, way) as node:
        run = live.pytest("--fix")
        assert run.status == 0, run.output
        expected = {f"overlay{live.top}/" + os.fsdecode(name + b"._batch") for name in ODD_NAMES}
        look = f"cd {live.masterdir}; find overlay -type f -print0"
        assert set(live.sh(node, look).split("\0")) == {*expected, f"overlay{live.top}/plain._all", ""}
        live.nodes = {node: "login"}
        live.put("more._all")
        assert live.pytest("--fix").status == 0
        assert files(live, node) == {f"overlay{live.top}/plain._all", f"overlay{live.top}/more._all"}


def test_a_masterdir_with_an_odd_name(one: Site) -> None:
    """The path of the mirror passes two shells and rsync's own reading of words."""
    odd = one.directory / 'it\'s a "master" $(dir) \\ *'
    one.masterdir.rename(odd)
    one.masterdir = odd
    one.put("file._all")
    conf = one.directory / "synctool.yaml"
    assert one.cluster is not None
    settings = {
        "masterdir": str(odd),
        "ssh_cmd": f"ssh -F {one.cluster.ssh_config}",
        "nodes": {"node1": ["batch"]},
    }
    conf.write_text(json.dumps(settings))
    with reached_by(one, "tar"):
        run = one.pytest(f"--synctool-conf={conf}", "--fix", configured=False)
    assert run.status == 0, run.output
    one.sh("node1", "rm @/file")
    run = one.pytest(f"--synctool-conf={conf}", "--fix", configured=False)
    assert run.status == 0, run.output


@ways
def test_what_is_not_a_mirror_loses_nothing(live: Site, way: str) -> None:
    """A masterdir that was not empty may be the master's own: rsync takes nothing away, tar does not even begin."""
    live.put("file._all")
    with reached_by(live, way) as node:
        live.sh(node, f"mkdir -p {live.masterdir}/overlay; echo precious >{live.masterdir}/overlay/theirs")
        for _ in range(2):
            run = live.pytest("--fix")
            assert "was not empty and not made by --fix" in run.output
            assert live.sh(node, f"cat {live.masterdir}/overlay/theirs") == "precious\n"
            assert MARK not in files(live, node)
            live.sh(node, "rm -f @/file")
        if not way.endswith("tar"):
            assert run.status == 0, run.output
            assert f"WARNING {node}: {live.masterdir} was not empty" in run.output
        else:
            assert run.status == 1
            assert "and tar is not let into it" in run.message(node, f"{live.top}/file")
        # Removed once, it is a mirror.
        live.sh(node, f"rm -r {live.masterdir}")
        assert live.pytest("--fix").status == 0
        assert files(live, node) == {f"overlay{live.top}/file._all"}


@ways
def test_a_masterdir_shared_by_mistake_is_left_alone(live: Site, way: str) -> None:
    """The node's masterdir is the master's own, and nobody said rsync:no: not a file of it changes."""
    live.put("file._all")
    live.put("secret._login")
    live.put("evil._all", "why it is evil\n", tree="delete")
    (live.masterdir / "attributes.yaml").write_text("[{path: /**, sensitive: yes}]\n")
    (live.masterdir / "README").write_text("mine\n")
    for path in live.masterdir.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # tar keeps whole seconds
    with reached_by(live, way) as node:
        # What the node sees there are copies of the same files: by NFS they would be the same.
        live.sh(node, f"mkdir -p {live.masterdir}")
        tar = subprocess.run(["tar", "cC", live.masterdir, "."], stdout=subprocess.PIPE, check=True).stdout
        assert live.cluster is not None
        live.cluster.write(node, "/tmp/all.tar", tar)
        look = "find . -type f -exec stat -c '%n %i %Z' {} + | sort"
        before = live.sh(node, f"cd {live.masterdir}; tar xpf /tmp/all.tar; {look}")
        assert "secret" in before
        live.pytest("--fix")
        assert live.sh(node, f"cd {live.masterdir}; {look}") == before


@pytest.mark.parametrize("place", ["overlay", "overlay/data"])
def test_what_is_mounted_in_a_mirror_is_left_alone(one: Site, place: str) -> None:
    """Only a part of the masterdir is shared: rm would go through it."""
    one.put("file._all")
    assert one.pytest("--fix").status == 0
    one.sh("node1", f"rm @/file; mount -t tmpfs none {one.masterdir}/{place}; touch {one.masterdir}/{place}/theirs")
    run = one.pytest("--fix")
    assert run.status == 0, run.output
    assert "something is mounted below" in run.output
    assert f"{place}/theirs" in files(one, "node1")
    one.sh("node1", f"umount -l {one.masterdir}/{place}; rm @/file")
    assert one.pytest("--fix").status == 0
    assert files(one, "node1") == {f"overlay{one.top}/file._all"}


@pytest.mark.parametrize("said", ["rsync:no", "--skip-rsync"])
def test_a_node_that_shares_the_masterdir_is_sent_nothing(one: Site, said: str) -> None:
    """Whether its line says so, or the command."""
    option = [said] if said.startswith("--") else []
    one.nodes = {"node1": "batch" if option else f"batch {said}"}
    one.put("file._all")
    run = one.pytest("--fix", *option)
    assert "No such file or directory" in run.message("node1", f"{one.top}/file")
    assert one.sh("node1", f"[ -e {one.masterdir} ] || echo none") == "none\n"
    one.sh("node1", f"mkdir -p {one.masterdir}/overlay{one.top}; echo x >{one.masterdir}/overlay{one.top}/file._all")
    (one.masterdir / "overlay" / one.top[1:] / "file._all").write_text("x\n")
    assert one.pytest("--fix", *option).status == 0


@ways
def test_a_source_that_vanishes_before_the_push(live: Site, way: str) -> None:
    """Its own test fails; the others are fixed."""
    gone = live.put("gone._all")
    live.put("stays._all")
    gate = 'case "$*" in *synctool-new*) rm -f ' + str(gone) + ";; esac"
    if way != "rsync":  # it is packed when ssh is called, so it goes while the node is looked at
        gate = f"rm -f {gone}"
    with reached_by(live, way) as node:
        run = with_ssh(live, gate, "--fix")
        assert run.status == 1
        assert run.word(node, f"{live.top}/stays") == "passed"
        assert "missing, not fixed: " in run.message(node, f"{live.top}/gone")
        assert "No such file or directory" in run.message(node, f"{live.top}/gone")


@ways
def test_a_full_disk_leaves_nothing_half(live: Site, way: str) -> None:
    """The mirror stays as it was, the reason is told, and with room the next --fix ends the work."""
    live.put("small._all")
    with reached_by(live, way) as node:
        live.sh(node, f"mkdir -p {live.masterdir}; mount -t tmpfs -o size=256k none {live.masterdir}")
        assert live.pytest("--fix").status == 0
        before = listing(live, node)
        live.put("big._all", os.urandom(1_000_000))
        run = live.pytest("--fix")
        assert run.status == 1
        assert "No space left on device" in run.message(node, f"{live.top}/big")
        assert listing(live, node) == before
        live.sh(node, f"mount -o remount,size=10m {live.masterdir}")
        assert live.pytest("--fix").status == 0
        assert files(live, node) == {f"overlay{live.top}/small._all", f"overlay{live.top}/big._all"}
        live.sh(node, f"umount -l {live.masterdir}")


def test_a_masterdir_that_cannot_be_written(one: Site) -> None:
    """The reason is the node's own."""
    one.put("file._all")
    one.sh("node1", f"mkdir -p {one.masterdir}; mount -t tmpfs -o ro none {one.masterdir}")
    run = one.pytest("--fix")
    assert run.status == 1
    assert "the mirror on the node: " in run.message("node1", f"{one.top}/file")
    assert "Read-only file system" in run.message("node1", f"{one.top}/file")
    one.sh("node1", f"umount -l {one.masterdir}; rmdir {one.masterdir}; echo >{one.masterdir}")
    assert "File exists" in one.pytest("--fix").message("node1", f"{one.top}/file")


def test_directories_above_the_masterdir_are_open_to_all(one: Site) -> None:
    """Only the masterdir is root's own: what lies beside it later is none of its business."""
    one.put("file._all")
    deeper = one.directory / "a" / "b"
    deeper.mkdir(parents=True)
    one.masterdir = one.masterdir.rename(deeper / "masterdir")
    conf = one.configure()
    conf.write_text(conf.read_text().replace("masterdir masterdir", f"masterdir {one.masterdir}"))
    assert one.pytest(f"--synctool-conf={conf}", "--fix", configured=False).status == 0
    modes = one.sh("node1", f"stat -c %a {deeper.parent} {deeper} {one.masterdir}").split()
    assert modes == ["755", "755", "700"]


def test_rsync_dies_on_the_node(one: Site) -> None:
    """Said, nothing of it is in the mirror, and the next --fix ends the work."""
    one.put("file._all", "old\n")
    assert one.pytest("--fix").status == 0
    one.put("file._all", "new\n")
    before = one.sh("node1", f"cd {one.masterdir}; find . | sort; cat overlay{one.top}/file._all")
    one.sh("node1", "mv /usr/bin/rsync /usr/bin/rsync.off")
    try:
        dying = "#!/bin/sh\nhead -c 20 >/dev/null\nkill -KILL $$\n"
        assert one.cluster is not None
        one.cluster.write("node1", "/usr/bin/rsync", dying.encode(), 0o755)
        run = one.pytest("--fix")
    finally:
        one.sh("node1", "mv -f /usr/bin/rsync.off /usr/bin/rsync")
    assert run.status == 1
    assert "not fixed: rsync failed with status " in run.message("node1", f"{one.top}/file")
    assert one.sh("node1", f"cd {one.masterdir}; find . | sort; cat overlay{one.top}/file._all") == before
    assert one.pytest("--fix").status == 0
    assert one.sh("node1", "cat @/file") == "new\n"


def test_a_node_that_hangs_in_the_push_costs_its_own_deadline_only(live: Site, cluster: EmbeddedCluster) -> None:
    """It is given up, the others are fixed, and when it is back the next --fix ends the work."""
    for node in live.nodes:
        live.sh(node, "mkdir -p @")  # whatever earlier tests have left
    live.put("file._all")
    ready, go = live.directory / "ready", live.directory / "go"
    for fifo in (ready, go):
        os.mkfifo(fifo)
    wrapper = live.directory / "ssh"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *node2*synctool-new*) echo x >{ready}; read -r x <{go};; esac\nexec ssh "$@"\n'
    )
    wrapper.chmod(0o755)
    command = live.command("--fix", "--connect-timeout=2", "--node-timeout=6")
    conf = live.directory / "synctool.conf"
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))
    with subprocess.Popen(command, cwd=live.directory, stdout=subprocess.PIPE, text=True) as process:
        ready.read_text()
        cluster.freeze("node2")
        try:
            go.write_text("x\n")
            output, _ = process.communicate(timeout=60)
        finally:
            cluster.thaw("node2")
    assert process.returncode == 1
    assert "ERROR node2: unreachable: " in output
    assert "FIXED node[1,3]: " in output, output
    assert live.pytest("--fix").status == 0
    assert files(live, "node2") == {f"overlay{live.top}/file._all"}


def test_a_push_that_takes_longer_than_the_limit_arrives(one: Site) -> None:
    """The limit is one of silence, and rsync prints nothing while it sends a large file."""
    one.lines = ["rsync_cmd rsync --bwlimit=1000"]
    one.put("file._all", os.urandom(6_000_000))
    assert "unreachable" not in one.pytest("--fix", "--node-timeout=4").output
    assert one.sh("node1", "wc -c <@/file").strip() == "6000000"


def test_neither_rsync_nor_tar(one: Site) -> None:
    """What is missing, and where."""
    one.put("file._all")
    with reached_by(one, "tar"):
        one.sh("node1", "mv /usr/bin/tar /usr/bin/tar.off")
        try:
            run = one.pytest("--fix")
        finally:
            one.sh("node1", "mv /usr/bin/tar.off /usr/bin/tar")
    assert run.status == 1
    expected = "not fixed: no rsync there, and no tar there either: one of them has to be installed"
    assert expected in run.message("node1", f"{one.top}/file")


OLD_RSYNC = """#!/bin/sh
case $* in --version) echo 'rsync  version 3.0.9  protocol version 30'; exit ;; esac
echo 'rsync: unbekannte Option' >&2
exit 1
"""


def test_an_old_rsync(one: Site) -> None:
    """It does not know an option, on the node or here: tar does it, which is said, whatever the words and language."""
    one.put("file._all")
    one.lines.append(BY_RSYNC)
    one.sh("node1", "mv /usr/bin/rsync /usr/bin/rsync.off")
    try:
        assert one.cluster is not None
        one.cluster.write("node1", "/usr/bin/rsync", OLD_RSYNC.encode(), 0o755)
        run = one.pytest("--fix")
    finally:
        one.sh("node1", "mv -f /usr/bin/rsync.off /usr/bin/rsync")
    assert run.status == 0, run.output
    version = "rsync there does not do what a push needs (rsync  version 3.0.9  protocol version 30)"
    assert f"WARNING node1: {version}, files were brought by tar" in run.output
    old = one.directory / "old-rsync"
    old.write_text(OLD_RSYNC)
    old.chmod(0o755)
    one.lines[-1] = f"rsync_cmd {old}"
    one.sh("node1", "rm @/file")
    run = one.pytest("--fix")
    assert run.status == 0, run.output
    reason = "rsync here does not do what a push needs (rsync: unbekannte Option)"
    assert f"WARNING node1: {reason}, files were brought by tar" in run.output


def test_a_node_without_a_program_that_the_mirror_needs(one: Site) -> None:
    one.put("file._all")
    one.sh("node1", "mv /usr/bin/head /usr/bin/head.off")
    try:
        run = one.pytest("--fix")
    finally:
        one.sh("node1", "mv /usr/bin/head.off /usr/bin/head")
    assert run.status == 1
    assert "not fixed: the mirror on the node: it has no program head" in run.message("node1", f"{one.top}/file")


def test_no_rsync_here(one: Site) -> None:
    """The controller has none: tar does it, which is said."""
    one.put("file._all")
    one.lines.append("rsync_cmd no-such-rsync")
    run = one.pytest("--fix", "-n2")
    assert run.status == 0, run.output
    assert "WARNING node1: no no-such-rsync here, files were brought by tar" in run.output


def test_a_mirror_follows_what_needs_no_repair(one: Site) -> None:
    """What is in it counts for who audits the node against it: it is never left behind by a --fix."""
    one.put("file._all", mode=0o644)
    secret = one.put("secret._all", mode=0o600)
    one.delete("evil._all")
    look = f"cd {one.masterdir}; find overlay delete attributes.yaml -type f -printf '%f %m\\n' 2>&- | sort"
    assert one.pytest("--fix").status == 0
    assert one.sh("node1", look).splitlines() == ["evil._all 600", "file._all 644", "secret._all 600"]
    # Only the mode of a file has to be changed, for which no file is needed.
    (one.masterdir / "attributes.yaml").write_text(f"[{{path: {one.top}/file, mode: 640}}]\n")
    assert one.pytest("--fix").status == 0
    assert f'mode: "0640"\n  source:\n  - "overlay{one.top}/file._all"\n' in one.sh(
        "node1", f"cat {one.masterdir}/attributes.yaml"
    )
    # The node has nothing that differs.
    secret.unlink()
    one.sh("node1", "rm @/secret")
    (one.masterdir / "delete" / one.top[1:] / "evil._all").unlink()
    one.put("script._all", mode=0o755)
    one.sh("node1", "echo content >@/script; chmod 755 @/script")
    before = one.sh("node1", look)
    assert one.pytest().status == 0
    assert one.sh("node1", look) == before
    run = one.pytest("--fix")
    assert run.status == 0
    assert "WARNING" not in run.output
    assert one.sh("node1", look).splitlines() == ["attributes.yaml 600", "file._all 644", "script._all 755"]
    # Nothing at all is new.
    inodes = f"cd {one.masterdir}; find . -printf '%P %i %C@\\n' | sort"
    before = one.sh("node1", inodes)
    assert one.pytest("--fix").status == 0
    assert one.sh("node1", inodes) == before


def test_a_mirror_that_cannot_follow(one: Site) -> None:
    """Nothing of the node differs, so this is no failure, but it is said; and no mirror is made for it."""
    one.put("file._all")
    assert one.pytest("--fix").status == 0
    one.put("more._none")
    one.delete("evil._all")
    one.sh("node1", f"mount --bind {one.masterdir} {one.masterdir}; mount -o remount,bind,ro {one.masterdir}")
    try:
        run = one.pytest("--fix")
    finally:
        one.sh("node1", f"umount -l {one.masterdir}")
    assert run.status == 0, run.output
    assert "WARNING node1: its copy of the masterdir is not up to date: the mirror on the node: " in run.output
    one.sh("node1", f"rm -r {one.masterdir}")
    run = one.pytest("--fix")
    assert run.status == 0
    assert "WARNING" not in run.output
    assert one.sh("node1", f"ls -d {one.masterdir} 2>&- || :") == ""


def test_a_push_that_breaks_off_is_made_up_for(one: Site) -> None:
    """The mark says what is in the mirror, not what was meant to be."""
    one.put("file._all")
    assert one.pytest("--fix").status == 0
    mark = f"cat {one.masterdir}/{MARK}"
    before = one.sh("node1", mark)
    one.put("gone._batch")
    dying = 'case "$*" in *synctool-new*) exit 1;; esac'
    run = with_ssh(one, dying, "--fix")
    assert run.status == 1
    assert one.sh("node1", mark) == before
    one.sh("node1", "echo content >@/gone; chmod 644 @/gone")
    assert one.pytest("--fix").status == 0
    assert one.sh("node1", mark) != before
    assert f"overlay{one.top}/gone._batch" in files(one, "node1")


@ways
def test_only_names_of_what_must_not_exist_travel(live: Site, way: str) -> None:
    """Whatever is in the files there, and however odd the names are; a trigger is a file as ever."""
    for name in ODD_NAMES:
        live.put(b"d/" + name + b"._batch", b"x" * 1000, tree="delete")
    live.put("d/theirs._login", tree="delete")
    huge = live.put("huge._all", tree="delete")
    os.truncate(huge, 10 << 30)
    live.put("huge.post", "#!/bin/sh\n", 0o755, tree="delete")
    (live.masterdir / "delete" / live.top[1:] / "link._all").symlink_to("/etc/passwd")
    live.put("file._all")
    with reached_by(live, way) as node:
        live.sh(node, "mkdir -p @/d; touch @/huge @/d/star*")
        run = live.pytest("--fix")
        assert run.status == 0, run.output
        there = f"cd {live.masterdir}/delete{live.top}; find . -type f"
        expected = {os.fsdecode(b"./d/" + name) + "._batch" for name in ODD_NAMES}
        found = set(live.sh(node, f"{there} -print0").split("\0")) - {""}
        assert found == {*expected, "./huge._all", "./link._all", "./huge.post"}
        assert live.sh(node, f"{there} ! -size 0") == "./huge.post\n"


def test_a_push_for_nothing_but_what_changed(one: Site) -> None:
    """What the mirror has already is linked, not sent again."""
    one.put("big._all", os.urandom(500_000))
    one.put("small._all")
    assert one.pytest("--fix").status == 0
    inode = f"stat -c %i {one.masterdir}/overlay{one.top}/big._all"
    before = one.sh("node1", inode)
    one.sh("node1", "rm @/small")
    assert one.pytest("--fix").status == 0
    assert one.sh("node1", inode) == before


@ways
def test_all_is_sent_to_a_node_without_the_mark(live: Site, way: str) -> None:
    """What a push that was cut off has left does not count then, whatever its name, size and time."""
    live.put("file._all", "content\n")
    with reached_by(live, way) as node:
        assert live.pytest("--fix").status == 0
        name = f"overlay{live.top}/file._all"
        live.sh(
            node,
            f"cd {live.masterdir} && mkdir .synctool-part && mv overlay .synctool-part/ && rm {MARK} @/file && "
            f"touch -r .synctool-part/{name} time && printf 'another\\n' >.synctool-part/{name} && "
            f"touch -r time .synctool-part/{name} && rm time",
        )
        run = live.pytest("--fix")
        assert run.status == 0, run.output
        assert live.sh(node, f"cat @/file {live.masterdir}/{name}") == "content\n" * 2
        assert not {file for file in listing(live, node) if file.startswith(".synctool-part")}


def test_digests_are_compared_only_where_there_is_a_mirror(one: Site) -> None:
    """A first push would read everything twice for nothing."""
    called = one.directory / "rsync"
    called.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" | grep -x -e --checksum -e --ignore-times >>{called}.log\nexec rsync "$@"\n'
    )
    called.chmod(0o755)
    one.lines.append(f"rsync_cmd {called}")
    one.put("file._all")
    for change in (":", "rm @/file"):
        one.sh("node1", change)
        assert one.pytest("--fix").status == 0
    assert Path(f"{called}.log").read_text().split() == ["--ignore-times", "--checksum"]
