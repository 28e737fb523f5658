"""--granularity=node: one test per node and check, whose failure lists the entries."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.plugin.test_selection import DELETE, OVERLAY, collected
from tests_meta.site import Run, Site

BY_NODE = "--granularity=node"
POST = "synctool_checks/test_post.py"


@pytest.fixture
def four(site: Site) -> Site:
    """Return a site with four nodes that are this machine. It has neither the overlay entries nor the delete entry."""
    site.nodes = {f"node{n}": f"{'batch' if n < 3 else 'login'} connection:chroot:///" for n in range(1, 5)}
    site.put("ntp.conf._all")
    site.put("only3._node3")
    site.script("ntp.conf.post", "#!/bin/sh\n")
    site.delete("evil._all")
    return site


def nodes(path: str, *numbers: int) -> list[str]:
    """Return the ids of these nodes' tests."""
    return [f"{path}::node{number}" for number in numbers]


def word(run: Run, node: str, kind: str = "overlay") -> str:
    """Return the result of a node under a check."""
    return run.results[(f"synctool_checks.test_{kind}", node)]


def message(run: Run, node: str, kind: str = "overlay") -> str:
    """Return the message of the junit report about a node under a check."""
    return run.messages[(f"synctool_checks.test_{kind}", node)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), nodes(DELETE, 1, 2, 3, 4) + nodes(OVERLAY, 1, 2, 3, 4) + nodes(POST, 1, 2, 3, 4)),
        (("-k", "node3"), nodes(DELETE, 3) + nodes(OVERLAY, 3) + nodes(POST, 3)),
        (("-m", "batch and overlay"), nodes(OVERLAY, 1, 2)),
        (("-m", "delete", "--hosts=node3"), nodes(DELETE, 3)),
        (("-m", "overlay", f"--deselect={OVERLAY}::node2"), nodes(OVERLAY, 1, 3, 4)),
        (("-m", "task", "--tasks"), []),
    ],
)
def test_selection(four: Site, arguments: tuple[str, ...], expected: list[str]) -> None:
    """Whole nodes are selected like any test, before a node is contacted. A node without entries has no test."""
    assert collected(four, BY_NODE, *arguments) == expected


def test_an_explicit_id(four: Site) -> None:
    command = four.command(BY_NODE, "--collect-only", "-q")
    command[4] = "synctool_checks.test_overlay::node3"
    assert f"{OVERLAY}::node3\n" in four.pytest(command=command).output


@ALONE_AND_XDIST
def test_an_audit(four: Site, workers: tuple[str, ...]) -> None:
    """A failure lists the drift of a node. An unreachable node is one error. The summary is that of single entries."""
    four.nodes["gone"] = "login connection:chroot:///nonexistent"
    run = four.pytest(BY_NODE, *workers)
    assert run.status == 1
    assert len(run.results) == 15
    assert [word(run, f"node{n}", kind) for kind in ("delete", "overlay", "post") for n in (1, 4)] == [
        "passed", "passed", "failure", "failure", "passed", "passed",
    ]  # fmt: skip
    assert [word(run, "gone", kind) for kind in ("delete", "overlay", "post")] == ["error", "skipped", "skipped"]
    text = message(run, "node3")
    assert text.startswith(
        f"node3: 4 drifted of 4: /data missing; {four.top} missing; {four.top}/ntp.conf missing; and 1 more\n"
    )
    assert f"\n  {four.top}/only3 missing\n    missing: expected file, found nothing\n" in text
    assert f"    source: overlay{four.top}/only3._node3" in text
    assert "DRIFT node[1-2,4]: /data missing and 2 below it (3 nodes)" in run.output
    assert "DRIFT node3: /data missing and 3 below it" in run.output
    assert "ERROR gone: " in run.output
    assert "5 nodes: 4 drifted, 1 not looked at" in run.output
    assert re.search("--granularity=node .*--lf --fix$", run.output, re.MULTILINE)
    assert "[100%]" in run.output
    assert "4 failed, 8 passed, 2 skipped, 1 error" in run.output
    seconds = {case.get("name"): 0.0 for case in cases(four)}
    for case in cases(four):
        seconds[case.get("name")] += float(case.get("time", "0"))
    assert min(seconds.values()) > 0


