"""The `synctool` command on real nodes, line by line as the documentation has it."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests_meta.gate import MakeGate
from tests_meta.site import Site
from tests_meta.terminal import run, terminal

SYNCTOOL = Path(sys.executable).parent / "synctool"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    lines: list[str]
    complaints: str


def synctool(live: Site, *arguments: str) -> Ended:
    """Run the command in the site's directory. `/etc` stands for the test's own directory in what it says."""
    live.configure()
    done = subprocess.run(
        [SYNCTOOL, *arguments], cwd=live.directory, capture_output=True, check=False, timeout=120, text=True
    )
    assert "Traceback" not in done.stderr
    return Ended(done.returncode, done.stdout.replace(f"{live.top}/etc", "/etc").splitlines(), done.stderr)


@pytest.fixture
def documented(live: Site) -> Site:
    """The documentation's repository, brought to three nodes; then identd is another one on node3."""
    live.nodes["node1"] += " somegroup"
    for name in (
        *("fstab._all", "fstab._node5", "fstab._node7", "motd.production._batch", "sudoers._all", "nsswitch.conf._all"),
        *("nsswitch.conf.old._all", "sysctl.conf._all", "resolv.conf._all", "resolv.conf._somegroup"),
        *("tcpd_banner.production._all", "tcpd_banner.production._batch", "issue.net.production._all"),
        *("syslog.conf._all", "issue.production._all", "modules.conf._all"),
        *("hosts.allow.production._interactive", "xinetd.d/identd._all"),
    ):
        live.put(f"etc/{name}", f"{name}\n")
    live.directory_of("etc/sysconfig")
    live.lines.append("group interactive none")
    live.script("etc/xinetd.d/identd.post", "#!/bin/sh\necho reloaded >>/tmp/reloaded.log\n")
    done = synctool(live, "-qf")
    assert done.status == 0, done
    for node in live.nodes:
        live.sh(node, "rm -f /tmp/reloaded.log")
    live.sh("node3", "echo more >>@/etc/xinetd.d/identd")
    return live


DRY_RUN = "DRY RUN, not doing any updates\n"
UPDATED = [
    "node3: /etc/xinetd.d/identd updated (file size mismatch)",
    "node3: running command $masterdir/overlayTOP/etc/xinetd.d/identd.post",
]


def updated(live: Site) -> list[str]:
    """What the documentation shows."""
    return [line.replace("TOP/etc", f"{live.top}/etc").replace(f"{live.top}/etc", "/etc") for line in UPDATED]


def test_a_dry_run_then_a_repair(documented: Site) -> None:
    """`synctool -q` and `synctool -qf`; afterwards there is nothing to tell."""
    assert synctool(documented, "-q") == Ended(1, updated(documented), DRY_RUN)
    assert documented.sh("node3", "cat /tmp/reloaded.log 2>&- || :") == ""
    found = synctool(documented)
    assert found.lines == ["DRY RUN, not doing any updates", *updated(documented), "3 nodes: 2 in sync, 1 drifted"]
    assert synctool(documented, "-qf") == Ended(0, updated(documented), "")
    assert (
        documented.sh("node3", "cat /tmp/reloaded.log; cat @/etc/xinetd.d/identd") == "reloaded\nxinetd.d/identd._all\n"
    )
    assert synctool(documented, "-q") == Ended(0, [], "")
    assert synctool(documented, "-f").lines == ["--fix specified, applying changes", "3 nodes: 3 in sync"]


def test_the_same_size(documented: Site) -> None:
    """Then "synctool will calculate an MD5 checksum"."""
    documented.sh("node3", "tr a-z b-za <@/etc/fstab >/tmp/x; cat /tmp/x >@/etc/fstab; rm /tmp/x")
    assert synctool(documented, "-q", "-1", f"{documented.top}/etc/fstab") == Ended(
        1, ["node3: /etc/fstab updated (MD5 mismatch)"], DRY_RUN
    )


