"""The test trees of editors: they walk from each collected test up to its file, and match results by path and id."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.plugin.test_other_plugins import three_outcomes
from tests_meta.site import Site

# Does what the plugin of VS Code does: an id is the path of the test with the rest of the node id; classes are the
# levels between a file and a test; a result comes from pytest_report_teststatus, an error from
# pytest_exception_interact, and the first result of an id counts. Paths are kept by id().
EDITOR = """
import gc
import json
import pytest

BY_ID, PATHS, RESULTS = {}, {}, {}

def path_of(node):
    return BY_ID.setdefault(id(node), node.path)

def identify(nodeid, path):
    return "::".join([str(path), *nodeid.split("::")[1:]])

def write(name, value):
    with open(name, "w") as file:
        json.dump(value, file)

def pytest_exception_interact(node, call, report):
    word = "failure" if call.excinfo.typename == "AssertionError" else "error"
    RESULTS.setdefault(identify(node.nodeid, path_of(node)), [word, report.longreprtext])

@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_report_teststatus(report, config):
    if report.when == "call" or (report.when == "setup" and report.skipped):
        word = "success" if report.passed else "failure" if report.failed else "skipped"
        RESULTS.setdefault(identify(report.nodeid, PATHS.get(report.nodeid, "?")), [word, report.longreprtext])
    yield

@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_runtest_protocol(item, nextitem):
    PATHS[item.nodeid] = path_of(item)
    yield
    gc.collect()  # frees items that nobody has, so that others may get their id()

def pytest_sessionfinish(session):
    if not session.config.option.collectonly:
        write("results", RESULTS)
        return
    tree = {}
    for item in session.items:
        levels, parent = [], item.parent
        while isinstance(parent, pytest.Class):
            levels.insert(0, parent.name)
            parent = parent.parent
        assert item.location[1] is not None and item.location[2]
        tree[identify(item.nodeid, path_of(item))] = [str(path_of(parent)), *levels, item.name]
    write("tree", tree)
"""
OWN_CHECKS = "".join(f"def check_{name}(entry, actual): return []\n" for name in ("first", "second"))


@pytest.fixture
def editor(site: Site) -> Site:
    """Return a site with a node in sync, one that has drifted, and one that does not answer; and an editor's plugin."""
    three_outcomes(site)
    (site.masterdir / "overlay" / "odd [name]::%._gone").write_text("content\n")
    (site.directory / "editor.py").write_text(EDITOR)
    return site


def run(site: Site, *arguments: str) -> None:
    """Run pytest with the editor's plugin, in a directory whose ini file names the suite."""
    (site.directory / "pytest.ini").write_text("[pytest]\naddopts = --pyargs synctool_checks\n")
    site.configure()
    command = [sys.executable, "-m", "pytest", "-p", "editor", "-p", "no:hypothesispytest", *arguments]
    done = site.pytest(command=command, environment={"PYTHONPATH": "."})
    assert "INTERNALERROR" not in done.output, done.output
    assert done.status in (0, 1), done.output


def read(site: Site, name: str) -> dict[str, Any]:
    """Return what the editor's plugin has written."""
    document: dict[str, Any] = json.loads((site.directory / name).read_text())
    return document


def test_nodes_are_a_level_of_the_tree(editor: Site) -> None:
    (editor.directory / "test_own.py").write_text(OWN_CHECKS)
    run(editor, "--collect-only", ".")
    levels = [tuple(levels[1:-1]) for levels in read(editor, "tree").values()]
    nodes, checks = ("node1", "node2", "gone"), ("check_first", "check_second")
    own = {(check, node) for check in checks for node in nodes[1:]}  # node1 has no entry of the overlay
    assert set(levels) == {*((node,) for node in nodes), *own}


@ALONE_AND_XDIST
def test_results_are_those_of_the_discovered_tests(editor: Site, workers: tuple[str, ...]) -> None:
    (editor.directory / "test_own.py").write_text(OWN_CHECKS)
    run(editor, "--collect-only", ".")
    tree = read(editor, "tree")
    run(editor, ".", *workers)
    results = read(editor, "results")
    assert results.keys() == tree.keys()
    words = {tuple(tree[key][1:]): word for key, (word, _) in results.items()}
    assert [word for key, word in words.items() if "gone" in key].count("error") == 1
    assert {word for key, word in words.items() if "gone" in key} == {"error", "skipped"}
    assert {word for key, word in words.items() if "node1" in key} == {"success"}
    assert words["node2", "/missing"] == "failure"
    [text] = [text for word, text in results.values() if word == "error"]
    assert "gone unreachable: " in text
    [text] = [text for word, text in results.values() if word == "failure"]
    assert "node2: /missing missing" in text


def test_a_discovered_test_runs_alone(editor: Site) -> None:
    run(editor, "--collect-only")
    chosen = [key for key in read(editor, "tree") if "gone" in key or "missing" in key]
    assert len(chosen) == 3
    for key in chosen:
        run(editor, key)
        results = read(editor, "results")
        assert list(results) == [key]
        assert results[key][0] == ("error" if "gone" in key else "failure")
