"""A node at work on itself: pytest runs on a real node, over the local connection, against the masterdir there."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from io import BytesIO

import pytest
from pytest_synctool.audit import owed_commands

from tests_meta.gate import MakeGate, running
from tests_meta.inside import CONF, Inside, inside
from tests_meta.site import BY_RSYNC, Run, Site
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
    directory = os.fsdecode(owed_commands.directory(os.fsencode(site.masterdir)))
    assert site.sh("node2", f"ls -d {directory}/owed {directory}/../lock* 2>&- || :") == ""


def test_restore(alone: Inside) -> None:
    """What a repair has kept comes back, whoever made the repair."""
    site = alone.site
    site.nodes = {"node2": "batch"}
    site.put("file._all", "new\n")
    carry(alone)
    site.sh("node2", "mkdir -p @; echo old >@/file")
    for is_own in (True, False):
        fixed = alone.pytest("--hosts=localhost", "--fix") if is_own else site.pytest("--fix", "--skip-rsync")
        assert fixed.status == 0
        run = alone.pytest("--hosts=localhost", "--restore", "--fix")
        assert run.status == 0, run.output
        assert site.sh("node2", "cat @/file") == "old\n"


def test_the_command(alone: Inside) -> None:
    """`synctool -n localhost` and `synctool --nodename=NAME` work on the machine that they run on, and only there."""
    site = alone.site
    site.nodes = {"node1": "batch", "node2": "batch"}
    site.put("file._all", "new\n")
    carry(alone)
    for node in ("node1", "node2"):
        site.sh(node, "mkdir -p @; chmod 755 @ /data; echo older >@/file")
    told = f"node2: {site.top}/file updated (file size mismatch)"
    assert alone.synctool("-q", "-n", "localhost") == (1, ["DRY RUN, not doing any updates", told])
    assert alone.synctool("--nodename=node2", "-qf") == (0, [told])
    assert alone.synctool("-n", "localhost") == (0, ["DRY RUN, not doing any updates", "1 node: 1 in sync"])
    assert [site.sh(node, "cat @/file") for node in ("node1", "node2")] == ["older\n", "new\n"]
    status, lines = alone.synctool("--nodename=node2", "-n", "node1")
    assert status == 2
    assert lines == [
        "--nodename names the node that this machine is: use it alone or with -n=localhost, not with -n=node1"
    ]


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
        alone.site.sh("node2", f"umount -l {masterdir}")


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
    at = gate("node2", "cp")
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


def test_a_trigger_that_takes_too_long(alone: Inside) -> None:
    """It is ended, and the others run; the next repair runs it again."""
    site = alone.site
    site.nodes = {"node2": "batch"}
    site.put("a._all")
    site.put("b._all")
    site.script("a.post", f"#!/bin/sh\n[ -e {LOG} ] || {{ echo $$ >{LOG}; exec sleep 100; }}\n")
    site.script("b.post", f"#!/bin/sh\necho b >>{LOG}\n")
    carry(alone)
    run = alone.pytest("--hosts=localhost", "--fix", "--node-timeout=3", "--trigger-timeout=4")
    assert run.status == 1
    assert "a.post failed: it did not end within 4 s" in run.message("node2", f"{site.top}/a")
    pid, b = site.sh("node2", f"cat {LOG}").split()
    assert b == "b"
    assert site.sh("node2", f"kill -0 {pid} 2>&- || echo ended") == "ended\n"
    run = alone.pytest("--hosts=localhost", "--fix")
    assert run.status == 0, run.output
    assert alone.pytest("--hosts=localhost").status == 0


RULES = """
- {{path: '{top}/o*', owner: root, group: root}}
- {{path: '{top}/**/secret*', mode: 600, sensitive: yes}}
- {{path: '{top}/theirs', owner: bin, groups: login}}
- {{path: '{top}/nobodys-business', mode: 400, groups: login}}
- {{path: '{top}/games', owner: games, group: games, groups: [batch, login]}}
- {{path: '{top}/number', owner: 4321}}
- {{source: 'overlay{top}/deep/conf._node2', mode: 2750}}
- {{path: '{top}/checked', validate: 'grep -q valid %s', groups: node2}}
- {{path: '{top}/st[*]r', mode: 604}}
- {{path: '{top}/grüße', mode: 640}}
- {{path: '{top}/may', follow: yes}}
- {{path: '{top}/must-not', follow: no, groups: batch}}
- {{path: '{top}/must-not', follow: yes, groups: login}}
"""

DRIFT = """
cd @; echo more >>plain; echo secrer >secret; chmod 644 secret; rm checked; chown daemon games; chgrp 0 games
touch evil
ln -sfn /elsewhere link; chmod 644 deep/conf st*r gr*e; chmod 700 deep; rm -r dir; echo >dir; chown bin number own bad*
mv mine mine.away; mkdir mine
for each in may must-not; do mv $each $each.real; ln -s $each.real $each; rm $each/file; done
"""


def varied(site: Site) -> None:
    """Every kind of entry, with what attributes.yaml can say of it, and what is none of the node's business."""
    site.nodes = {"node1": "login", site_node(site): "batch"}
    for name in (
        "plain._all",
        "secret._batch",
        "secret._login",
        "checked._all",
        "games._all",
        "number._all",
        "own._all",
    ):
        site.put(name, f"valid, for {name}\n")
    for name in ("theirs._login", "nobodys-business._login", "st*r._all", "grüße._all", "mine._login", "mine._batch"):
        site.put(name)
    site.put(b"bad\xff._all")
    for name in ("may", "must-not"):
        site.put(f"{name}/file._all")
    site.put("deep/conf._batch")
    site.put(f"deep/conf._{site_node(site)}", "own\n")
    site.put("dir/below._all")
    site.put("dir._batch/deeper._all")
    site.directory_of("dir._batch", 0o750)
    site.link("link._all", "/etc/../nowhere")
    for name in ("own._all", os.fsdecode(b"bad\xff._all")):
        os.chown(site.masterdir / "overlay" / site.top[1:] / name, 1, 4321)
    os.chown(site.put("gamer._all"), 5, 60)
    site.delete("evil._all")
    site.delete("good._login")
    site.put("evil.post", "#!/bin/sh\nexit 0\n", 0o755, tree="delete")
    site.script("plain.post", f"#!/bin/sh\n[ ! -e {LOG} ]\n")
    site.script("plain.post._login", "#!/bin/sh\nexit 1\n")
    site.lines += [f"on_update {site.top}/secret true", "ignore *.swp"]
    task = site.masterdir / "tasks" / "check._batch"
    task.parent.mkdir()
    task.write_text("#!/bin/sh\n")
    task.chmod(0o755)
    text = RULES.format(top=site.top).replace("node2", site_node(site))
    (site.masterdir / "attributes.yaml").write_text(text, encoding="utf-8")


