"""`synctool -f --ask` on real nodes, from a terminal: only what was shown and confirmed is repaired."""

from __future__ import annotations

import pytest

from tests_meta.gate import settled
from tests_meta.site import Site
from tests_meta.ssh.test_synctool import SYNCTOOL, synctool
from tests_meta.terminal import Terminal, terminal

QUESTION = b"repair this node? [y]es, [n]o, [a]ll that follow, [q]uit: "


@pytest.fixture
def drifted(live: Site) -> Site:
    """Three nodes that lack a file and have the wrong mode of another one; a trigger notes each change of the first."""
    live.put("new._all", "new\n")
    live.put("mode._all", "x\n", 0o600)
    live.script("new.post", "#!/bin/sh\necho ran >>/tmp/asked.log\n")
    for node in live.nodes:
        live.sh(node, "rm -f /tmp/asked.log; mkdir -p @; chmod 755 @; echo x >@/mode; chmod 644 @/mode")
    live.configure()
    return live


def asked(screen: Terminal, number: int) -> None:
    """Read until the question of this number has come."""
    while screen.shown.count(QUESTION) < number:
        assert screen.more(), screen.shown


def names(site: Site, node: str) -> list[str]:
    """Return what is there of the file, the mode of the other, and the runs of the trigger."""
    look = "cd @; ls new 2>/dev/null; stat -c %a mode; cat /tmp/asked.log 2>/dev/null; true"
    return site.sh(node, look).split()


def test_yes_no_and_what_was_not_shown(drifted: Site) -> None:
    """The first node changes while it is asked about: what differs from what was shown is left alone."""
    with terminal(drifted.directory, str(SYNCTOOL), "-f", "--ask", "-n", "node[1-3]", "--no-color") as screen:
        asked(screen, 1)
        first = screen.shown
        node = next(name for name in drifted.nodes if f"{name}: {QUESTION.decode()}".encode() in first)
        assert f"{node}: {drifted.top}/new ".encode() in first
        assert names(drifted, node) == ["644"]  # nothing changes before the answer
        drifted.sh(node, "chmod 640 @/mode")
        screen.type(b"perhaps\n")
        asked(screen, 2)
        screen.type(b"y\n")
        asked(screen, 3)
        assert names(drifted, node) == ["new", "640", "ran"]
        assert b"changed since the audit: was" in screen.shown
        screen.type(b"no\n")
        asked(screen, 4)
        screen.type(b"YES\n")
        assert screen.end() == 1
    others = [name for name in drifted.nodes if name != node]
    ended = sorted(names(drifted, name) for name in others)
    assert ended == [["644"], ["new", "600", "ran"]]
    left = next(name for name in others if names(drifted, name) == ["644"])
    text = screen.shown.decode()
    assert f"{left}: left alone: not confirmed\r\n" in text
    assert f"\nleft alone: not confirmed: {left}\r\n" in text
    assert "3 nodes: 1 fixed, 2 drifted" in text, text
    settled(drifted)


def test_all_quit_and_an_end_of_input(drifted: Site) -> None:
    with terminal(drifted.directory, str(SYNCTOOL), "-f", "--ask", "-n", "node[1-3]") as screen:
        asked(screen, 1)
        screen.type(b"q\n")
        assert screen.end() == 1, screen.shown
    with terminal(drifted.directory, str(SYNCTOOL), "-f", "--ask", "-n", "node[1-3]") as screen:
        asked(screen, 1)
        screen.type(b"\x04")
        assert screen.end() == 1, screen.shown
    assert [names(drifted, node) for node in drifted.nodes] == [["644"]] * 3
    with terminal(drifted.directory, str(SYNCTOOL), "-f", "--ask", "-n", "node[1-3]") as screen:
        asked(screen, 1)
        screen.type(b"\x03")
        assert screen.end() == 130, screen.shown
    assert [names(drifted, node) for node in drifted.nodes] == [["644"]] * 3
    with terminal(drifted.directory, str(SYNCTOOL), "-f", "--ask", "-n", "node[1-3]") as screen:
        asked(screen, 1)
        screen.type(b"a\n")
        assert screen.end() == 0, screen.shown
    assert screen.shown.count(QUESTION) == 1
    assert [names(drifted, node) for node in drifted.nodes] == [["new", "600", "ran"]] * 3
    with terminal(drifted.directory, str(SYNCTOOL), "-f", "--ask", "-n", "node[1-3]") as screen:
        assert screen.end() == 0  # nothing to ask about
    assert QUESTION not in screen.shown


def test_a_change_that_was_not_shown(drifted: Site) -> None:
    """The directory of the file goes away before the answer, so the repair would have to make it too."""
    drifted.put("dir/file._all", "new\n")
    drifted.sh("node1", "mkdir @/dir; chmod 755 @/dir")
    single = f"{drifted.top}/dir/file"
    with terminal(drifted.directory, str(SYNCTOOL), "-f", "--ask", "-n", "node1", "-1", single) as screen:
        asked(screen, 1)
        drifted.sh("node1", "rmdir @/dir")
        screen.type(b"y\n")
        assert screen.end() == 1, screen.shown
    assert b"nothing is repaired, as this was not shown: " in screen.shown
    assert drifted.sh("node1", "ls @") == "mode\n"


def test_tasks_and_an_unreachable_node(drifted: Site) -> None:
    """A task is asked about too; one that is not confirmed has not run, which the exit status says."""
    drifted.nodes["dead1"] = "batch interface:127.0.0.1:1"
    drifted.put("task._all", "#!/bin/sh\necho task >>/tmp/asked.log\n", 0o755, tree="tasks")
    drifted.configure()
    command = [str(SYNCTOOL), "-tf", "--ask", "--no-color", "-n"]
    with terminal(drifted.directory, *command, "node1,dead1") as screen:
        asked(screen, 1)
        assert b"dead1: " + QUESTION not in screen.shown
        screen.type(b"n\n")
        assert screen.end() == 3, screen.shown
    assert b"dead1: unreachable: " in screen.shown
    assert b"2 nodes: 1 drifted, 1 not looked at" in screen.shown
    assert b"\nleft alone: not confirmed: node1\r\n" in screen.shown
    assert names(drifted, "node1") == ["644"]
    for key, status, log in ((b"n\n", 1, ["644"]), (b"y\n", 0, ["644", "task"])):
        with terminal(drifted.directory, *command, "node1") as screen:
            asked(screen, 1)
            screen.type(key)
            assert screen.end() == status, screen.shown
        assert names(drifted, "node1") == log


def test_without_a_terminal_nobody_is_asked(drifted: Site) -> None:
    done = synctool(drifted, "-f", "--ask")
    assert (done.status, done.lines) == (2, [])
    assert "--ask needs a terminal" in done.complaints
    assert names(drifted, "node1") == ["644"]
