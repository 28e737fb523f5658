"""SIGTERM and SIGHUP are as Ctrl-C: reports are written, nothing is left behind, and a second one ends all at once."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests_meta.gate import MakeGate, running
from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site
from tests_meta.terminal import environment

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda n: n.name)
COMMANDS = pytest.mark.parametrize(
    ("command", "group"),
    [
        ("synctool", False),
        ("synctool -u @/file -n node1 -f", False),
        ("synctool -d @/file", True),
        ("dsh hostname", False),
        ("dcp -d @ synctool.conf", False),
    ],
)


@pytest.fixture
def hanging(live: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """node1 behind an ssh that hangs; a temporary directory of this test alone. Return the pipe with ssh's number."""
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    wrapper, started = live.directory / "hanging-ssh", live.directory / "started"
    wrapper.write_text(f"#!/bin/sh\necho $$ >{started}\nexec sleep 1000\n")
    wrapper.chmod(0o755)
    os.mkfifo(started)
    temporary = live.directory / "t"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    conf = live.configure()
    assert live.cluster is not None
    conf.write_text(conf.read_text().replace(f"ssh_cmd ssh -F {live.cluster.ssh_config}", f"ssh_cmd {wrapper}"))
    yield started
    assert [path.name for path in temporary.iterdir() if not path.name.startswith("pytest-of-")] == []  # of xdist


@contextlib.contextmanager
def ending(started: Path) -> Iterator[None]:
    """Wait until ssh hangs, and assert at the end that it is gone."""
    watched = os.pidfd_open(int(started.read_text()))
    try:
        yield
        assert select.select([watched], [], [], 20)[0] == [watched], "ssh is left"
    finally:
        os.close(watched)


def start(live: Site, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        cwd=live.directory,
        env=environment(),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@SIGNALS
@COMMANDS
def test_classic_commands(live: Site, hanging: Path, command: str, group: bool, number: signal.Signals) -> None:
    """The status is 128 + the number of the signal."""
    with start(live, *command.replace("@", live.top).split()) as process:
        try:
            with ending(hanging):
                (os.killpg if group else os.kill)(process.pid, number)
                _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in errors


@SIGNALS
@ALONE_AND_XDIST
def test_an_audit(live: Site, hanging: Path, workers: tuple[str, ...], number: signal.Signals) -> None:
    """All processes of the run get the signal, as those of a CI job do."""
    conf = (live.directory / "synctool.conf").read_text()
    command = live.command(*workers, "--ssh-persist=0")
    (live.directory / "synctool.conf").write_text(conf)
    process = live.start(command)
    with ending(hanging):
        os.killpg(process.pid, number)
        ended = live.finish(process, 30)
    assert ended.status == 2, ended.output
    run = json.loads((live.directory / "reports/drift.json").read_text())["run"]
    assert (run["complete"], run["exit_status"]) == (False, 2)
    assert (live.directory / "junit.xml").exists()


@ALONE_AND_XDIST
def test_the_main_process_alone_gets_it(live: Site, hanging: Path, workers: tuple[str, ...]) -> None:
    """execnet ends its workers some seconds later."""
    conf = (live.directory / "synctool.conf").read_text()
    command = live.command(*workers, "--ssh-persist=0")
    (live.directory / "synctool.conf").write_text(conf)
    process = live.start(command)
    with ending(hanging):
        process.send_signal(signal.SIGTERM)
        assert live.finish(process, 30).status == 2


def test_a_repair_goes_to_its_end(live: Site, gate: MakeGate) -> None:
    live.put("file._all")
    live.lines.append("num_proc 1")
    one = gate("node1", "stat")
    with running(live) as run:
        one.wait()
        run.process.send_signal(signal.SIGTERM)
        one.open()
        ended = run.end(30)
    assert ended.status == 2, ended.output
    assert live.sh("node1", "cat @/file") == "content\n"
    assert "FIXED node1: " in ended.output


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("classic", [True, False])
def test_a_second_one_ends_all_at_once(live: Site, gate: MakeGate, classic: bool, second: signal.Signals) -> None:
    """A repair would go to its end after the first one."""
    live.put("file._all")
    live.lines.append("num_proc 1")
    live.configure()
    one = gate("node1", "stat")
    command = ("synctool", "-f") if classic else tuple(live.command("--fix"))
    with start(live, *command) as process:
        try:
            one.wait()
            process.send_signal(signal.SIGTERM)
            noticed = process.stderr if classic else None
            if noticed is not None:
                assert noticed.readline().startswith("synctool: interrupted")
            else:
                until_caught(process.pid)
            status = None
            for _ in range(30):  # Python takes two of the same kind for one, if they come before it can look
                process.send_signal(second)
                with suppress(subprocess.TimeoutExpired):
                    status = process.wait(1)
                    break
            # Handlers of signals that Python has not looked at yet run in the order of their numbers.
            assert status in (128 + second, 128 + signal.SIGTERM)
        finally:
            process.kill()


def until_caught(pid: int) -> None:
    """Wait until no signal is pending for a process."""
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        pending = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))]
        if not any(pending):
            return


def test_nohup_is_heeded(live: Site, hanging: Path) -> None:
    """A signal that is ignored at the start stays so."""
    for command in ("synctool", "dsh hostname"):
        with start(live, "nohup", *command.split()) as process, ending(hanging):
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        assert process.returncode == 128 + signal.SIGTERM