def site_node(site: Site) -> str:
    """The node of a site that works on itself."""
    return next(name for name in site.nodes if name in ("node2", "node5"))


def differences(one: Run, other: Run) -> dict[tuple[str, str], tuple[str, str]]:
    """What the reports of two runs say of the tests of which they do not say the same."""
    found = [
        {key: f"{run.results.get(key)}: {run.messages.get(key)}" for key in {**one.results, **other.results}}
        for run in (one, other)
    ]
    return {key: (found[0][key], found[1][key]) for key in found[0] if found[0][key] != found[1][key]}


@pytest.mark.parametrize("way", ["rsync", "tar", "busybox"])
def test_a_node_finds_by_its_copy_what_the_master_finds(live: Site, way: str) -> None:
    """The same tests with the same results, to the letter, and the same repair; the next master's --fix is at home."""
    name = "node5" if way == "busybox" else "node2"
    live.nodes = {name: "batch"}
    varied(live)
    if way != "busybox":
        live.lines.append(BY_RSYNC if way == "rsync" else "rsync_cmd no-such-rsync")
    live.sh(name, f"rm -f {LOG}; cp /etc/passwd /etc/passwd.orig; sed -i s/^games:x:5:/games:x:5005:/ /etc/passwd")
    try:
        with inside(live, name) as node:
            node.configure()
            same_findings(live, node)
            same_repository(live, node)
    finally:
        live.sh(name, "mv /etc/passwd.orig /etc/passwd")


def same_findings(live: Site, node: Inside) -> None:
    """The master has repaired the node; whatever happens there then, both find, and what both find is put right."""
    hosts = f"--hosts={node.node}"
    run = live.pytest("--fix", hosts)
    assert run.status == 0, run.output
    for drift in (DRIFT, f"touch {LOG}; echo more >>@/plain; cd @; rm -rf dir; chmod 0 [!l]*", ":"):
        live.sh(node.node, f"rm -f {LOG}; {drift}")
        master, own = live.pytest("--tasks", hosts), node.pytest("--tasks", "--hosts=localhost")
        assert own.status == master.status
        assert differences(own, master) == {}
        assert own.count("failure") > 10 or drift == ":"
        if LOG in drift:  # the trigger will fail, and is owed
            broken = node.pytest("--hosts=localhost", "--fix", "-k", "plain")
            assert broken.word(node.node, f"{live.top}/plain") == "failure"
            master, own = live.pytest(hosts), node.pytest("--hosts=localhost")
            assert master.word(node.node, f"post:{live.top}/plain", "post") == "failure"
            assert differences(own, master) == {}
            live.sh(node.node, f"rm {LOG}")
        fixed = node.pytest("--hosts=localhost", "--fix")
        assert fixed.status == 0, fixed.output
        assert live.pytest(hosts).status == 0


def same_repository(live: Site, node: Inside) -> None:
    """The copy tells nothing of others, is as the master left it, and goes on to be the master's."""
    told = live.sh(node.node, f"cat {live.masterdir}/attributes.yaml")
    assert [word for word in ("theirs", "nobody", "login", "mine._login", "conf._batch") if word in told] == []
    live.put("news._all")
    assert live.pytest("--fix", f"--hosts={node.node}").status == 0
    live.sh(node.node, "rm @/news")
    own = node.pytest("--hosts=localhost")
    assert own.status == 1
    assert "missing" in own.message(node.node, f"{live.top}/news")
    assert live.sh(node.node, f"ls -A {live.masterdir}").split() == [
        ".synctool-mirror", "attributes.yaml", "delete", "overlay", "tasks",
    ]  # fmt: skip


