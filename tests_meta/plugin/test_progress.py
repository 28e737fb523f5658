"""A slow node does not delay the reports of others, and on a terminal the live line names it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Run, Site
from tests_meta.terminal import Terminal, terminal

# A plugin with which node1 answers only when the file `go` exists. The process that shows reports creates it after the
# last node in WAIT_FOR is reported; without WAIT_FOR the test creates it.
SLOW = """
import os, time
from pathlib import Path
from pytest_synctool.connection.connections import Connections
connect = Connections.to
class Slow:
    script_limit, is_local = None, True
    def __init__(self, transport):
        self.transport, self.close = transport, transport.close
    def run(self, script, deadline, *limits):
        for _ in range(6000):
            if Path('go').exists():
                break
            time.sleep(0.01)
        else:
            raise AssertionError('nobody went on')
        if os.environ.get('CRASH') and not Path('crashed').exists():
            Path('crashed').touch()
            os._exit(1)
        return self.transport.run(script, deadline)
Connections.to = lambda self, node: (Slow if node.name == 'node1' else lambda it: it)(connect(self, node))
awaited = set(os.environ.get('WAIT_FOR', '').split())
def pytest_runtest_logreport(report):
    if 'PYTEST_XDIST_WORKER' not in os.environ and awaited:
        awaited.difference_update(report.nodeid.split('::'))
        if not awaited:
            Path('go').touch()
