"""Marks skip and xfail on real nodes: --fix changes nothing of an entry whose test has one."""

from __future__ import annotations

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site

# The ways in which a site or a plugin marks tests when all are collected.
HOOKS = {
    "modifyitems": "def pytest_collection_modifyitems(items):\n    for item in items:\n        mark(item)\n",
    "last": "@pytest.hookimpl(trylast=True)\n"
    "def pytest_collection_modifyitems(items):\n    for item in items:\n        mark(item)\n",
    "wrapper": "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
    "def pytest_collection_modifyitems(items):\n    yield\n    for item in items:\n        mark(item)\n",
    "itemcollected": "def pytest_itemcollected(item):\n    mark(item)\n",
    "setup": "def pytest_runtest_setup(item):\n"
    "    if item.nodeid.endswith('/kept'):\n        pytest.skip('leave it')\n",
}
MARK = "import pytest\ndef mark(item):\n    if item.nodeid.endswith('/kept'):\n        item.add_marker({})\n"


def conftest(site: Site, hook: str, mark: str = "pytest.mark.skip(reason='leave it')") -> None:
    """Write a conftest that marks the tests of the file `kept`."""
    (site.directory / "conftest.py").write_text(MARK.format(mark) + HOOKS[hook])


@ALONE_AND_XDIST
@pytest.mark.parametrize("hook", HOOKS)
def test_a_skipped_file_stays(live: Site, hook: str, workers: tuple[str, ...]) -> None:
    """The other files of the node are repaired."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    live.put("kept._all")
    live.put("free._all")
    for node in live.nodes:
        live.sh(node, "mkdir -p @; echo mine >@/kept")
    before = live.sh("node1", "stat -c '%i %Y' @/kept")
    conftest(live, hook)
    run = live.pytest("--fix", *workers)
    assert run.status == 0, run.output
    for node in live.nodes:
        assert run.word(node, f"{live.top}/kept") == "skipped"
        assert "leave it" in run.message(node, f"{live.top}/kept")
        assert live.sh(node, "cat @/kept @/free; ls @") == "mine\ncontent\nfree\nkept\n"
    assert live.sh("node1", "stat -c '%i %Y' @/kept") == before


@ALONE_AND_XDIST
@pytest.mark.parametrize(
    ("mark", "options", "status", "word"),
    [
        ("pytest.mark.xfail(reason='known')", (), 0, "skipped"),
        ("pytest.mark.xfail(reason='known', strict=True)", (), 0, "skipped"),
        ("pytest.mark.xfail(reason='known', run=False)", (), 0, "skipped"),
        ("pytest.mark.xfail(reason='known', raises=OSError)", (), 1, "failure"),
        ("pytest.mark.xfail(reason='known')", ("--runxfail",), 1, "failure"),
        ("pytest.mark.xfail(reason='known')", ("--granularity=node",), None, ""),
        ("pytest.mark.skipif('config.option.synctool_fix')", (), 0, "skipped"),
        ("pytest.mark.skipif('no such thing')", (), 1, "error"),
        ("pytest.mark.skipif(True)", (), 1, "error"),
    ],
)
def test_an_expected_failure_is_not_repaired(
    live: Site, mark: str, options: tuple[str, ...], status: int | None, word: str, workers: tuple[str, ...]
) -> None:
    """A condition that cannot be evaluated is an error, and nothing is repaired."""
    live.nodes = {"node1": "batch"}
    live.put("kept._all")
    live.sh("node1", "mkdir -p @; echo mine >@/kept")
    conftest(live, "modifyitems", mark)
    if options == ("--granularity=node",):
        (live.directory / "conftest.py").write_text(MARK.replace("/kept", "node1").format(mark) + HOOKS["modifyitems"])
    run = live.pytest("--fix", *options, *workers)
    if status is not None:
        assert run.status == status, run.output
        assert run.word("node1", f"{live.top}/kept") == word, run.output
    assert live.sh("node1", "cat @/kept; ls @") == "mine\nkept\n"


def test_commands_directories_and_owed_commands_of_a_skipped_entry(live: Site) -> None:
    """No trigger of a skipped entry runs, owed or not; no directory is made for it, and none that is skipped."""
    live.nodes = {"node1": "batch"}
    log = f"{live.top}/log"
    live.put("kept/file._all")
    live.put("other/kept._all")
    live.put("dir/file._all")
    live.script("dir.post", f"#!/bin/sh\necho dir >>{log}\n")
    live.script("other/kept.post", f"#!/bin/sh\necho kept >>{log}\n")
    live.put("gone/fine._all")
    live.sh("node1", "mkdir -p @/other @/dir")
    marked = ("/kept", "/dir", "/kept/file")
    (live.directory / "conftest.py").write_text(
        f"import pytest\ndef pytest_collection_modifyitems(items):\n"
        f"    for item in items:\n        if item.nodeid.endswith({marked[:2]!r}) and 'post:' not in item.nodeid:\n"
        f"            item.add_marker(pytest.mark.skip(reason='leave it'))\n"
    )
    run = live.pytest("--fix")
    assert run.status == 1, run.output
    tree = live.sh("node1", "cd @; find . | sort")
    assert tree == ".\n./dir\n./gone\n./gone/fine\n./other\n", run.output
    assert f"missing, left alone: {live.top}/kept is missing, and its test is skipped" in run.output
    assert "left alone: it would run" in run.message("node1", f"{live.top}/dir/file")


@ALONE_AND_XDIST
def test_restore_keeps_a_skipped_file(live: Site, workers: tuple[str, ...]) -> None:
    live.nodes = {"node1": "batch", "node2": "batch"}
    for name in ("kept", "free"):
        live.put(f"{name}._all")
    for node in live.nodes:
        live.sh(node, "mkdir -p @; echo old >@/kept; echo old >@/free")
    assert live.pytest("--fix").status == 0
    conftest(live, "modifyitems")
    run = live.pytest("--restore", "--fix", "--hosts=all", *workers)
    assert run.status == 0, run.output
    for node in live.nodes:
        assert run.word(node, f"{live.top}/kept") == "skipped"
        assert live.sh(node, "cat @/kept @/free") == "content\nold\n"
        assert live.sh(node, "ls @") == "free\nkept\nkept.saved\n"


def test_a_skipped_task_does_not_run(live: Site) -> None:
    live.nodes = {"node1": "batch"}
    (live.masterdir / "tasks").mkdir()
    for name in ("kept", "free"):
        path = live.masterdir / "tasks" / f"{name}._all"
        path.write_text(f"#!/bin/sh\nmkdir -p {live.top}\necho {name} >>{live.top}/log\n")
        path.chmod(0o755)
    conftest(live, "modifyitems")
    run = live.pytest("--tasks", "--fix")
    assert run.status == 0, run.output
    assert run.word("node1", "/kept", "tasks") == "skipped"
    assert live.sh("node1", "cat @/log") == "free\n"


def test_a_link_is_not_replaced_above_a_skipped_file(live: Site) -> None:
    """The repair would make a directory of it, and the file would be in another place."""
    live.nodes = {"node1": "batch"}
    live.put("dir/kept._all")
    live.put("dir/free._all")
    live.sh("node1", "mkdir -p @/real; echo mine >@/real/kept; ln -s real @/dir")
    conftest(live, "modifyitems")
    live.pytest("--fix")
    assert live.sh("node1", "readlink @/dir; cat @/dir/kept") == "real\nmine\n"


def test_a_skipped_file_stays_in_a_repair_of_what_the_last_audit_found(live: Site) -> None:
    """The mark has come after the audit, and goes before the next repair."""
    live.nodes = {"node1": "batch"}
    for name in ("kept", "free"):
        live.put(f"{name}._all")
    live.sh("node1", "mkdir -p @; echo mine >@/kept")
    assert live.pytest().status == 1
    conftest(live, "modifyitems")
    run = live.pytest("--lf", "--fix")
    assert run.status == 0, run.output
    assert live.sh("node1", "cat @/kept @/free") == "mine\ncontent\n"
    (live.directory / "conftest.py").unlink()
    assert live.pytest().status == 1
    assert live.pytest("--lf", "--fix").status == 0
    assert live.sh("node1", "cat @/kept") == "content\n"


def test_a_mark_goes_with_a_waiver(live: Site) -> None:
    """Each keeps its own file, and no waiver is stale for a skipped test."""
    live.nodes = {"node1": "batch"}
    for name in ("kept", "waived", "free"):
        live.put(f"{name}._all")
    live.sh("node1", "mkdir -p @; echo mine >@/kept; echo mine >@/waived")
    waiver = f"- path: {live.top}/{{}}\n  groups: all\n  reason: known\n  expires: 2999-01-01\n"
    (live.masterdir / "waivers.yaml").write_text(waiver.format("waived") + waiver.format("kept"))
    conftest(live, "modifyitems")
    run = live.pytest("--fix")
    assert run.status == 0, run.output
    assert "STALE" not in run.output
    assert live.sh("node1", "cat @/kept @/waived @/free") == "mine\nmine\ncontent\n"