def test_on_update(documented: Site) -> None:
    """`node3: running command /bin/rm /etc/xinetd.d/*.saved ; /etc/init.d/xinetd reload`"""
    (documented.masterdir / f"overlay{documented.top}/etc/xinetd.d/identd.post").unlink()
    command = f"/bin/rm {documented.top}/etc/xinetd.d/*.saved ; echo reloaded >/tmp/reloaded.log"
    documented.lines.append(f"on_update {documented.top}/etc/xinetd.d {command}")
    shown = [UPDATED[0], "node3: running command /bin/rm /etc/xinetd.d/*.saved ; echo reloaded >/tmp/reloaded.log"]
    assert synctool(documented, "-q").lines == shown
    assert synctool(documented, "-qf") == Ended(0, shown, "")
    assert documented.sh("node3", "cat /tmp/reloaded.log; ls @/etc/xinetd.d") == "reloaded\nidentd\n"


@pytest.mark.parametrize("way", ["on_update", ".post"])
def test_triggers_of_a_file_and_of_its_directory(documented: Site, way: str) -> None:
    """`on_update /etc/xinetd.d/identd COMMAND`, and `xinetd.d.post` in the place of `identd.post`."""
    etc = documented.masterdir / f"overlay{documented.top}/etc"
    if way == ".post":
        (etc / "xinetd.d/identd.post").rename(etc / "xinetd.d.post")
        command = "$masterdir/overlay/etc/xinetd.d.post"
    else:
        (etc / "xinetd.d/identd.post").unlink()
        command = "echo reloaded >>/tmp/reloaded.log"
        documented.lines.append(f"on_update {documented.top}/etc/xinetd.d/identd {command}")
    assert synctool(documented, "-qf") == Ended(0, [UPDATED[0], f"node3: running command {command}"], "")
    assert documented.sh("node3", "cat /tmp/reloaded.log") == "reloaded\n"


def test_verbose(documented: Site) -> None:
    """`synctool -v`: "another way of displaying the logic that synctool performs"."""
    found = synctool(documented, "-v", "-n", "node1,node3")
    for line in (
        "node1: checking $masterdir/overlay/etc/tcpd_banner.production._all",
        "node1: overridden by $masterdir/overlay/etc/tcpd_banner.production._batch",
        "node3: checking $masterdir/overlay/etc/issue.net.production._all",
        "node3: checking $masterdir/overlay/etc/syslog.conf._all",
        "node3: checking $masterdir/overlay/etc/issue.production._all",
        "node3: checking $masterdir/overlay/etc/modules.conf._all",
        "node3: checking $masterdir/overlay/etc/hosts.allow.production._interactive",
        "node3: skipping $masterdir/overlay/etc/hosts.allow.production._interactive, it is not one of my groups",
        *updated(documented),
        "node3:     /etc/xinetd.d/identd file size: expected 21 bytes, found 26 bytes",
    ):
        assert line in found.lines
    nodes = [line.partition(":")[0] for line in found.lines[1:-1]]
    assert nodes == sorted(nodes), "the lines of a node stay together"


def test_aggregated(documented: Site) -> None:
    """`synctool -qa`, which is `synctool -q | synctool-aggr`."""
    for node in ("node1", "node2"):
        documented.sh(node, "rm @/etc/fstab")
    found = synctool(documented, "-qa")
    assert found.status == 1
    assert found.lines == [
        "node[1-2]:",
        "    /etc/fstab created (missing)",
        "node3:",
        *(f"    {line.removeprefix('node3: ')}" for line in updated(documented)),
    ]
    plain = subprocess.run([SYNCTOOL, "-q"], cwd=documented.directory, capture_output=True, check=False).stdout
    piped = subprocess.run([f"{SYNCTOOL}-aggr"], input=plain, capture_output=True, check=True).stdout.decode()
    assert piped.replace(f"{documented.top}/etc", "/etc").splitlines() == found.lines