def test_a_node_that_only_has_to_be_without_something(alone: Inside) -> None:
    """Its copy has no sources, but is a masterdir all the same."""
    site = alone.site
    site.nodes = {"node2": "batch"}
    site.delete("evil._all")
    site.put("evil.post", f"#!/bin/sh\necho gone >{LOG}\n", 0o755, tree="delete")
    alone.configure()
    site.sh("node2", "mkdir -p @; touch @/evil")
    assert site.pytest("--fix").status == 0
    site.sh("node2", "touch @/evil")
    assert alone.pytest("--hosts=localhost").word("node2", f"{site.top}/evil", "delete") == "failure"
    run = alone.pytest("--hosts=localhost", "--fix")
    assert run.status == 0, run.output
    assert site.sh("node2", f"cat {LOG}; ls @") == "gone\n"


def test_a_configuration_that_is_one_of_the_files(alone: Inside) -> None:
    """The administrator has it put on the nodes as any other file."""
    site = alone.site
    site.nodes = {"node2": "batch"}
    site.put("file._all")
    alone.configure()
    text = site.sh("node2", f"cat {CONF}; rm {CONF}")
    there = site.masterdir / "overlay" / "etc" / "synctool.conf._all"
    there.parent.mkdir(mode=0o755)
    there.write_text(text)
    assert site.pytest("--fix").status == 0
    site.sh("node2", "rm @/file")
    run = alone.pytest("--hosts=localhost", "--fix")
    assert run.status == 0, run.output
    assert f"FIXED node2: {site.top}/file created (missing)" in run.output
    assert site.pytest().status == 0


def test_exclusive_directories_and_purge(alone: Inside) -> None:
    """A node finds and moves away, by its mirror alone, what is in no entry: the same as the controller does."""
    site = alone.site
    site.lines.append("layout 7")
    masterdir = site.masterdir
    for name in ("overlay/all", "overlay/batch"):
        (masterdir / name).mkdir(parents=True)
    for name in (
        f"overlay/all{site.top}/snippets/ours._all",
        f"overlay/batch{site.top}/tree/deep/ours._batch",
        f"overlay/login{site.top}/snippets/theirs._all",
        f"purge/all{site.top}/pure/f",
        f"purge/batch{site.top}/pure/f",
        f"purge/batch{site.top}/pure/sub/g._all",
        f"purge/login{site.top}/pure/h",
    ):
        (masterdir / name).parent.mkdir(parents=True, exist_ok=True)
        (masterdir / name).write_text(name)
    rules = [f"path: {site.top}/snippets, exclusive: yes, allow: '*.local'", f"path: {site.top}/tree, exclusive: tree"]
    rules[1] += ", acl: 'user:daemon:rx,default:user:daemon:rwx'"
    rules.append(f"path: {site.top}/snippets/ours, acl: 'user:daemon:r', selinux: restore")
    (masterdir / "attributes.yaml").write_text("".join(f"- {{{rule}}}\n" for rule in rules))
    assert site.pytest("--fix", "--hosts=node2").status == 0
    alone.configure()
    assert alone.pytest("--hosts=localhost").status == 0
    look = "cd @ && find . -type f -printf '%p %s\n' | sort"
    before = site.sh("node2", look)
    assert "purge/batch" in site.sh("node2", "cat @/pure/f")
    site.sh("node2", "cd @; echo >snippets/rogue; echo >snippets/x.local; mkdir tree/rogue; echo >tree/deep/rogue")
    site.sh("node2", "cd @; echo >pure/h; mkdir pure/sub/d; rm pure/sub/g._all; echo >>pure/f")
    site.sh("node2", "cd @; setfacl -b snippets/ours; setfacl -k tree")
    run, here = site.pytest("--hosts=node2"), alone.pytest("--hosts=localhost")
    assert (run.status, here.status) == (1, 1)
    for path in ("snippets/", "tree/", "pure/"):
        message = run.message("node2", f"{site.top}/{path}", "exclusive")
        assert "not in the masterdir" in message
        assert here.message("node2", f"{site.top}/{path}", "exclusive") == message
    assert here.count("failure") == run.count("failure")
    fixed = alone.pytest("--hosts=localhost", "--fix")
    assert fixed.status == 0, fixed.output
    assert alone.pytest("--hosts=localhost").status == site.pytest("--hosts=node2").status == 0
    site.sh("node2", "rm @/snippets/x.local")
    assert site.sh("node2", look) == before
    assert alone.synctool("--restore", "-f", "-n", "localhost")[0] == 0
    assert "rogue" in site.sh("node2", "ls @/snippets")
    assert alone.synctool("-f", "-n", "localhost")[0] == 0
    assert site.sh("node2", look) == before
