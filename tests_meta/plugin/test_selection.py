"""Selection of tests, as in any pytest suite. It contacts no node: the nodes of most of these tests do not exist."""

from __future__ import annotations

import json
import re
import sys

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site


@pytest.fixture
def four(site: Site) -> Site:
    """Return a site with four nodes that do not exist; one is ignored."""
    site.nodes = {"node1": "batch rack1", "node2": "batch rack2", "node3": "login rack1", "web1": "login"}
    site.lines.append("ignore_node web1")
    site.put("ntp.conf._all")
    site.put("only3._login")
    site.delete("evil._all")
    return site


def collected(site: Site, *arguments: str) -> list[str]:
    """Return the selected node ids, without the test's own top."""
    run = site.pytest("--collect-only", "-q", *arguments)
    assert run.status in (0, 5), run.output
    return [line.replace(site.top, "") for line in run.output.splitlines() if "::" in line]


OVERLAY, DELETE = "synctool_checks/test_overlay.py", "synctool_checks/test_delete.py"


@pytest.mark.parametrize(
    ("hosts", "nodes"),
    [
        (None, "node1 node2 node3"),
        ("all", "node1 node2 node3"),
        ("node3", "node3"),
        ("node[1-2]", "node1 node2"),
        ("node[1,3]", "node1 node3"),
        ("group:batch", "node1 node2"),
        ("@batch", "node1 node2"),
        ("batch", "node1 node2"),
        ("group:batch,node3", "node1 node2 node3"),
        ("batch&rack1", "node1"),
        ("all!node2", "node1 node3"),
        ("!node2", "node1 node3"),
        ("batch^rack1", "node2 node3"),
        ("node*", "node1 node2 node3"),
        ("login", "node3"),
        ("web1", "web1"),
        ("login,web1", "node3 web1"),
    ],
)
def test_hosts(four: Site, hosts: str | None, nodes: str) -> None:
    """--hosts takes names, ranges, groups and set algebra. It selects ignored nodes only by their own name."""
    ids = collected(four, "-k", "ntp.conf", *([f"--hosts={hosts}"] if hosts else []))
    assert ids == [f"{OVERLAY}::{node}::/ntp.conf" for node in nodes.split()]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-k", "only3"), [f"{OVERLAY}::node3::/only3"]),
        (("-m", "delete"), [f"{DELETE}::{n}::/evil" for n in ("node1", "node2", "node3")]),
        (("-m", "login and delete"), [f"{DELETE}::node3::/evil"]),
        (("-m", "node2 and overlay", "-k", "ntp"), [f"{OVERLAY}::node2::/ntp.conf"]),
        (("-k", "rack2 and evil"), [f"{DELETE}::node2::/evil"]),
    ],
)
def test_keywords_and_markers(four: Site, arguments: tuple[str, ...], expected: list[str]) -> None:
    """-k matches nodes, groups and destinations; -m matches kinds, nodes and groups."""
    assert collected(four, *arguments) == expected


def test_every_directory_is_an_entry_and_deselect_works(four: Site) -> None:
    """--deselect removes an id; the other tests keep their order."""
    before = collected(four, "--hosts=node3")
    assert [i.rpartition("::")[2] for i in before] == ["/evil", "/data", "", "/ntp.conf", "/only3"]
    gone = f"{OVERLAY}::node3::{four.top}/only3"
    assert collected(four, "--hosts=node3", f"--deselect={gone}") == before[:-1]


def test_explicit_node_id(four: Site) -> None:
    """The id of a test selects this test, and the id of a node selects all its tests."""
    four.configure()
    command = four.command("--collect-only", "-q")
    for argument, expected in (
        (f"synctool_checks.test_overlay::node3::{four.top}/only3", ["/only3"]),
        ("synctool_checks.test_overlay::node1", ["/data", "", "/ntp.conf"]),
    ):
        command[4] = argument
        run = four.pytest(command=command)
        ids = [line for line in run.output.splitlines() if "::" in line]
        assert [i.rpartition("::")[2].replace(four.top, "") for i in ids] == expected, run.output


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ("node7", "no such node or group 'node7' (did you mean 'node"),
        ("group:bacth", "no such group 'bacth' (did you mean 'batch'?)"),
        ("node1,nodd2", "no such node or group 'nodd2'"),
        ("rack2&login", "'rack2&login' matches no node"),
        ("group:all!all", "matches no node"),
        ("node1,", "an empty term"),
        ("node[1-", "is not a node selection"),
        ("rack1!node1!node3", "matches no node"),
    ],
)
def test_a_selector_that_matches_nothing_is_a_usage_error(four: Site, hosts: str, message: str) -> None:
    """The message names the term."""
    run = four.pytest(f"--hosts={hosts}")
    assert run.status == 4
    assert message in run.output
    assert "Traceback" not in run.output


def test_fix_does_not_go_with_collect_only(four: Site) -> None:
    """A header that says "fixing" would be wrong, because nothing runs."""
    run = four.pytest("--fix", "--collect-only")
    assert run.status == 4
    assert "--fix does not go with --collect-only" in run.output