def test_only_some(documented: Site) -> None:
    """-1, -n, -g, -x and -X narrow it; what is not selected is left alone."""
    documented.sh("node3", "rm @/etc/fstab; echo x >>@/etc/sysctl.conf")
    fstab, sysctl = (f"{documented.top}/etc/{name}" for name in ("fstab", "sysctl.conf"))
    assert synctool(documented, "-q", "-g", "batch").lines == []
    assert synctool(documented, "-q", "-X", "login").lines == []
    assert synctool(documented, "-q", "-x", "node3").lines == []
    assert synctool(documented, "-qf", "-1", fstab, "--single", sysctl, "-n", "node[1-3]").lines == [
        "node3: /etc/fstab created (missing)",
        "node3: /etc/sysctl.conf updated (file size mismatch)",
    ]
    assert synctool(documented, "-q").lines == updated(documented)
    none = synctool(documented, "-1", "/nowhere")
    assert (none.status, none.lines) == (2, [])
    assert none.complaints == "-1: no selected node has /nowhere in overlay/ or delete/ (see -r)\n"


def test_which_file(documented: Site) -> None:
    """`synctool -q -n node1 -r /etc/resolv.conf`"""
    found = synctool(documented, "-q", "-n", "node1", "-r", f"{documented.top}/etc/resolv.conf")
    assert found == Ended(0, ["node1: /etc/resolv.conf._somegroup"], "")


def test_nodes_with_a_file_of_their_own(documented: Site) -> None:
    """fstab "is identical throughout the cluster, with the exception of node5 and node7", and 'none' is nobody."""
    documented.nodes |= {"node5": "batch", "node7": "batch"}
    documented.put("etc/issue._none")
    fstab, issue = f"{documented.top}/etc/fstab", f"{documented.top}/etc/issue"
    own = {"node5": "node5", "node7": "node7"}
    assert synctool(documented, "-q", "-r", fstab).lines == [
        f"{node}: /etc/fstab._{own.get(node, 'all')}" for node in documented.nodes
    ]
    assert synctool(documented, "-q", "-r", issue).status == 1
    assert synctool(documented, "-qf", "-n", "node5").status == 0
    assert documented.sh("node5", "cat @/etc/fstab; ls @/etc") == (
        "fstab._node5\nfstab\nissue.net.production\nissue.production\nmodules.conf\nmotd.production\nnsswitch.conf\n"
        "nsswitch.conf.old\nresolv.conf\nsudoers\nsysconfig\nsysctl.conf\nsyslog.conf\ntcpd_banner.production\nxinetd.d\n"
    )


def test_groups_and_exclusion(documented: Site) -> None:
    """`synctool -g batch,sched -X rack8`: "This also works for dsh and dcp"."""
    documented.nodes |= {"node2": "batch rack8", "node3": "sched rack1"}
    for node in documented.nodes:
        documented.sh(node, "rm @/etc/fstab")
    some = ("-g", "batch,sched", "-X", "rack8")
    assert synctool(documented, "-q", *some, "-1", f"{documented.top}/etc/fstab").lines == [
        f"{node}: /etc/fstab created (missing)" for node in ("node1", "node3")
    ]
    assert run(documented.directory, "dsh", *some, "hostname").lines() == ["node1: node1", "node3: node3"]
    assert run(documented.directory, "dcp", *some, "-d", "/tmp", "synctool.conf").lines() == [
        f"{node}: copied /tmp/synctool.conf" for node in ("node1", "node3")
    ]


def test_skip_rsync(documented: Site) -> None:
    """The node's copy of the masterdir is taken as it is."""
    rsync = documented.directory / "rsync"
    rsync.write_text('#!/bin/sh\ntouch called\nexec rsync "$@"\n')
    rsync.chmod(0o755)
    documented.lines.append(f"rsync_cmd {rsync}")
    documented.put("etc/new._login")
    found = synctool(documented, "-qf", "--skip-rsync")
    assert (found.status, found.lines[:2]) == (1, updated(documented))
    assert found.lines[2].startswith("node3: /etc/new missing, not fixed: ")
    assert not (documented.directory / "called").exists()
    assert synctool(documented, "-qf").status == 0
    assert (documented.directory / "called").exists()


