"""include_nodes in whole runs: a script and ClusterShell's groups, each run once, also with workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests_meta.site import Site


@pytest.fixture
def inventory(site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which a script notes its runs. The script prints two nodes, ClusterShell their groups."""
    sources = site.directory / "sources"
    sources.mkdir()
    (sources / "groups.conf").write_text("[Main]\ndefault: racks\nautodir: $CFGDIR\n")
    (sources / "racks.yaml").write_text("racks:\n  rack1: node1\n  rack2: node2\n")
    script = site.directory / "inventory"
    script.write_text("#!/bin/sh\necho run >>runs\nfor n in 1 2; do echo node node$n connection:local://; done\n")
    script.chmod(0o755)
    monkeypatch.setenv("CLUSTERSHELL_CFGDIR", str(sources))
    site.nodes = {}
    site.lines += ["include_nodes conf ./inventory", "include_nodes clustershell"]
    site.delete("nothing-like-it._rack2")
    return site.directory / "runs"


@pytest.mark.parametrize("arguments", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_command_runs_once_for_a_run(site: Site, inventory: Path, arguments: tuple[str, ...]) -> None:
    run = site.pytest("-m", "delete", *arguments)
    assert run.status == 0, run.output
    assert run.word("node2", f"{site.top}/nothing-like-it", "delete") == "passed"
    assert run.count("passed") == 1
    assert inventory.read_text() == "run\n"


def test_a_failing_command_ends_the_run(site: Site, inventory: Path) -> None:
    (site.directory / "inventory").write_text("#!/bin/sh\necho 'node node1'\nexit 3\n")
    run = site.pytest("-m", "delete")
    assert run.status == 4
    assert "synctool.conf:2: './inventory' ended with status 3 (by hand: ./inventory)" in run.output
    assert not inventory.exists()