def test_the_header_names_ignored_nodes(four: Site) -> None:
    run = four.pytest("--collect-only")
    assert "left out as ignored: web1" in run.output
    assert re.search(r"3 nodes of 4, dry run, nothing is changed", run.output)


def test_own_checks_get_a_test_per_entry(four: Site) -> None:
    """A site's own check functions are collected under their own names."""
    (four.directory / "test_site.py").write_text(
        "import pytest\n"
        "from pytest_synctool.model import Change\n"
        "def check_not_world_writable(entry, actual):\n    return []\n"
        "@pytest.mark.delete\ndef check_gone(entry, actual):\n    return []\n"
        "def test_plain():\n    pass\n"
    )
    command = four.command("--collect-only", "-q", "--hosts=node1")
    command[3:5] = ["test_site.py"]
    run = four.pytest(command=command)
    ids = [line.replace(four.top, "") for line in run.output.splitlines() if "::" in line]
    assert sorted(ids) == [
        "test_site.py::check_gone::node1::/evil",
        "test_site.py::check_not_world_writable::node1::",
        "test_site.py::check_not_world_writable::node1::/data",
        "test_site.py::check_not_world_writable::node1::/ntp.conf",
        "test_site.py::test_plain",
    ]


def test_only_runs_with_new_first_store_all_ids(site: Site) -> None:
    """pytest's --nf needs the list of all tests that ever ran. Other runs do not write it."""
    site.put("ntp.conf._all")
    known = site.directory / "cache" / "v" / "cache"
    options = ("--nodename=node1", "-o", f"cache_dir={site.directory / 'cache'}")
    first = site.pytest(*options)
    assert (known / "lastfailed").exists(), first.output
    assert not (known / "nodeids").exists()
    site.pytest("--nf", *options)
    assert f"{OVERLAY}::node1::{site.top}/ntp.conf" in json.loads((known / "nodeids").read_text())


def test_another_plugin_can_select_single_tests(site: Site) -> None:
    """A plugin that changes the selection gets one item per entry. The results are those of a run without it."""
    site.nodes = {"node1": "batch connection:chroot:///", "node2": "login connection:chroot:///"}
    for name in ("a", "b"):
        site.put(f"{name}._all")
    site.delete("evil._all")
    alone = site.pytest()
    assert "collected 10 items" in alone.output
    (site.directory / "looking.py").write_text(
        "def pytest_collection_modifyitems(config, items):\n"
        "    print('SEEN', len(items))\n"
        f"    gone = [item for item in items if item.nodeid.endswith('node1::{site.top}/b')]\n"
        "    config.hook.pytest_deselected(items=gone)\n"
        "    items[:] = [item for item in items if item not in gone]\n"
    )
    looked = site.pytest("-p", "looking", environment={"PYTHONPATH": "."})
    assert "SEEN 10" in looked.output
    assert "collected 10 items / 1 deselected / 9 selected" in looked.output
    gone = ("synctool_checks.test_overlay.node1", f"{site.top}/b")
    assert alone.results == {**looked.results, gone: "failure"}
    assert gone not in looked.results


@ALONE_AND_XDIST
@pytest.mark.parametrize("addopts", ["", "--pyargs", "--pyargs synctool_checks"])
def test_an_id_as_reports_print_it_selects_one_test(site: Site, addopts: str, workers: tuple[str, ...]) -> None:
    """The id works wherever the suite is installed, even if `addopts` names the whole suite.

    --fix with an id must not repair other entries.
    """
    for node in ("node1", "node2"):
        site.nodes[node] = "batch connection:chroot:///"
    site.put("one._all")
    site.put("two._all")
    (site.directory / "pytest.ini").write_text(f"[pytest]\naddopts = {addopts}\n")
    start = [
        sys.executable,
        "-m",
        "pytest",
        f"--synctool-conf={site.configure()}",
        "-p",
        "no:hypothesispytest",
        *workers,
    ]
    for test in (f"synctool_checks/test_overlay.py::node2::{site.top}/two", "synctool_checks/test_delete.py"):
        run = site.pytest(command=[*start, "-rA", test])
        assert re.findall(r"^(?:FAILED|PASSED) (\S+)", run.output, re.MULTILINE) == ([test] if "::" in test else [])
    if addopts.endswith("checks"):
        dotted = f"synctool_checks.test_overlay::node1::{site.top}/one"
        assert site.pytest(command=[*start, dotted]).output.count("\nDRIFT node1: ") == 1
        (site.directory / "test_own.py").write_text("def test_own():\n    pass\n")
        assert "1 passed" in site.pytest(command=[*start, "test_own.py::test_own"]).output
        assert "8 failed, 1 passed" in site.pytest(command=[*start, "test_own.py"]).output


def test_an_id_of_a_file_that_the_suite_does_not_have(site: Site) -> None:
    site.put("one._all")
    command = [*site.command()[:3], f"--synctool-conf={site.configure()}", "synctool_checks/test_nothing.py::node1"]
    run = site.pytest(command=command)
    assert run.status == 4
    assert "module or package not found: synctool_checks.test_nothing::node1" in run.output