def test_tasks(documented: Site) -> None:
    """Only with -t, and run only "if you also supply '-f'..!". Nothing else is looked at then, nor repaired."""
    for name in ("install", "other"):
        task = documented.masterdir / f"tasks/{name}._login"
        task.parent.mkdir(exist_ok=True)
        task.write_text("#!/bin/sh\necho installed >>/tmp/reloaded.log\n")
        task.chmod(0o755)
    one = ("-1", "tasks/install._login")
    ran = "node3: running command $masterdir/tasks/install._login"
    assert ran not in synctool(documented, "-qf").lines
    assert synctool(documented, "-qt", *one) == Ended(0, [ran], DRY_RUN)
    assert documented.sh("node3", "cat /tmp/reloaded.log; rm @/etc/fstab") == "reloaded\n"
    assert synctool(documented, "-q", "--tasks", "--fix", *one) == Ended(0, [ran], "")
    assert documented.sh("node3", "cat /tmp/reloaded.log") == "reloaded\ninstalled\n"
    assert synctool(documented, "-qtf", "-1", "/install").lines == [ran]
    assert synctool(documented, "-qtf").lines == [ran, ran.replace("install", "other")]
    assert synctool(documented, "-tf", "-1", "/fstab").complaints.startswith(
        "-1: no selected node has /fstab in tasks/"
    )
    assert synctool(documented, "-q").lines == ["node3: /etc/fstab created (missing)"]


def test_what_scripts_print_is_shown(documented: Site) -> None:
    """Behind the line that says that they run, as 4.x printed it; that of a failing one and of a task too."""
    documented.script("etc/xinetd.d/identd.post", "#!/bin/sh\necho reloading; printf 'bad\\033[2J line\\n' >&2\n")
    task = documented.masterdir / "tasks/install._login"
    task.parent.mkdir()
    task.write_text("#!/bin/sh\necho no licence server >&2; exit 3\n")
    task.chmod(0o755)
    running = "node3: running command $masterdir"
    post = [f"{running}/overlay/etc/xinetd.d/identd.post", "node3: reloading", "node3: bad\\x1b[2J line"]
    assert synctool(documented, "-qf").lines == [UPDATED[0], *post]
    assert synctool(documented, "-qf").lines == []
    fails = synctool(documented, "-qtf")
    ran = [f"{running}/tasks/install._login", "node3: no licence server"]
    assert (fails.status, fails.lines) == (1, [*ran, "node3: /install tasks/install._login failed: exit status 3"])
    assert synctool(documented, "-tfv").lines.count("node3: no licence server") == 1
    documented.sh("node3", "echo more >>@/etc/xinetd.d/identd; echo x >>@/etc/fstab")
    whole = documented.pytest("--fix", "-v").output
    assert whole.count("  reloading") == 1
    rule = f"- path: {documented.top}/etc/xinetd.d/identd\n  sensitive: yes\n"
    (documented.masterdir / "attributes.yaml").write_text(rule)
    documented.sh("node3", "echo more >>@/etc/xinetd.d/identd")
    hidden = synctool(documented, "-qf").lines
    assert hidden[-1].startswith("node3: what it printed is not shown, since ")
    assert "node3: reloading" not in hidden


