"""A node that sends what no node sends: it costs little memory and only its own result."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests_meta.site import Run, Site
from tests_meta.terminal import MEASURE, Ended, environment
from tests_meta.terminal import run as run_command

# Stands for ssh: the command of an honest node runs here, that of a hostile one is replaced.
SSH = """#!/bin/sh
for line; do :; done
case "$*" in *hostile*) sed "/^exit$/q" >asked; exec sh -c "$HOSTILE";; esac
exec sh -c "$line"
"""
MEMORY = """
def pytest_unconfigure():  # getrusage() would count the process that has started this one, too
    with open('/proc/self/status') as status:
        words = next(line.split() for line in status if line.startswith('VmHWM:'))
    print('peak', int(words[1]) // 1024, 'MB')
"""
TWO_GB = 2_000_000_000


@pytest.fixture
def hostile(site: Site) -> Site:
    """Return a site of an honest node and a hostile one."""
    site.nodes = {"honest": "batch", "hostile": "batch"}
    ssh = site.directory / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    site.lines = [f"ssh_cmd {ssh}"]
    (site.directory / "memory.py").write_text(MEMORY)
    site.delete("gone._all")
    return site


def run(site: Site, command: str, *arguments: str) -> Run:
    """Run pytest; the hostile node runs a shell command instead of what it is asked."""
    environment = {"PYTHONPATH": ".", "HOSTILE": command}
    return site.pytest("-p", "memory", "--ssh-persist=0", *arguments, environment=environment)


def peak(done: Run) -> int:
    """Return the largest memory of a run, in MB."""
    match = re.search(r"^peak (\d+) MB", done.output, re.MULTILINE)
    assert match, done.output
    return int(match[1])


@pytest.mark.parametrize(
    "command",
    [
        f"head -c {TWO_GB} /dev/zero",
        f"head -c {TWO_GB} /dev/zero >&2",
        f"yes remark | head -c {TWO_GB}",
        "echo synctool-probe; while :; do echo stat: cannot stat; done",
    ],
)
def test_two_gigabytes_of_one_node(hostile: Site, command: str) -> None:
    done = run(hostile, command)
    assert re.search(r"ERROR hostile: more than [\d,]+ bytes on standard (output|error) during the probe", done.output)
    assert done.word("honest", f"{hostile.top}/gone", "delete") == "passed"
    assert peak(done) < 150


def synctool(site: Site, command: str, *arguments: str) -> Ended:
    """Run synctool; the hostile node runs a shell command instead of what it is asked."""
    site.configure()
    return run_command(site.directory, "synctool", *arguments, "--ssh-persist=0", more={"HOSTILE": command})


# Prints the answer of a probe, and then contents as the rest of the command says.
FORGED = (
    r"""nonce=$(sed -n "s/^printf '.n\([0-9a-f]*\) done.*/\1/p" asked); """
    "sh asked | sed '/^synctool-probe-end/q'; "
)


@pytest.mark.parametrize(
    "contents",
    [
        r'printf "\n$nonce begin 7\nx\n$nonce end \n\n$nonce done\n"',
        r'printf "\n$nonce begin -1\nx\n$nonce end \n\n$nonce done\n"',
        r'printf "\n$nonce begin x\nx\n$nonce end \n\n$nonce done\n"',
        r'printf "\n$nonce begin %05000d\nx\n$nonce end \n\n$nonce done\n" 9 | tr 0 9',
        r'printf "\n$nonce end\nx\n$nonce begin \n\n$nonce done\n"',
        r'printf "\n$nonce done\n$nonce done\n"',
        f"head -c {TWO_GB} /dev/zero",
    ],
)
def test_a_forged_answer_to_diff(hostile: Site, contents: str) -> None:
    """It takes no other node's answer along."""
    hostile.put("file._all", "content\n")
    ended = synctool(hostile, FORGED + contents, "-d", f"{hostile.top}/file")
    assert b"Traceback" not in ended.out + ended.err
    assert re.match(rf"honest(,hostile)?: {hostile.top}/file is missing\n", ended.out.decode())


def test_an_upload_without_end(hostile: Site) -> None:
    ended = synctool(hostile, "exec cat /dev/zero >&2", "-n", "hostile", "-u", "/etc/motd")
    assert ended.status == 3
    assert ended.err.startswith(b"hostile: more than 16,777,216 bytes on standard error during the upload")


def measured(site: Site, hostile_command: str, *command: str) -> tuple[int, int, Path]:
    """Run a command; return its exit status, its largest memory in MB and the file of its output."""
    site.configure()
    out, memory = site.directory / "out", site.directory / "memory"
    with out.open("wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(memory), *command],
            cwd=site.directory,
            env=environment(HOSTILE=hostile_command),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert "Traceback" not in done.stderr
    return done.returncode, int(memory.read_text()), out


def test_dsh_prints_a_line_without_end_as_it_comes(hostile: Site) -> None:
    status, megabytes, out = measured(hostile, "head -c 300000000 /dev/zero", "dsh", "echo", "hello")
    assert status == 3  # that node has not announced the command
    assert megabytes < 100
    assert out.stat().st_size > 300_000_000
    with out.open("rb") as lines:
        assert any(line == b"honest: hello\n" for line in lines)


@pytest.mark.parametrize("command", ["yes", "cat /dev/zero", "yes >&2"])
def test_dsh_that_groups_cuts_off_a_node_that_prints_without_end(hostile: Site, command: str) -> None:
    status, megabytes, out = measured(hostile, f"exec {command}", "dsh", "-a", "echo", "hello")
    assert status == 1
    assert megabytes < 250
    assert b"honest:\n    hello\n" in out.read_bytes()


def test_grouped_input_without_end(hostile: Site) -> None:
    lines = "(yes 'node1: x' | head -c 20000000; head -c 300000000 /dev/zero) | exec synctool-aggr"
    status, megabytes, _ = measured(hostile, "", "sh", "-c", lines)
    assert status == 0
    assert megabytes < 250