def cases(site: Site) -> list[ElementTree.Element]:
    """Return the test cases of the last junit report."""
    return list(ElementTree.parse(site.directory / "junit.xml").iter("testcase"))


def test_what_failed_last_and_maxfail(four: Site) -> None:
    """--lf runs failed and unreachable nodes; -x ends the run at the first failed node."""
    four.nodes["gone"] = "login connection:chroot:///nonexistent"
    assert four.pytest(BY_NODE, "--deselect=synctool_checks/test_overlay.py::node2").status == 1
    again = collected(four, BY_NODE, "--lf")
    assert again == [f"{DELETE}::gone", *nodes(OVERLAY, 1, 3, 4), f"{OVERLAY}::gone", f"{POST}::gone"]
    run = four.pytest(BY_NODE, "-x", "--hosts=node1,node2")
    assert run.count("failure") == 1
    assert "stopping after 1 failures" in run.output


def test_a_repair_of_what_failed_wants_the_same_granularity(four: Site) -> None:
    """With the other granularity the tests have other names: pytest would not find them, and would run everything."""
    assert four.pytest().status == 1
    run = four.pytest(BY_NODE, "--lf", "--fix")
    assert run.status == 4
    assert "--lf with --granularity=node: the last run had --granularity=entry" in run.output


def test_an_error_of_one_entry_is_no_pass(four: Site) -> None:
    """An exception in a site's own check is an error of the node's test. The name of the check is part of the id."""
    (four.directory / "test_own.py").write_text(
        "def check_broken(entry, actual):\n    return 1 / 0 if entry.destination.endswith(b'only3') else []\n"
        "def test_plain():\n    pass\n"
    )
    command = four.command(BY_NODE, "-q")
    command[3:5] = ["test_own.py"]
    run = four.pytest(command=command)
    assert run.status == 1
    case = ("test_own.check_broken", "node3")
    assert run.results[case] == "error"
    assert "node3: 1 with errors of 4: " in run.messages[case]
    assert "check_broken raised ZeroDivisionError" in run.messages[case]
    assert run.count("passed") == 4


@pytest.mark.parametrize("granularity", ["node", "entry"])
@ALONE_AND_XDIST
def test_durations_are_those_of_nodes(four: Site, granularity: str, workers: tuple[str, ...]) -> None:
    """The list has a line per node and per ordinary test. It does not show the equal shares of a node's tests."""
    (four.directory / "test_own.py").write_text("def test_plain():\n    pass\n")
    command = four.command(f"--granularity={granularity}", "--durations=0", "-vv", *workers)
    command.insert(5, "test_own.py")
    output = four.pytest(command=command).output
    table = output.partition("slowest durations")[2].splitlines()[1:]
    lines = [line.split()[1:] for line in takewhile(lambda line: not line.startswith("="), table)]
    assert sorted(line[1] for line in lines if line[0] == "node") == list(four.nodes)
    assert {line[1] for line in lines if line[0] != "node"} == {"test_own.py::test_plain"}


def test_a_run_of_whole_nodes_has_no_item_per_entry(site: Site) -> None:
    """Nodes with the same entries share one object with their checks."""
    site.nodes = {f"node{n}": "batch connection:chroot:///nonexistent" for n in range(1, 4)}
    site.delete("evil._all")
    Path(site.directory / "checking.py").write_text(
        "import pytest\n"
        "from pytest_synctool.plugin.collect import EntryItem, WholeNode\n"
        "@pytest.hookimpl(trylast=True)\n"
        "def pytest_collection_modifyitems(items):\n"
        "    assert {type(item) for item in items} == {WholeNode}\n"
        "    assert len({id(item.checks) for item in items}) == 1\n"
        "    open('checked', 'w').close()\n"
    )
    run = site.pytest(BY_NODE, "-m", "delete", "-p", "checking", environment={"PYTHONPATH": "."})
    assert (site.directory / "checked").exists(), run.output
