"""Waivers on real nodes: what is accepted stays as it is, whoever repairs what else there is."""

from __future__ import annotations

import pytest

from tests_meta.inside import inside
from tests_meta.site import Site
from tests_meta.ssh.test_synctool import synctool

TOLD = "waits for 7, until 2999-12-31, waivers.yaml:1"


def waive(site: Site, *paths: str, nodes: str = "node1") -> None:
    """Write waivers.yaml."""
    listed = ", ".join(f"{site.top}{path}" for path in paths)
    (site.masterdir / "waivers.yaml").write_text(
        f"- path: [{listed}]\n  nodes: {nodes}\n  reason: waits for 7\n  expires: 2999-12-31\n"
    )


@pytest.fixture
def drifted(live: Site) -> Site:
    """Two nodes in sync, on which then two files change, and one that must not exist is there."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    for name in ("ntp._all", "motd._all"):
        live.put(name, f"{name}\n")
    live.delete("evil._all")
    assert live.pytest("--fix").status == 0
    for node in live.nodes:
        live.sh(node, "echo mine >@/ntp; echo mine >@/motd; echo mine >@/evil")
    return live


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_repair_leaves_it_alone(drifted: Site, workers: tuple[str, ...]) -> None:
    waive(drifted, "/ntp", "/evil")
    run = drifted.pytest("--fix", *workers)
    assert run.status == 0, run.output
    assert f"WAIVED node1: {drifted.top}/ntp file size mismatch (waived: {TOLD})" in run.output
    assert drifted.sh("node1", "cat @/ntp @/motd @/evil") == "mine\nmotd._all\nmine\n"
    assert drifted.sh("node2", "cat @/ntp @/motd; ls @") == "ntp._all\nmotd._all\nmotd\nmotd.saved\nntp\nntp.saved\n"
    before = drifted.snapshot("node1")
    assert drifted.pytest("--fix", *workers).status == 0
    assert drifted.snapshot("node1") == before
    run = drifted.pytest("--fix", "--no-waivers", *workers)
    assert run.status == 0
    assert drifted.sh("node1", "cat @/ntp; ls @") == "ntp._all\nmotd\nmotd.saved\nntp\nntp.saved\n"
    run = drifted.pytest(*workers)
    assert run.status == 1
    assert "STALE waivers.yaml:1" in run.output


def test_what_an_audit_without_waivers_found_is_repaired_without_them(drifted: Site) -> None:
    waive(drifted, "/ntp", "/evil", "/motd", nodes="node[1-2]")
    assert drifted.pytest().status == 0
    assert drifted.pytest("--no-waivers").status == 1
    run = drifted.pytest("--lf", "--fix")
    assert run.status == 0
    assert drifted.sh("node1", "cat @/ntp") == "mine\n"
    assert drifted.pytest("--no-waivers").status == 1
    assert drifted.pytest("--lf", "--fix", "--no-waivers").status == 0
    assert drifted.sh("node1", "cat @/ntp") == "ntp._all\n"


def test_a_repair_does_not_make_a_directory_that_is_missing_under_a_waiver(live: Site) -> None:
    live.nodes = {"node1": "batch"}
    live.put("d/file._all")
    live.put("other._all")
    waive(live, "/d")
    run = live.pytest("--fix")
    assert run.status == 1
    held = f"{live.top}/d/file missing, left alone: {live.top}/d is missing, which waivers.yaml:1 waives"
    assert held in run.message("node1", f"{live.top}/d/file")
    assert live.sh("node1", "ls @") == "other\n"
    waive(live, "/d", "/d/file")
    assert live.pytest("--fix").status == 0
    assert live.sh("node1", "ls @") == "other\n"


def test_the_command(drifted: Site) -> None:
    waive(drifted, "/ntp", "/evil")
    ended = synctool(drifted, "-n", "node1")
    assert ended.status == 1
    assert ended.lines == [
        "DRY RUN, not doing any updates",
        f"node1: {drifted.top}/motd updated (file size mismatch)",
        f"node1: {drifted.top}/evil must not exist (waived: {TOLD})",
        f"node1: {drifted.top}/ntp file size mismatch (waived: {TOLD})",
        "1 node: 1 drifted",
    ]
    assert drifted.top + "/ntp" not in [
        line for line in synctool(drifted, "-n", "node1", "--unix").lines if not line.startswith("#")
    ]
    ended = synctool(drifted, "-f")
    assert ended.status == 0
    assert ended.lines[-1] == "2 nodes: 1 fixed, 1 waived"
    assert drifted.sh("node1", "cat @/ntp @/motd @/evil") == "mine\nmotd._all\nmine\n"
    assert synctool(drifted).status == 0
    ended = synctool(drifted, "-f", "--no-waivers")
    assert ended.lines[-1] == "2 nodes: 1 in sync, 1 fixed"
    assert drifted.sh("node1", "cat @/ntp") == "ntp._all\n"


def test_a_node_that_works_on_itself_goes_by_them_too(live: Site) -> None:
    """Its copy of the masterdir says what is accepted there, and nothing of others; what is over goes away."""
    live.nodes = {"node1": "batch", "node2": "batch"}
    live.put("ntp._all")
    waive(live, "/nt*", "/other", nodes="node2")
    assert live.pytest("--fix", "--no-waivers").status == 0
    assert live.sh("node2", f"grep -v '^#' {live.masterdir}/waivers.yaml") == (
        f'- path:\n  - "{live.top}/ntp"\n  groups: all\n  reason: "waits for 7"\n  expires: 2999-12-31\n'
    )
    assert "waivers" not in live.sh("node1", f"ls {live.masterdir}")
    with inside(live, "node2") as node:
        node.configure()
        live.sh("node2", "echo mine >@/ntp")
        run = node.pytest("--hosts=localhost", "--fix")
        assert run.status == 0, run.output
        assert "WAIVED node2" in run.output
        assert live.sh("node2", "cat @/ntp") == "mine\n"
        (live.masterdir / "waivers.yaml").unlink()
        assert live.pytest("--fix").status == 0
        assert live.sh("node2", "cat @/ntp") == "content\n"
        assert "waivers" not in live.sh("node2", f"ls {live.masterdir}")
