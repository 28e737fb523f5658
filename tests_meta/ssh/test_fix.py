"""--fix on real nodes: only what is selected, triggers once, secrets stay home, and failures are told."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from pytest_synctool.demo.embedded import EmbeddedCluster

from tests_meta.site import Site
from tests_meta.ssh.test_synctool import synctool


def test_only_selected_tests_are_fixed(live: Site) -> None:
    """`--fix -k ntp.conf` touches nothing else, but makes the directories that it cannot do without."""
    live.put("etc/ntp.conf._all")
    live.put("etc/other._all")
    live.delete("evil._all")
    live.sh("node1", "mkdir -p @; touch @/evil")
    run = live.pytest("--fix", "-k", "ntp.conf", "--hosts=node1")
    assert run.status == 0, run.output
    assert live.sh("node1", "cd @; find . | sort") == ".\n./etc\n./etc/ntp.conf\n./evil\n"
    run = live.pytest("--hosts=node1")
    assert run.word("node1", f"{live.top}/etc/other") == "failure"
    assert run.word("node1", f"{live.top}/etc") == "passed"


def test_a_missing_parent_never_replaces_an_existing_directory(live: Site) -> None:
    """What a directory above holds is left alone, also when it is not what the masterdir says."""
    live.put("etc/ntp.conf._all")
    live.sh("node1", "mkdir -p @/etc; chmod 700 @/etc; touch @/etc/mine")
    assert live.pytest("--fix", "-k", "ntp.conf", "--hosts=node1").status == 0
    assert live.sh("node1", "stat -c %a @/etc; ls -A @ @/etc") .split() == [
        "700", f"{live.top}:", "etc", f"{live.top}/etc:", "mine", "ntp.conf",
    ]  # fmt: skip


def test_triggers_run_once_in_the_right_place(live: Site) -> None:
    """`.post` of a file in its directory, that of a directory once for all changes in it, group extensions count."""
    log = "/tmp/post.log"
    live.put("x/one._all")
    live.put("x/two._all")
    live.script("x/one.post", f'#!/bin/sh\necho "one $(pwd)" >>{log}\n')
    live.script("x/two.post", f'echo "two all" >>{log}\n')  # no #! line, as the documentation shows them
    live.script("x/two.post._login", f'echo "two login" >>{log}\n')
    live.script("x.post", f'#!/bin/sh\necho "dir $(pwd)" >>{log}\n')
    for node in ("node1", "node3"):
        live.sh(node, f"rm -f {log}")
    dry = live.pytest()
    assert dry.status == 1
    assert live.sh("node1", f"ls {log} 2>/dev/null || echo none") == "none\n"
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert live.sh("node1", f"cat {log}") == f"one {live.top}/x\ntwo all\ndir {live.top}/x\n"
    assert live.sh("node3", f"cat {log}") == f"one {live.top}/x\ntwo login\ndir {live.top}/x\n"
    live.sh("node1", f"rm {log}; chmod 600 @/x/one")
    assert live.pytest("--fix").status == 0
    assert live.sh("node1", f"cat {log}") == f"one {live.top}/x\ndir {live.top}/x\n"
    assert live.sh("node3", f"wc -l <{log}") == "3\n"


def test_a_failing_trigger_fails_its_test(live: Site) -> None:
    """The file is put right, and the test says that its trigger failed, and what it printed."""
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    live.script("file.post", "#!/bin/sh\necho cannot reload >&2\nexit 7\n")
    live.put("plain._all")
    live.put("plain.post", "#!/bin/sh\n")
    run = live.pytest("--fix")
    assert run.status == 1
    message = run.message("node1", f"{live.top}/file")
    assert f"put right, but overlay{live.top}/file.post failed: exit status 7" in message
    assert "cannot reload" in message
    assert "plain.post failed: it is not an executable file" in run.message("node1", f"{live.top}/plain")
    assert live.sh("node1", "cat @/file") == "content\n"


def test_only_what_a_node_may_see_reaches_it(live: Site, cluster: EmbeddedCluster) -> None:
    """Other groups' files, the unused and the trees themselves never travel; what is for nobody, beside a trigger."""
    live.put("mine._batch", "mine\n")
    live.put("secret._login", "secret\n")
    live.put("none._none", "nobody\n")
    live.put("deeper/none._none", "nobody\n")
    live.put("noext", "left out\n")
    live.script("mine.post", "#!/bin/sh\n")
    live.script("secret.post._login", "#!/bin/sh\n")
    assert live.pytest("--fix").status == 0
    mirror = live.sh("node1", f"cd {live.masterdir} && find . -type f ! -name .synctool-mirror | sort").split()
    assert mirror == [f"./overlay{live.top}/{name}" for name in ("mine._batch", "mine.post", "none._none")]
    theirs = live.sh("node3", f"cd {live.masterdir} && find . -type f ! -name .synctool-mirror | sort").split()
    assert theirs == [f"./overlay{live.top}/{name}" for name in ("none._none", "secret._login", "secret.post._login")]
    assert live.sh("node1", f"stat -c %a {live.masterdir}") == "700\n"