def test_a_node_that_hangs_holds_nobody_back_on_a_terminal(documented: Site, gate: MakeGate) -> None:
    """The others are printed as they end, and a line says for whom the run waits."""
    documented.script("etc/fstab.post", "#!/bin/sh\n[ ! -x /usr/local/sbin/uptime ] || exec /usr/local/sbin/uptime\n")
    for node in documented.nodes:
        documented.sh(node, "rm @/etc/fstab")
    hanging = gate("node1", "uptime")
    with terminal(documented.directory, "synctool", "-f", TERM="xterm", CI="", BUILD_NUMBER="") as screen:
        hanging.wait()
        screen.until(b"\rsynctool: 2 of 3 nodes, 2 fixed; out for ")
        screen.until(b" s: node1\x1b[K")
        hanging.open()
        assert screen.end() == 0
    before, _, after = screen.shown.rpartition(b"\x1b[K")
    assert before.count(b"etc/fstab created (missing)") == 2
    assert after.startswith(b"node1: ")
    assert b"\r\n3 nodes: 3 fixed\r\n" in after


def by_hand(site: Site, node: str, *options: str) -> str:
    """Run on a node, in a root shell, what --unix prints of it. Return what that says."""
    command = f"{SYNCTOOL} --unix {' '.join(options)} -n {node} | sed 's/^{node}: //'"
    text = subprocess.run(["sh", "-c", command], cwd=site.directory, capture_output=True, check=True).stdout
    assert site.cluster is not None
    site.cluster.write(node, "/run/by-hand.sh", text, 0o700)
    return site.sh(node, "sh <&- /run/by-hand.sh 2>&1; rm /run/by-hand.sh")


def test_as_a_plugin_of_nagios(documented: Site) -> None:
    """One line, whatever has drifted; what could not be looked at is unknown."""
    documented.nodes["dead1"] = "login interface:127.0.0.1"
    drifted = synctool(documented, "--nagios", "-x", "dead1")
    assert (drifted.status, len(drifted.lines)) == (1, 1)
    assert drifted.lines[0].startswith("SYNCTOOL WARNING - 3 nodes: 2 in sync, 1 drifted | nodes=3 ")
    dead = synctool(documented, "-q", "--nagios")
    assert (dead.status, dead.lines[0].partition(" - ")[0], dead.complaints) == (3, "SYNCTOOL UNKNOWN", "")


def test_without_triggers(documented: Site) -> None:
    """--no-post: the changes are made, and what they would have run stays owed until a run without it."""
    assert synctool(documented, "-q", "--no-post").lines == UPDATED[:1]
    fixed = synctool(documented, "-qf", "--no-post")
    post = f"post:{documented.top}/etc/xinetd.d/identd".replace(f"{documented.top}/etc", "/etc")
    assert (fixed.status, fixed.lines) == (1, [UPDATED[0], f"node3: {post} owed"])
    assert documented.sh("node3", "cat /tmp/reloaded.log 2>&- || :") == ""
    assert synctool(documented, "-qf").lines == [UPDATED[1].replace("TOP", "")]
    assert documented.sh("node3", "cat /tmp/reloaded.log") == "reloaded\n"
    assert synctool(documented, "-q") == Ended(0, [], "")


def test_unix(documented: Site) -> None:
    """What the documentation shows: the commands that a person would type."""
    shown = synctool(documented, "--unix", "-n", "node3")
    master = documented.masterdir
    assert (shown.status, [line.removeprefix("node3: ") for line in shown.lines]) == (
        1,
        [
            "# updating file /etc/xinetd.d/identd",
            "mv /etc/xinetd.d/identd /etc/xinetd.d/identd.saved",
            "mask=$(umask)",
            "umask 077",
            f"cp {master}/overlay/etc/xinetd.d/identd._all /etc/xinetd.d/identd",
            "chown root:root /etc/xinetd.d/identd",
            "chmod 0644 /etc/xinetd.d/identd",
            "",
            "# run command $masterdir/overlay/etc/xinetd.d/identd.post",
            "umask $mask",
            f"export SYNCTOOL_NODE=node3 SYNCTOOL_NODENAME=node3 SYNCTOOL_MASTERDIR={master} SYNCTOOL_ROOT={master}",
            'export PATH="$SYNCTOOL_MASTERDIR/scripts:$PATH"',
            "( cd /etc/xinetd.d || exit",
            f"{master}/overlay/etc/xinetd.d/identd.post",
            ")",
            "",
        ],
    )
    assert by_hand(documented, "node3") == ""
    assert documented.sh("node3", "cat /tmp/reloaded.log") == "reloaded\n"
    assert synctool(documented, "-q") == Ended(0, [], "")
    assert synctool(documented, "--unix").lines == []


