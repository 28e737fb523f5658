"""A run that compares no node says so and why, in every front end; a repair of nothing is no success."""

from __future__ import annotations

import sys

import pytest

from tests_meta.site import Site
from tests_meta.terminal import run

SUITE = ("--pyargs", "synctool_checks")
NOTHING = "synctool: no node was compared: "


@pytest.fixture
def beside(site: Site) -> Site:
    """Return a site with a file for two nodes, and an ordinary test beside its configuration."""
    site.nodes = dict.fromkeys(("node1", "node2"), "batch connection:local://")
    etc = site.masterdir / "overlay/etc"
    etc.mkdir()
    for name in ("motd._all", "fstab._node2"):
        (etc / name).write_text("content\n")
    (site.directory / "test_own.py").write_text("def test_own() -> None:\n    pass\n")
    site.configure()
    return site


def ended(site: Site, *arguments: str) -> tuple[int, list[str]]:
    """Return the exit status of a pytest run, and its lines about nodes that were not compared."""
    command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", *arguments]
    done = site.pytest(command=command)
    lines = done.output.splitlines()
    return done.status, [line.removeprefix(NOTHING) for line in lines if line.startswith(NOTHING)]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (("-m", "tasks"), "-m 'tasks' matches no test of a selected node (did you mean 'task'?)"),
        (("-m", "overla"), "-m 'overla' matches no test of a selected node (did you mean 'overlay'?)"),
        (("-qq", "-k", "motdd"), "-k 'motdd' matches no test of a selected node (did you mean 'motd'?)"),
        (("-k", "/etc/motdx and node1"), "-k '/etc/motdx and node1' matches no test of a selected node HINT"),
        (("-k", "fstab", "--hosts=node1"), "-k 'fstab' matches no test of a selected node"),
        (
            ("-k", "motd", "-m", "overlai"),
            "-k 'motd' with -m 'overlai' matches no test of a selected node (did you mean 'overlay'?)",
        ),
    ],
)
def test_expressions_that_match_nothing(beside: Site, expression: tuple[str, ...], reason: str) -> None:
    assert ended(beside, *SUITE, *expression) == (5, [reason.replace("HINT", "(did you mean '/etc/motd'?)")])


@pytest.mark.parametrize(
    ("test", "hint"),
    [
        ("test_overlay.py::node1::/etc/motdd", "node1 has no entry '/etc/motdd' (did you mean '/etc/motd'?)"),
        ("test_overlay.py::nide1::/etc/motd", "no selected node has the name 'nide1' (did you mean 'node1'?)"),
        ("test_overlay.py::node2", "no selected node has the name 'node2' (did you mean 'node1'?)"),
        (
            "test_overlay.py::test_overlay[node1-/etc/motd]",
            "no selected node has the name 'test_overlay[node1-/etc/motd]'",
        ),
        ("test_overlay.py::node1::/etc/%0Ax\n", "node1 has no entry '/etc/%0Ax\\n'"),
    ],
)
def test_an_id_that_is_no_test(beside: Site, test: str, hint: str) -> None:
    """Behind the error of pytest stands what may be meant."""
    command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "--hosts=node1", f"synctool_checks/{test}"]
    done = beside.pytest(command=command)
    assert done.status == 4
    assert "ERROR: not found: " in done.output
    assert f"ERROR: {hint}" in done.output


def test_beside_other_tests(beside: Site) -> None:
    unnamed = "the command names no tests of nodes (--pyargs synctool_checks)"
    assert ended(beside) == (0, [unnamed])
    assert ended(beside, "--fix") == (5, [unnamed])
    assert ended(beside, *SUITE, "test_own.py", "-k", "test_own") == (
        0,
        ["-k 'test_own' matches no test of a selected node"],
    )
    assert ended(beside, "-n2", *SUITE, "-k", "motdd")[1] == [
        "-k 'motdd' matches no test of a selected node (did you mean 'motd'?)"
    ]
    assert ended(beside, *SUITE, "--collect-only", "-k", "motdd")[0] == 5
    (beside.directory / "synctool.conf").unlink()
    assert ended(beside) == (0, [])


def test_synctool(beside: Site) -> None:
    for option, where in (("-1", "overlay/ or delete/"), ("-d", "the overlay tree")):
        done = run(beside.directory, "synctool", option, "/etc/motdd")
        assert (done.status, done.out) == (2, b"")
        message = f"{option}: no selected node has /etc/motdd in {where} (did you mean '/etc/motd'?)\n"
        assert done.err.decode() == message
    done = run(beside.directory, "synctool", "-q", "-r", "/etc/motdd", "-r", "/etc/motd", "-r", "/etc/fstab")
    assert done.status == 1
    assert done.out.decode().splitlines() == [
        "node1: /etc/motd._all",
        "node1: /etc/fstab is not in the overlay tree",
        "node1:     checking $masterdir/overlay/etc/fstab._node2",
        "node1:     skipping $masterdir/overlay/etc/fstab._node2, it is not one of my groups",
        "node2: /etc/motd._all",
        "node2: /etc/fstab._node2",
        "node[1-2]: /etc/motdd is not in the overlay tree (did you mean '/etc/motd'?)",
    ]