def test_what_cannot_be_fixed_says_why(live: Site) -> None:
    """A read-only file system, something in the way of .saved, a directory to delete, a full disk."""
    live.nodes = {"node1": "batch"}
    live.put("ro/file._all")
    live.put("full/big._all", os.urandom(300_000))
    live.put("full/small._all", "new\n")
    live.put("blocked._all", "new\n")
    live.put("fine._all", "new\n")
    live.delete("dir._all")
    live.sh(
        "node1",
        "mkdir -p @/ro @/full @/dir; mount -t tmpfs -o ro,mode=755 none @/ro; "
        "mount -t tmpfs -o size=64k,mode=755 none @/full; echo old >@/full/small; echo old >@/blocked; "
        "mkdir @/blocked.saved",
    )
    run = live.pytest("--fix")
    assert run.status == 1
    assert "Read-only file system" in run.message("node1", f"{live.top}/ro/file")
    assert "No space left on device" in run.message("node1", f"{live.top}/full/big")
    assert "blocked.saved is a directory, in the way" in run.message("node1", f"{live.top}/blocked")
    assert "directories are never deleted" in run.message("node1", f"{live.top}/dir", "delete")
    assert run.word("node1", f"{live.top}/fine") == run.word("node1", f"{live.top}/full/small") == "passed"
    assert run.count("failure") == 4
    assert live.sh("node1", "ls -A @/full @/ro; cat @/blocked; umount -l @/ro @/full").split() == [
        f"{live.top}/full:", "small", "small.saved", f"{live.top}/ro:", "old",
    ]  # fmt: skip


def test_saved_copies_and_attributes(live: Site) -> None:
    """The old file stays as NAME.saved; owner and mode of the new one are the expected, setuid included."""
    live.nodes = {"node1": "batch"}
    source = live.put("tool._all", "new\n", 0o4750)
    os.chown(source, 1, 2)
    source.chmod(0o4750)
    live.sh("node1", "mkdir -p @; echo old >@/tool; chmod 600 @/tool; mkdir @/elsewhere; ln -s elsewhere @/dirlink")
    live.put("dirlink._all", "a file\n")
    live.directory_of("elsewhere")
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert live.sh("node1", "stat -c '%a %u %g' @/tool; cat @/tool @/tool.saved; stat -c %a @/tool.saved").split() == [
        "4750", "1", "2", "new", "old", "600",
    ]  # fmt: skip
    assert live.sh("node1", "cat @/dirlink; ls -A @/elsewhere; readlink @/dirlink.saved") == "a file\nelsewhere\n"


@pytest.mark.parametrize("moment", ["push", "apply"])
def test_killed_half_way_every_file_is_old_or_new(live: Site, moment: str) -> None:
    """The controller is killed with SIGKILL; no file is torn, and the next --fix ends the work."""
    live.nodes = {"node1": "batch"}
    for number in range(40):
        live.put(f"file{number}._all", f"new {number}\n" * 100)
    live.sh("node1", "mkdir -p @; for n in $(seq 0 39); do echo old $n >@/file$n; done")
    ready = live.directory / "ready"
    os.mkfifo(ready)
    wrapper = live.directory / "ssh"
    pattern = "*synctool-new*" if moment == "push" else "*"
    count = live.directory / "count"
    wrapper.write_text(
        "#!/bin/sh\n"
        f'case "$*" in {pattern}) echo x >>{count}; '
        f'[ "{moment}" = push ] || [ "$(wc -l <{count})" = 3 ] && echo now >{ready};; esac\n'
        'exec ssh "$@"\n'
    )
    wrapper.chmod(0o755)
    conf = live.configure()
    command = live.command("--fix")
    conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))
    with subprocess.Popen(command, cwd=live.directory, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        ready.read_text()
        os.kill(process.pid, signal.SIGKILL)
    for number in range(40):
        content = live.sh("node1", f"cat @/file{number}")
        assert content in (f"old {number}\n", f"new {number}\n" * 100)
    # What has begun there goes on to its end, and another --fix is refused meanwhile.
    live.sh("node1", "until [ ! -e /var/lib/pytest-synctool/lock ]; do sleep 0.02; done")
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert live.pytest().status == 0
    assert live.sh("node1", "find @ -name '.synctool*'") == ""


def test_a_command_that_cannot_run_is_not_announced(live: Site) -> None:
    """A dry run names the reason that a repair gets from the node."""
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    live.put("file.post", "#!/bin/sh\n")
    trigger = f"command $masterdir/overlay{live.top}/file.post"
    reason = "it is not an executable file"
    dry = synctool(live, "-q")
    assert dry.lines[-1] == f"node1: not running {trigger}: {reason}"
    assert f"not running {trigger}: it cannot run, {reason}" in live.pytest().message("node1", f"{live.top}/file")
    unix = synctool(live, "--unix")
    assert unix.lines[-2:] == [f"node1: # not running {trigger}: {reason}", "node1: "]
    assert reason in "".join(synctool(live, "-f").lines)


def test_on_update_commands(live: Site) -> None:
    """Of a file and of a directory; a dry run says which would run, and runs none."""
    log = "/tmp/on_update.log"
    live.nodes = {"node1": "batch"}
    live.lines += [
        f"on_update {live.top}/x/one echo 'one  file' $(pwd) >>{log}",
        f"on_update {live.top}/x echo $SYNCTOOL_NODE $(ls) >>{log} ; rm -f *.old",
    ]
    live.put("x/one._all")
    live.sh("node1", f"rm -f {log}; mkdir -p @/x; chmod 755 @ @/x; touch @/x/a.old")
    dry = live.pytest()
    message = dry.message("node1", f"{live.top}/x/one")
    assert "not running command echo 'one  file' $(pwd)" in message
    assert "not running command echo $SYNCTOOL_NODE" in message
    assert live.sh("node1", f"ls {log} 2>/dev/null || echo none") == "none\n"
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert live.sh("node1", f"cat {log}; ls @/x") == f"one  file {live.top}/x\nnode1 a.old one\none\n"