def test_unix_by_hand_does_every_kind_of_work(documented: Site) -> None:
    """So does the whole script, which -v prints. With -f the commands are those that were done."""
    documented.link("etc/link._all", "where it's at")
    documented.put("etc/dir/it's a $name._all", mode=0o4750)
    documented.delete("etc/evil._all")
    documented.put("etc/issue._all")
    drift = (
        "rm -r @/etc/link @/etc/fstab @/etc/dir; touch @/etc/evil; chmod 600 @/etc/sysctl.conf; ln -sf x @/etc/issue"
    )
    assert synctool(documented, "-qf").status == 0
    for options, end in (((), ""), (("-v",), "\nend\n")):
        for node in ("node1", "node3"):
            documented.sh(node, drift)
            assert synctool(documented, "-q", "-n", node).status == 1
            printed = by_hand(documented, node, *options)
            assert (printed.endswith(end), bool(printed)) == (True, bool(end))
            assert synctool(documented, "-q", "-n", node) == Ended(0, [], "")
    documented.sh("node3", drift)
    would = synctool(documented, "--unix", "-n", "node3").lines
    done = synctool(documented, "--unix", "-f", "-n", "node3")
    assert (done.status, done.lines) == (0, would)
    assert synctool(documented, "-q").status == 0


def test_unix_leaves_a_link_to_a_directory(documented: Site) -> None:
    """As --fix does; one that leads nowhere makes room."""
    documented.put("etc/app/file._all")
    documented.put("etc/gone/file._all")
    assert synctool(documented, "-qf").status == 0
    documented.sh("node1", "mkdir @/real; cd @/etc; rm -r app gone; ln -s ../real app; ln -s nowhere gone")
    assert by_hand(documented, "node1") == ""
    looked = "cd @; ls real; cd etc; readlink app; readlink gone.saved; ls gone; readlink app.saved || echo none"
    assert documented.sh("node1", looked).splitlines() == ["../real", "nowhere", "file", "none"]


def test_unix_of_what_cannot_be_done(documented: Site) -> None:
    """It is a comment, so that all of it can be run."""
    documented.nodes["dead1"] = "login interface:127.0.0.1"
    documented.delete("etc/evil._all")
    documented.sh("node1", "mkdir @/etc/evil")
    assert synctool(documented, "--unix", "-n", "node1,dead1").lines == [
        "dead1: # unreachable: Connection refused",
        "node1: # /etc/evil must not exist",
    ]


def test_colours(documented: Site) -> None:
    """Only on a terminal that has them, for somebody who wants them: red is what differs, green what was put right."""
    fstab = f"{documented.top}/etc/fstab"
    documented.sh("node3", "rm @/etc/fstab")
    line, dry_run = f"{fstab} created (missing)", DRY_RUN.replace("\n", "\r\n")
    for options, more, shown in (
        (("-qa",), {"TERM": "xterm"}, f"{dry_run}node3:\r\n    \x1b[31m{line}\x1b[0m\r\n"),
        (("-q",), {"TERM": "xterm", "NO_COLOR": "1"}, f"{dry_run}node3: {line}\r\n"),
        (("-q", "--no-color"), {"TERM": "xterm"}, f"{dry_run}node3: {line}\r\n"),
        (("-q", "--color"), {"TERM": "dumb"}, f"{dry_run}node3: \x1b[31m{line}\x1b[0m\r\n"),
        (("-qf",), {"TERM": "xterm"}, f"node3: \x1b[32m{line}\x1b[0m\r\n"),
    ):
        with terminal(documented.directory, "synctool", *options, "-n", "node3", "-1", fstab, **more) as shell:
            shell.end()
        assert shell.shown.decode() == shown


