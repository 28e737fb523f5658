"""`-q` and `-qq` in cron: what drifted and where, that nothing was changed, and nothing else."""

from __future__ import annotations

import re

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Site
from tests_meta.terminal import run

_OF_PYTEST = re.compile(r"^(\S* +\[ *\d+%\]|bringing up nodes\.\.\.|.* in \d+\.\d+s|-+ generated xml file: .* -+|)$")


@pytest.fixture
def drifted(site: Site) -> Site:
    """Return a site of two nodes, both this machine, on which 45 files are missing."""
    site.nodes = dict.fromkeys(("node1", "node2"), "batch connection:local://")
    (site.directory / "real").mkdir()
    path = site.masterdir / "overlay" / str(site.directory / "real").lstrip("/")
    path.mkdir(parents=True)
    for number in range(45):
        (path / f"f{number}._all").write_text("content\n")
    for parent in (path, *path.parents):
        if parent == site.masterdir / "overlay":
            break
        real = "/" / parent.relative_to(site.masterdir / "overlay")
        parent.chmod(real.stat().st_mode & 0o7777)
    return site


def words(output: str) -> list[str]:
    """Return the lines of the output that pytest does not print by itself, without the test's directory."""
    lines = re.sub(r"/\S*/real/", "", output).splitlines()
    return [line for line in lines if not _OF_PYTEST.match(line)]


@ALONE_AND_XDIST
@pytest.mark.parametrize("quiet", ["-q", "-qq"])
def test_every_drift_has_a_line_and_a_dry_run_says_so(drifted: Site, workers: tuple[str, ...], quiet: str) -> None:
    found = drifted.pytest(quiet, *workers)
    assert found.status == 1
    lines = words(found.output)
    assert sorted(lines[:-1]) == sorted(f"DRIFT node[1-2]: f{number} missing (2 nodes)" for number in range(45))
    assert lines[-1] == "2 nodes: 2 drifted; DRY RUN, nothing was changed"


@pytest.mark.usefixtures("sole_repair")
def test_a_repair_and_then_nothing(drifted: Site) -> None:
    fixed = drifted.pytest("-q", "--fix", "--hosts=node1")
    assert fixed.status == 0, fixed.output
    assert words(fixed.output)[-1] == "1 node: 1 fixed"
    assert "FIXED node1: f44 created (missing)" in words(fixed.output)
    for more in ((), ("-n2",), ("--fix", "--hosts=node1")):
        silent = drifted.pytest("-q", *more)
        assert (silent.status, words(silent.output)) == (0, [])
    command = [word for word in drifted.command("-qq") if not word.startswith("--junitxml")]
    assert re.sub(r"\[ *\d+%\]", "", drifted.pytest(command=command).output).strip(" ") == ""


def test_nodes_that_are_not_looked_at(drifted: Site) -> None:
    drifted.nodes["gone"] = "batch ipaddress:127.0.0.1"
    drifted.lines.append("ssh_cmd false")
    for quiet in ("-q", "-qq"):
        found = drifted.pytest(quiet, "--hosts=gone")
        assert found.status == 1
        first, last = words(found.output)
        assert first.startswith("ERROR gone: ")
        assert last == "1 node: 1 not looked at"


def test_synctool(drifted: Site) -> None:
    """Standard output is as ever; a dry run that would change something says so on standard error, before it."""
    drifted.configure()
    ended = run(drifted.directory, "synctool", "-qa")
    assert (ended.status, ended.err) == (1, b"DRY RUN, not doing any updates\n")
    assert b"created (missing)" in ended.out
    assert run(drifted.directory, "synctool", "-qf", "-n", "node1").err == b""
    for more in ((), ("-a",), ("-f", "-n", "node1")):
        ended = run(drifted.directory, "synctool", "-q", *more)
        assert (ended.status, ended.out, ended.err) == (0, b"", b"")
