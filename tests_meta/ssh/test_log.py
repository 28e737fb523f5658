"""The log of repairs on real nodes: every action, one writer, nothing for a dry run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests_meta.site import Site

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ")

# In the place of Python's syslog module: what would be said to it goes to a file.
LISTENING = """
import syslog
def openlog(ident, option, facility):
    assert facility == syslog.LOG_USER
    syslog.syslog(syslog.LOG_NOTICE, 'ident ' + ident)
def listen(priority, line):
    with open('heard', 'a') as heard:
        heard.write(line + '\\n')
syslog.openlog, syslog.syslog = openlog, listen
"""


@pytest.fixture
def logged(live: Site) -> Site:
    """A cluster with a logfile."""
    live.lines.append(f"logfile {live.directory / 'synctool.log'}")
    return live


def lines(site: Site) -> list[str]:
    """The lines of the log without their times, each of which has one."""
    found = (site.directory / "synctool.log").read_text().splitlines()
    assert all(TIME.match(line) for line in found)
    return [TIME.sub("", line, count=1) for line in found]


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_every_action_is_logged(logged: Site, workers: tuple[str, ...]) -> None:
    """With node and result, failures and unreachable nodes too; each run is added below the one before."""
    logged.nodes = {"node1": "batch", "dead1": "batch interface:127.0.0.1"}
    logged.put("d/file._all")
    logged.script("d/file.post", "#!/bin/sh\n")
    logged.delete("evil._all")
    logged.delete("dir._all")
    logged.put(b"odd\t\xff._all")
    logged.sh("node1", "mkdir -p @/dir @/d; touch @/evil; echo >@/d/file; chmod 755 @ @/d")
    run = logged.pytest("--fix", *workers)
    assert run.status == 1
    top, log = logged.top, logged.directory / "synctool.log"
    found = lines(logged)
    assert found[0] == "synctool --fix began: root, 2 nodes"
    assert found[-1] == "synctool --fix ended: 3 fixed, 1 failed, 1 node not looked at"
    assert sorted(found[1:-1]) == [
        "dead1: unreachable: Connection refused",
        f"node1: {top}/d/file updated (file size mismatch)",
        f"node1: {top}/dir FAILED must not exist",
        f"node1: {top}/evil deleted (must not exist)",
        f"node1: {top}/odd\\t\\xff created (missing)",
        f"node1: running command $masterdir/overlay{top}/d/file.post",
    ]
    updated, ran = (
        f"node1: {top}/d/file updated (file size mismatch)",
        f"node1: running command $masterdir/overlay{top}",
    )
    assert found.index(updated) < found.index(f"{ran}/d/file.post")
    assert f"Log of what was done: {log}" in run.output
    assert log.stat().st_mode & 0o777 == 0o640
    logged.pytest("--fix", "--hosts=node1", "-m", "overlay", *workers)
    assert lines(logged)[len(found) :] == [
        "synctool --fix began: root, 1 node",
        "synctool --fix ended: 0 fixed, 0 failed",
    ]


def test_a_directory_that_was_not_selected_is_logged_too(logged: Site) -> None:
    """It is made for what is below it, and it is no test of the run; one that was there is not said to be made."""
    logged.put("d/file._all")
    logged.sh("node1", "mkdir -p @")
    assert logged.pytest("--fix", "-k", "file", "--hosts=node1").status == 0
    assert lines(logged)[1:-1] == [
        f"node1: {logged.top}/d created (missing)",
        f"node1: {logged.top}/d/file created (missing)",
    ]


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_nothing_is_logged_for_a_dry_run(logged: Site, workers: tuple[str, ...]) -> None:
    """No line, no file, no word to syslog, and a logfile that cannot be written does not matter."""
    logged.put("file._all")
    (logged.directory / "listening.py").write_text(LISTENING)
    run = logged.pytest("-p", "listening", *workers, environment={"PYTHONPATH": "."})
    assert run.count("failure") > 0
    assert not (logged.directory / "synctool.log").exists()
    assert not (logged.directory / "heard").exists()
    assert "Log of what was done" not in run.output
    logged.lines = [f"logfile {logged.directory}/nowhere/synctool.log"]
    assert logged.pytest().count("failure") > 0


def _no_directory(log: Path) -> Path:
    return log / "below" / "nothing"


def _a_directory(log: Path) -> Path:
    log.mkdir()
    return log


def _a_pipe(log: Path) -> Path:
    os.mkfifo(log)
    return log


def _a_link(log: Path) -> Path:
    log.symlink_to("elsewhere")
    return log


def _a_device(log: Path) -> Path:
    return Path("/dev/null")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_no_directory, "cannot be opened for appending: No such file or directory"),
        (_a_directory, "cannot be opened for appending: Is a directory"),
        (_a_pipe, "cannot be opened for appending: it is a named pipe, not a regular file"),
        (_a_device, "cannot be opened for appending: it is a device, not a regular file"),
        (_a_link, "cannot be opened for appending: it is a symbolic link, not a regular file"),
    ],
)
def test_no_node_is_contacted_if_it_cannot_be_logged(site: Site, make: object, said: str) -> None:
    """A clear error first."""
    assert callable(make)
    path = make(site.directory / "log")
    site.put("file._all")
    site.lines = [f"logfile {path}", f"ssh_cmd touch {site.directory / 'contacted'}"]
    for workers in ((), ("-n2",)):
        run = site.pytest("--fix", *workers)
        assert run.status == 4, run.output
        assert f"synctool.conf: 'logfile {path}' {said}" in run.output
        assert "Traceback" not in run.output
    assert not (site.directory / "contacted").exists()


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_syslog(live: Site, workers: tuple[str, ...]) -> None:
    """Every repair is told to syslog, with a logfile or without, unless --no-syslog."""
    live.nodes = {"node1": "batch"}
    live.put("file._all")
    live.sh("node1", "mkdir -p @; chmod 755 @")
    (live.directory / "listening.py").write_text(LISTENING)
    run = live.pytest("-p", "listening", "--fix", *workers, environment={"PYTHONPATH": "."})
    assert run.status == 0, run.output
    assert (live.directory / "heard").read_text().splitlines() == [
        "ident synctool",
        "synctool --fix began: root, 1 node",
        f"node1: {live.top}/file created (missing)",
        "synctool --fix ended: 1 fixed, 0 failed",
    ]
    (live.directory / "heard").unlink()
    live.sh("node1", "rm @/file")
    run = live.pytest("-p", "listening", "--fix", "--no-syslog", *workers, environment={"PYTHONPATH": "."})
    assert "1 fixed" in run.output
    assert not (live.directory / "heard").exists()


def test_nodes_that_were_not_begun_are_logged(logged: Site) -> None:
    """With the reason."""
    logged.nodes = {"dead1": "batch interface:127.0.0.1", "node1": "batch"}
    logged.put("file._all")
    assert logged.pytest("--fix", "--serial").status == 1
    assert lines(logged)[1:] == [
        "dead1: unreachable: Connection refused",
        "node1: not begun: 1 of 1 node failed in the batch before",
        "synctool --fix ended: 0 fixed, 0 failed, 1 node not looked at, 1 node not begun",
    ]


def test_a_log_that_cannot_be_written_any_more_does_not_stop_a_repair(logged: Site) -> None:
    """The nodes are repaired, and the summary says that the log is not complete."""
    (logged.directory / "full.py").write_text(
        "import errno, os\n"
        "import pytest_synctool.report.repair_log as log\n"
        "class Os:\n"
        "    def __getattr__(self, name):\n        return getattr(os, name)\n"
        "    def write(self, *_):\n        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "log.os = Os()\n"
    )
    logged.put("file._all")
    run = logged.pytest("-p", "full", "--fix", "--hosts=node1", environment={"PYTHONPATH": "."})
    assert run.status == 0, run.output
    assert "synctool.log is not complete: No space left on device" in run.output
    assert logged.sh("node1", "cat @/file") == "content\n"


def test_each_node_has_a_log_of_its_own(logged: Site) -> None:
    """What was done there, and what failed, as in the log of the master; nothing for a dry run."""
    logged.nodes = {"node1": "batch", "node2": "batch"}
    logged.directory.chmod(0o755)
    logged.put("file._all")
    logged.script("file.post", "#!/bin/sh\nexit $(grep -c node2 /etc/hostname)\n")
    logged.put("way._all")
    logged.delete("evil._all")
    for node in logged.nodes:
        logged.sh(node, f"mkdir -p @ {logged.directory}; chmod 755 @; touch @/evil; mkdir @/way @/way.saved")
    log = logged.directory / "synctool.log"
    logged.pytest()
    assert logged.sh("node1", f"ls {log} 2>&1 || :").startswith("ls: cannot access")
    assert logged.pytest("--fix").status == 1
    top = logged.top
    for node in logged.nodes:
        found = logged.sh(node, f"cat {log}").splitlines()
        assert all(TIME.match(line) for line in found)
        ran = f"{node}: running command $masterdir/overlay{top}/file.post"
        assert [TIME.sub("", line, count=1) for line in found] == [
            f"{node}: {top}/evil deleted (must not exist)",
            f"{node}: {top}/file created (missing)",
            f"{node}: {top}/way updated (type mismatch): FAILED {top}/way.saved is in the way",
            ran + (": FAILED exit status 1" if node == "node2" else ""),
        ]
        assert lines(logged).count(ran) == 1
    logged.sh("node1", "rmdir @/way.saved")


def test_a_log_that_a_node_cannot_write(logged: Site) -> None:
    """Stops nothing, and is told."""
    logged.nodes = {"node1": "batch"}
    logged.put("file._all")
    logged.sh("node1", f"rm -rf {logged.directory}; mkdir -p {logged.directory / 'synctool.log'}")
    run = logged.pytest("--fix")
    assert run.status == 0
    assert "WARNING node1: its log is not complete: " in run.output


@pytest.fixture
def listening(logged: Site) -> Iterator[Site]:
    """One node with a syslog. All that its logger is told is in /tmp/said.log there."""
    logged.nodes = {"node1": "batch"}
    logger = '#!/bin/sh\n{ echo "$*"; cat; } >>/tmp/said.log\n'
    assert logged.cluster is not None
    logged.cluster.write("node1", "/usr/local/sbin/logger", logger.encode(), 0o755)
    # What makes a socket there, and needs nothing else to be installed.
    agent = logged.sh("node1", "rm -f /tmp/said.log; ssh-agent -a /dev/log").partition("SSH_AGENT_PID=")[2]
    yield logged
    logged.sh("node1", f"kill {agent.partition(';')[0]}; rm -f /dev/log /usr/local/sbin/logger")


def test_the_syslog_of_a_node(listening: Site) -> None:
    """Where one listens, the lines go there too, unless --no-syslog says otherwise."""
    site = listening
    site.put("one._all")
    assert site.pytest("--fix", "--no-syslog").status == 0
    assert site.sh("node1", "cat /tmp/said.log 2>&- || :") == ""
    site.put("two._all")
    assert site.pytest("--fix").status == 0
    assert site.sh("node1", "cat /tmp/said.log") == f"-t synctool\nnode1: {site.top}/two created (missing)\n"


@pytest.mark.parametrize("is_there", [False, True], ids=["with its directory", "in a directory"])
def test_each_of_many_new_files_is_in_the_logs_of_the_node(listening: Site, is_there: bool) -> None:
    """Once, in few calls of logger, and with what a trigger does about one of them."""
    site = listening
    names = [f"d/{'long' * 50}{number:03}" for number in range(150)]
    for name in names:
        site.put(f"{name}._all")
    site.script(f"{names[7]}.post", "#!/bin/sh\n")
    if is_there:
        site.sh("node1", "mkdir -p @/d; chmod 755 @ @/d")
    assert site.pytest("--fix").status == 0
    said = site.sh("node1", "cat /tmp/said.log").splitlines()
    expected = [f"node1: {site.top}/{name} created (missing)" for name in names]
    if not is_there:
        expected[:0] = [f"node1: {site.top} created (missing)", f"node1: {site.top}/d created (missing)"]
    expected.append(f"node1: running command $masterdir/overlay{site.top}/{names[7]}.post")
    assert sorted(line for line in said if line != "-t synctool") == sorted(expected)
    assert 2 <= said.count("-t synctool") <= 6
    assert sorted(line for line in lines(site) if line.startswith("node1: ")) == sorted(expected)
    kept = site.sh("node1", f"cat {site.directory / 'synctool.log'}").splitlines()
    assert sorted(TIME.sub("", line, count=1) for line in kept) == sorted(expected)