def test_a_directory_that_is_gone(documented: Site) -> None:
    command = f"mkdir gone; cd gone; rmdir ../gone; synctool -c {documented.directory}/synctool.conf"
    complaint = "synctool: the current directory does not exist any more: change to another one"
    ended = run(documented.directory, "sh", "-c", command)
    assert (ended.status, ended.errors()) == (2, [complaint])


def test_closed_streams(documented: Site) -> None:
    """Nobody reads, and the work is done all the same: nothing that is opened is taken for the stream."""
    done = run(documented.directory, "sh", "-c", "synctool -f >&- 2>&-; echo $?; dsh -q -a false >&- 2>&-; echo $?")
    assert (done.out, done.err) == (b"0\n1\n", b"")
    assert synctool(documented, "-q") == Ended(0, [], "")


@pytest.mark.parametrize("fix", [True, False], ids=["repair", "dry-run"])
def test_interrupted(live: Site, gate: MakeGate, fix: bool) -> None:
    """Ctrl-C: a repair under way goes to its end and is told; what was not done is named."""
    live.put("etc/file._all")
    live.configure()
    for node in live.nodes:
        live.sh(node, "mkdir -p @/etc; chmod 755 @ @/etc")
    one = gate("node1", "mv" if fix else "stat")
    command = [str(SYNCTOOL), "-p", "1", *(["-f"] if fix else [])]
    with subprocess.Popen(
        command, cwd=live.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        one.wait()
        os.killpg(process.pid, signal.SIGINT)
        one.open()
        out, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    told = [f"node1: {live.top}/etc/file created (missing)"] if fix else []
    assert out.splitlines()[1:] == told
    assert complaints.splitlines() == [
        "synctool: interrupted" + ("; what is under way goes to its end" if fix else ""),
        f"synctool: not done: node[{2 if fix else 1}-3]",
    ]
    assert live.sh("node2", "ls @/etc") == ""


def test_what_was_found_before_an_interruption(live: Site, gate: MakeGate) -> None:
    """It is told, also of nodes whose turn to be told had not come. One that hangs keeps none from being begun."""
    assert live.cluster is not None
    live.nodes |= {f"node2{letter}": f"batch ipaddress:{live.cluster.addresses['node2']}" for letter in "abcd"}
    live.put("etc/file._all")
    live.configure()
    waiting = [gate(node, "stat") for node in ("node1", "node3")]
    for node in ("node1", "node2", "node3"):
        live.sh(node, "mkdir -p @/etc; chmod 755 @ @/etc")
    with terminal(live.directory, "synctool", "-q", "-p", "2", NO_COLOR="1") as shell:
        for one in waiting:  # node3 is begun when the others have ended
            one.wait()
        shell.type(b"\x03")
        assert shell.end() == 130
    for node in ("node2", "node2a", "node2b", "node2c", "node2d"):
        assert f"{node}: {live.top}/etc/file created (missing)\r\n" in shell.shown.decode()
    assert "synctool: not done: node[1,3]\r\n" in shell.shown.decode()


def test_a_node_that_is_lost_after_its_repair(live: Site) -> None:
    """What was done there is told all the same."""
    live.put("etc/file._all")
    live.configure()
    live.sh("node1", "mkdir -p @/etc; chmod 755 @ @/etc")
    # Nothing is there to be read before the repair.
    md5sum = "/usr/local/sbin/md5sum"
    live.sh("node1", f"printf '#!/bin/sh\nexec sleep 100\n' >{md5sum}; chmod 755 {md5sum}")
    try:
        ended = synctool(live, "-qf", "-n", "node1", "--timeout=4")
    finally:
        live.sh("node1", f"rm {md5sum}")
    reason = "no answer within 4 s during the probe (--timeout)"
    assert ended.lines == ["node1: /etc/file created (missing)", f"node1: unreachable: {reason}"]
    assert ended.status == 3


def test_trouble(documented: Site) -> None:
    """A node that is down is told in its place, and is no drift; the others are repaired all the same."""
    documented.nodes["dead1"] = "login interface:127.0.0.1"
    documented.sh("node1", "mkdir @/etc/fstab.saved; echo x >>@/etc/fstab")
    found = synctool(documented, "-f")
    assert found.status == 3
    assert found.lines == [
        "--fix specified, applying changes",
        "dead1: unreachable: Connection refused",
        "node1: /etc/fstab file size mismatch, not fixed: /etc/fstab.saved is a directory, in the way",
        *updated(documented),
        "4 nodes: 1 in sync, 1 fixed, 1 drifted, 1 not looked at",
    ]
    assert synctool(documented, "-q", "-n", "dead1").status == 3
    assert synctool(documented, "-q", "-n", "node1").status == 1
    documented.sh("node1", "rmdir @/etc/fstab.saved")


def test_restore(documented: Site) -> None:
    """What -f has replaced comes back."""
    synctool(documented, "-qf")
    assert synctool(documented, "--restore", "-qf", "-g", "all") == Ended(
        0,
        [
            "node3: /etc/xinetd.d/identd restored (from /etc/xinetd.d/identd.saved)",
            UPDATED[1].replace("TOP", ""),
        ],
        "",
    )
    assert synctool(documented, "-q").lines == updated(documented)


def test_it_is_logged(documented: Site) -> None:
    """As a repair by pytest is."""
    documented.lines.append(f"logfile {documented.directory / 'synctool.log'}")
    synctool(documented)
    assert (documented.directory / "synctool.log").exists() is False
    synctool(documented, "-qf")
    text = (documented.directory / "synctool.log").read_text().replace(f"{documented.top}/etc", "/etc")
    assert [re.sub(r"^\S+ ", "", line) for line in text.splitlines()] == [
        "synctool --fix began: root, 3 nodes",
        *updated(documented),
        "synctool --fix ended: 1 fixed, 0 failed",
    ]


CHANGES = {
    "missing": "rm -rf @/etc/NAME",
    "content": "echo more >>@/etc/NAME",
    "same size": "printf '%s' \"$(tr a-z b-za <@/etc/NAME)\" >@/x; echo >>@/x; cat @/x >@/etc/NAME; rm @/x",
    "mode": "chmod 600 @/etc/NAME",
    "owner": "chown 7:8 @/etc/NAME",
    "link": "rm @/etc/NAME; ln -s elsewhere @/etc/NAME",
    "directory": "rm @/etc/NAME; mkdir @/etc/NAME",
    "evil": "echo x >@/etc/evil",
}


@pytest.mark.parametrize("seed", range(4))
def test_it_agrees_with_pytest(documented: Site, seed: int) -> None:
    """The same drift, the same findings, and both put right the same."""
    documented.delete("etc/evil._all")
    choice = random.Random(seed)
    names = ["fstab", "sysctl.conf", "resolv.conf", "modules.conf", "xinetd.d/identd", "tcpd_banner.production"]
    for node in documented.nodes:
        for name in choice.sample(names, 3):
            documented.sh(node, choice.choice(list(CHANGES.values())).replace("NAME", name))
    told = synctool(documented, "-q")
    audit = documented.pytest()
    findings = {
        (test.rpartition(".")[2], path, audit.messages[test, path].splitlines()[0].partition(f"{path} ")[2])
        for (test, path), word in audit.results.items()
        if word == "failure"
    }
    lines = [
        re.fullmatch(r"(\S+): (/etc/\S+) .*\((.*)\)", line) for line in told.lines if "running command" not in line
    ]
    assert None not in lines
    found = {(match[1], match[2].replace("/etc", f"{documented.top}/etc", 1), match[3]) for match in lines if match}
    assert found == findings
    assert found
    assert synctool(documented, "-qf").status == 0
    assert documented.pytest().status == 0