"""
DELETE = "synctool_checks.test_delete"


@pytest.fixture
def slow(site: Site) -> Site:
    """Return a site with six nodes that are this machine. The first answers late."""
    site.nodes = {f"node{number}": "batch connection:local://" for number in range(1, 7)}
    site.delete("nothing-like-it._all")
    (site.directory / "slow.py").write_text(SLOW)
    return site


def run(site: Site, *arguments: str, wait_for: str = "", **more: str) -> Run:
    """Run pytest with the slow node."""
    environment = {"PYTHONPATH": ".", "WAIT_FOR": wait_for, **more}
    return site.pytest("-p", "slow", "-m", "delete", *arguments, environment=environment)


def reported(output: str) -> list[tuple[str, int]]:
    """Return the nodes in the order in which -v reports them, each with the percentage."""
    pairs = re.findall(r"::(node\d)(?:::\S+)? PASSED +\[ *(\d+)%\]", output)
    pairs += [(node, share) for share, node in re.findall(r"\[ *(\d+)%\] PASSED \S*::(node\d)", output)]
    return [(node, int(share)) for node, share in pairs]


@pytest.mark.parametrize("granularity", ["entry", "node"])
@ALONE_AND_XDIST
def test_a_slow_node_is_reported_last(slow: Site, workers: tuple[str, ...], granularity: str) -> None:
    """The other nodes are reported before it, each once, with the right percentage."""
    ended = run(slow, "-v", f"--granularity={granularity}", *workers, wait_for="node2 node3 node4 node5 node6")
    assert ended.status == 0, ended.output
    top = slow.top if granularity == "entry" else ""
    shares = reported(ended.output.replace(f"::{top}/nothing-like-it", ""))
    assert shares[-1] == ("node1", 100)
    assert sorted(node for node, _ in shares) == sorted(slow.nodes)
    if not workers:
        assert [share for _, share in shares[:-1]] == [16, 33, 50, 66, 83]
    else:
        assert shares[0][1] < 100
    assert ended.count("passed") == 6


def test_an_ordinary_test_keeps_its_place(slow: Site) -> None:
    """It runs after all the nodes before it, however slow they are, and before the nodes after it."""
    (slow.directory / "test_own.py").write_text("def test_own():\n    open('go').close()\n")
    command = slow.command("-v", "-p", "slow", "--granularity=node")
    suite = "synctool_checks.test_delete"
    command[4:5] = [f"{suite}::node1", f"{suite}::node2", "test_own.py", f"{suite}::node3"]
    ended = slow.pytest(command=command, environment={"PYTHONPATH": ".", "WAIT_FOR": "node2"})
    assert ended.status == 0, ended.output
    order = re.findall(r"::(node\d|test_own) PASSED", ended.output)
    assert order == ["node2", "node1", "test_own", "node3"]


def test_a_crash_after_a_change_of_order_loses_no_node(slow: Site) -> None:
    """The controller knows the nodes that are done. The slow node is an error, and every other passes once."""
    ended = run(slow, "-n1", "--granularity=node", wait_for="node2 node3 node4 node5 node6", CRASH="1")
    assert ended.status == 1, ended.output
    assert "worker gw0 crashed while it was at this node" in ended.output
    assert ended.results[(DELETE, "node1")] in ("failure", "error")
    assert [ended.results[(DELETE, f"node{n}")] for n in range(2, 7)] == ["passed"] * 5


def on_terminal(site: Site, *arguments: str, **more: str) -> tuple[Path, list[str], dict[str, str]]:
    """Return directory, command and environment of a run with the slow node on a terminal."""
    command = site.command("-p", "slow", "-m", "delete", *arguments)
    environment = {"PYTHONPATH": ".", "TERM": "xterm", "COLUMNS": "120", "CI": "", "BUILD_NUMBER": "", **more}
    return site.directory, command, environment


def screen(shown: bytes) -> list[str]:
    """Return the lines on a terminal after this output was written to it."""
    lines, row, column = [""], 0, 0
    for text in re.findall(r"\x1b\[\d*[A-Za-z]|\x1b\[[\d;]*m|\r|\n|[^\x1b\r\n]", shown.decode()):
        if text.endswith("m") and text.startswith("\x1b"):
            continue
        if text == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif text == "\r":
            column = 0
        elif text == "\x1b[K":
            lines[row] = lines[row][:column]
        elif text.endswith("A") and text.startswith("\x1b"):
            row -= int(text[2:-1] or 1)
        elif text.endswith("C") and text.startswith("\x1b"):
            column += int(text[2:-1] or 1)
        else:
            assert len(text) == 1, text
            lines[row] = lines[row].ljust(column)[:column] + text + lines[row][column + 1 :]
            column += 1
    return lines


def go_on(site: Site, seen: Terminal) -> tuple[int, list[str]]:
    """Let the slow node answer. Return the exit status and the lines on the terminal at the end."""
    (site.directory / "go").touch()
    status = seen.end()
    return status, screen(seen.shown)


@pytest.mark.parametrize("verbose", [(), ("-v",)], ids=["letters", "names"])
def test_the_line_names_slow_nodes_and_is_erased_at_the_end(slow: Site, verbose: tuple[str, ...]) -> None:
    directory, command, environment = on_terminal(slow, *verbose)
    with terminal(directory, *command, **environment) as seen:
        seen.until(b"synctool: 5 of 6 nodes; out for ")
        seen.until(b"s: node1")
        assert any(line.startswith("synctool: 5 of 6 nodes") for line in screen(seen.shown))
        status, lines = go_on(slow, seen)
    assert status == 0
    assert not any("of 6 nodes;" in line for line in lines)
    assert b"of 6 nodes;" not in (slow.directory / "junit.xml").read_bytes()
    if not verbose:
        assert [re.sub(" +", " ", line) for line in lines if line.startswith("......")] == ["...... [100%]"]
    else:
        assert sum("PASSED" in line for line in lines) == 6


def test_with_xdist_the_line_has_the_results_that_the_controller_knows(slow: Site) -> None:
    directory, command, environment = on_terminal(slow, "-n2")
    with terminal(directory, *command, **environment) as seen:
        seen.until(b"synctool: 5 of 6 nodes")
        status, lines = go_on(slow, seen)
    assert status == 0
    assert not any(line.startswith("synctool: 5 of 6") for line in lines)
    assert "......" in "".join(lines)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(("-q",), {}), ((), {"CI": "true"}), ((), {"TERM": "dumb"})],
    ids=["quiet", "CI", "dumb"],
)
def test_there_is_no_line_if_nobody_would_see_it(
    slow: Site, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    """The slow node answers after all others are reported: by then the line would have appeared."""
    directory, command, variables = on_terminal(slow, *arguments, **environment)
    with terminal(directory, *command, **variables, WAIT_FOR="node2 node3 node4 node5 node6") as seen:
        assert seen.end() == 0
    assert b"of 6 nodes" not in re.sub(rb"6 nodes of 6", b"", seen.shown)


def test_a_pipe_has_no_line(slow: Site) -> None:
    ended = run(slow, wait_for="node2 node3 node4 node5 node6", TERM="xterm", CI="")
    assert "of 6 nodes" not in ended.output.replace("6 nodes of 6", "")
    assert "\x1b" not in ended.output
    assert os.path.exists(slow.directory / "go")
