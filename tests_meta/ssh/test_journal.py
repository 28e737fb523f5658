"""What an interrupted or failed --fix still owes, and two of them at once, on real nodes."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from pytest_synctool.audit import owed_commands

from tests_meta.site import Site
from tests_meta.ssh.test_synctool import synctool


def left(live: Site) -> str:
    """A command that shows what is left of the journal of this masterdir, and of a lock."""
    directory = os.fsdecode(owed_commands.directory(os.fsencode(live.masterdir)))
    return f"for f in {directory}/owed {directory}/../lock*; do [ ! -e $f ] || echo $f; done"


def test_a_command_that_failed_is_owed_until_it_has_run(live: Site) -> None:
    """The next audit shows it, the next --fix runs it, though the file is right by then."""
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    live.script("file.post", "#!/bin/sh\nexit 1\n")
    name = f"post:{live.top}/file"
    assert live.pytest("--fix").status == 1
    audit = live.pytest()
    assert audit.status == 1
    assert audit.word("node1", f"{live.top}/file") == "passed"
    assert "owed" in audit.message("node1", name, "post")
    assert f"not running command $masterdir/overlay{live.top}/file.post" in audit.message("node1", name, "post")
    live.script("file.post", "#!/bin/sh\necho ran >>/tmp/owed.log\n")
    live.sh("node1", "rm -f /tmp/owed.log")
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert f"FIXED node1: {name} ran overlay{live.top}/file.post (owed)" in run.output
    assert live.sh("node1", "cat /tmp/owed.log") == "ran\n"
    assert live.pytest("--fix").status == 0
    assert live.sh("node1", f"cat /tmp/owed.log; {left(live)}") == "ran\n"


def test_a_trigger_of_a_directory_in_delete(live: Site) -> None:
    """It runs once, in that directory, after something directly in it was deleted, and is owed until it has run.

    The trigger and the command of the same directory in overlay/ run too, also once.
    """
    live.nodes = {"node1": "batch"}
    live.lines.append(f"on_update {live.top}/d echo update >>/tmp/deleted.log")
    live.lines.append(f"on_update {live.top}/e echo other >>/tmp/deleted.log")
    for name in ("d/one", "d/two", "d/sub/three", "e/four"):
        live.delete(f"{name}._all")
    live.directory_of("d")
    live.script("d.post", "#!/bin/sh\necho overlay >>/tmp/deleted.log\n")
    trigger = live.masterdir / f"delete{live.top}/d.post"
    trigger.write_text("#!/bin/sh\nexit 1\n")
    trigger.chmod(0o755)
    evil = "mkdir -p @/d/sub @/e; touch @/d/one @/d/two @/d/sub/three @/e/four; chmod 755 @ @/d"
    live.sh("node1", f"rm -f /tmp/deleted.log; {evil}")
    audit = live.pytest()
    announced = f"not running command $masterdir/delete{live.top}/d.post"
    assert announced in audit.message("node1", f"{live.top}/d/one", "delete")
    assert "d.post" not in audit.message("node1", f"{live.top}/d/sub/three", "delete")
    assert live.pytest("--fix").status == 1
    assert live.sh("node1", "cat /tmp/deleted.log").split() == ["overlay", "update", "other"]
    name = f"post:{live.top}/d/"
    audit = live.pytest()
    assert (audit.status, audit.word("node1", name, "post")) == (1, "failure")
    trigger.write_text("#!/bin/sh\npwd >>/tmp/deleted.log\n")
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert f"FIXED node1: {name} ran delete{live.top}/d.post (owed)" in run.output
    live.sh("node1", evil)
    own = synctool(live, "-qf")
    assert [line for line in own.lines if "running command $masterdir/delete" in line] == [
        f"node1: running command $masterdir/delete{live.top}/d.post"
    ]
    assert live.sh("node1", "tail -n 5 /tmp/deleted.log").split() == [
        *(f"{live.top}/d", "overlay", "update", f"{live.top}/d", "other")
    ]
    assert live.sh("node1", left(live)) == ""
    assert synctool(live).status == 0


def test_a_repair_that_was_killed_on_the_node_owes_its_commands(live: Site) -> None:
    """The shell on the node is killed between the change and the command."""
    live.nodes = {"node1": "batch"}
    live.put("a._all")
    live.put("b._all")
    kill = "{ : >/tmp/killed; kill -9 $(cut -d ' ' -f 1 /var/lib/pytest-synctool/lock); }"
    live.script("a.post", f"#!/bin/sh\n[ -e /tmp/killed ] || {kill}\n")
    live.script("b.post", "#!/bin/sh\necho b >>/tmp/owed2.log\n")
    live.sh("node1", "rm -f /tmp/owed2.log /tmp/killed")
    assert live.pytest("--fix").status == 1
    audit = live.pytest()
    assert [audit.word("node1", f"post:{live.top}/{name}", "post") for name in "ab"] == ["failure", "failure"]
    assert live.sh("node1", "ls /var/lib/pytest-synctool/lock") != ""
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert live.sh("node1", f"cat /tmp/owed2.log; {left(live)}") == "b\n"
    assert live.pytest().status == 0


@pytest.mark.parametrize("masterdir", ["same", "another"])
def test_two_at_once(live: Site, tmp_path_factory: pytest.TempPathFactory, masterdir: str) -> None:
    """The second one changes nothing and is told who is at work, since when; the first one ends its work."""
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    fifo = "/tmp/two-at-once"
    live.script("file.post", f"#!/bin/sh\necho here >{fifo}.began\nread x <{fifo}.go\n")
    live.sh("node1", f"rm -f {fifo}.*; mkfifo {fifo}.began {fifo}.go")
    with subprocess.Popen(
        live.command("--fix"), cwd=live.directory, stdout=subprocess.PIPE, start_new_session=True
    ) as first:
        try:
            live.sh("node1", f"read x <{fifo}.began")
            other = live
            if masterdir == "another":
                other = Site(tmp_path_factory.mktemp("another"), "another", live.nodes, cluster=live.cluster)
            other.put("other._all")
            second = other.pytest("--fix")
            live.sh("node1", f"echo >{fifo}.go")
            first.communicate(timeout=60)
        finally:
            if first.poll() is None:
                os.killpg(first.pid, signal.SIGKILL)
    assert first.returncode == 0
    if masterdir == "same":
        assert second.status == 4
        message = second.output
        assert f"another --fix of {live.masterdir} is under way: " in message
    else:
        assert second.status == 1
        message = second.message("node1", f"{other.top}/other")
        assert "missing, not fixed: another --fix is under way there: " in message
    assert f", process {first.pid}, since 20" in message
    assert other.sh("node1", "ls @ | grep other || true") == ""
    assert other.pytest("--fix").status == 0
    assert other.pytest().status == 0
