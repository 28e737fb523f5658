"""--batch on real nodes: repaired a few at a time, and no further than a batch that failed."""

from __future__ import annotations

import signal
import subprocess

from tests_meta.site import Site
from tests_meta.ssh.test_synctool import SYNCTOOL, synctool


def test_a_failed_batch_leaves_the_other_nodes_as_they_are(live: Site) -> None:
    """A directory in the place of a file to delete cannot be put right; --lf goes on when it can."""
    calls = live.directory / "calls"
    wrapper = live.directory / "ssh"
    wrapper.write_text(f'#!/bin/sh\necho "$*" >>{calls}\nexec ssh "$@"\n')
    wrapper.chmod(0o755)
    live.put("file._all")
    live.delete("evil._all")
    live.sh("node2", "mkdir -p @/evil")

    def fix(*arguments: str) -> tuple[int, str]:
        command = live.command("--fix", "--batch=2", *arguments)
        conf = live.directory / "synctool.conf"
        conf.write_text(conf.read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))
        run = live.pytest(command=command)
        return run.status, run.output

    status, output = fix()
    assert status == 1
    assert "1 drifted, 1 not looked at" in output
    assert "SKIPPED node3: not begun: 1 of 2 nodes failed in the batch before" in output
    contacted = calls.read_text()
    assert " node1 " in contacted
    assert " node2 " in contacted
    assert " node3 " not in contacted
    assert live.sh("node1", "cat @/file") == live.sh("node2", "cat @/file") == "content\n"
    assert live.sh("node3", "ls @ 2>/dev/null || echo none") == "none\n"
    live.sh("node2", "rmdir @/evil")
    status, output = fix("--lf")
    assert status == 0, output
    assert live.sh("node3", "cat @/file") == "content\n"
    assert live.pytest().status == 0


def test_synctool_has_batches_and_pauses(live: Site) -> None:
    """-z pauses between as many nodes as -p says, also in a dry run; --batch stops after one that failed."""
    calls = live.directory / "calls"
    wrapper = live.directory / "ssh"
    wrapper.write_text(f'#!/bin/sh\necho "$(date +%s.%N) $*" >>{calls}\nexec ssh "$@"\n')
    wrapper.chmod(0o755)
    live.put("file._all")
    live.delete("evil._all")
    live.sh("node1", "mkdir -p @/evil")
    live.configure()
    conf = live.directory / "wrapped.conf"
    conf.write_text((live.directory / "synctool.conf").read_text().replace("ssh_cmd ssh", f"ssh_cmd {wrapper}"))

    def first_calls() -> dict[str, float]:
        lines = calls.read_text().splitlines()
        calls.unlink()
        return {
            node: min(float(line.split()[0]) for line in lines if f" {node} " in line)
            for node in ("node1", "node2", "node3")
            if any(f" {node} " in line for line in lines)
        }

    dry = synctool(live, "-c", str(conf), "-z", "1", "-p", "2", "--ssh-persist", "0")
    assert dry.status == 1, dry
    begun = first_calls()
    assert begun["node3"] - max(begun["node1"], begun["node2"]) > 1
    stopped = synctool(live, "-c", str(conf), "-f", "--batch", "1", "-z", "1")
    assert stopped.status == 3
    assert set(first_calls()) == {"node1"}
    assert stopped.lines[-3:] == [
        *(f"node{n}: not begun: 1 of 1 node failed in the batch before" for n in (2, 3)),
        "3 nodes: 1 drifted, 2 not looked at",
    ]
    on = synctool(live, "-c", str(conf), "-qf", "--batch", "50%", "--max-fail-nodes", "1")
    assert on.status == 1
    assert set(first_calls()) == {"node1", "node2", "node3"}
    assert live.sh("node3", "cat @/file") == "content\n"


def test_a_pause_can_be_interrupted(live: Site) -> None:
    """Ctrl-C between two batches ends the run at once, and the rest is named."""
    live.put("file._all")
    live.configure()
    command = [str(SYNCTOOL), "-q", "-f", "-z", "3600", "-p", "1"]
    with subprocess.Popen(command, cwd=live.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        while b"/file created" not in run.stdout.readline():
            pass
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "synctool: not done: node[2-3]" in err.decode()
